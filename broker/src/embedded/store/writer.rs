//! What the store's writer thread does. New values are written and synced first, then the index is committed,
//! then what they superseded is overwritten: a crash at any point leaves an index whose values are whole.

use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, WriteTransaction};
use tokio::time::Instant;

use super::{
    change::{Change, Outcome},
    index::{ENTRIES, Entry, Place, REVISIONS, Stored},
    space::Space,
    values::Values,
};
use crate::{
    Revision,
    embedded::{
        file::{DataFile, Failed, opened},
        transaction::{self, Change as _, Failure},
        writer::Work,
    },
    subject::is_below,
};

/// The store's changes.
pub(super) struct StoreWork {
    index: Arc<DataFile>,
    values: Values,
    /// Of the index as it is open. After a failure it is looked up again, and all that is no value overwritten.
    space: Option<Space>,
}

impl StoreWork {
    pub(super) fn new(index: Arc<DataFile>, values: Values) -> Result<Self, Failed> {
        let database = index.database().map_err(redb::Error::Corrupted);
        let made = database.and_then(|database| {
            make_tables(&database)?;
            Ok(database)
        });
        let database = made.map_err(|error| index.failed(error))?;
        // Every place must be in the file with the values, so that is the one to name.
        let space = space(&database).and_then(|space| {
            values.clean(&space)?;
            Ok(space)
        });
        Ok(Self {
            space: Some(space.map_err(|error| values.failed(error))?),
            index,
            values,
        })
    }

    /// Makes changes durable; returns what became of them and where superseded values are.
    fn commit(
        &mut self,
        database: &Database,
        changes: &[Change],
    ) -> Result<(Vec<Outcome>, Vec<Place>), Failure> {
        let space = match &mut self.space {
            Some(space) => space,
            None => {
                let found = space(database).map_err(Failure::before)?;
                self.values.clean(&found).map_err(Failure::before)?;
                self.space.insert(found)
            }
        };
        let transaction = transaction::begin(database).map_err(Failure::before)?;
        let mut turn = Turn {
            space,
            values: &self.values,
            superseded: Vec::new(),
        };
        let outcomes = turn.apply(&transaction, changes).map_err(Failure::before)?;
        let superseded = turn.superseded;
        let changed = |outcome: &Outcome| matches!(outcome, Outcome::Written(_) | Outcome::Purged);
        if outcomes.iter().any(changed) {
            self.values
                .sync()
                .map_err(|error| Failure::before(redb::Error::Io(error)))?;
            transaction.commit().map_err(Failure::of_commit)?;
        }
        Ok((outcomes, superseded))
    }

    /// Overwrites what is superseded, on disk too where somebody waits for it.
    fn overwrite(
        &mut self,
        outcomes: &[Outcome],
        superseded: Vec<Place>,
    ) -> Result<(), redb::Error> {
        for place in superseded {
            self.values.overwrite(place)?;
            if let Some(space) = &mut self.space {
                space.give(place);
            }
        }
        let is_any = |wanted: fn(&Outcome) -> bool| outcomes.iter().any(wanted);
        if is_any(|outcome| matches!(outcome, Outcome::Scrubbed))
            && let Some(space) = &self.space
        {
            self.values.clean(space)?;
        } else if is_any(|outcome| matches!(outcome, Outcome::Erased)) {
            self.values.sync()?;
        }
        Ok(())
    }
}

impl Work for StoreWork {
    type Change = Change;

    fn bytes(change: &Change) -> usize {
        match change {
            Change::Put { value, .. } => value.len(),
            Change::Purge { .. } | Change::Erase { .. } | Change::Scrub { .. } => 0,
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        let database = match self.index.writable() {
            Ok(database) => database,
            Err(why) => {
                return changes
                    .into_iter()
                    .for_each(|change| change.fail(&why, false));
            }
        };
        let (outcomes, superseded) = match self.commit(&database, &changes) {
            Ok(committed) => committed,
            Err(failure) => {
                self.space = None;
                return transaction::fail(&self.index, database, &failure, changes);
            }
        };
        let overwritten = self.overwrite(&outcomes, superseded);
        let why = overwritten.err().map(|error| error.to_string());
        if let Some(why) = &why {
            self.space = None;
            self.index.close(database, why);
        }
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            match (&why, outcome) {
                (Some(why), Outcome::Erased | Outcome::Scrubbed) => change.fail(why, false),
                (_, outcome) => change.tell(outcome),
            }
        }
    }

    fn chore_due(&self) -> Option<Instant> {
        None
    }

    fn do_chore(&mut self) {}
}

/// Their being there says that the index is not new.
fn make_tables(database: &Database) -> Result<(), redb::Error> {
    if database.begin_read()?.list_tables()?.next().is_none() {
        let transaction = database.begin_write()?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(REVISIONS)?;
        transaction.commit()?;
    }
    Ok(())
}

/// What the values of an index leave free.
fn space(database: &Database) -> Result<Space, redb::Error> {
    let mut used = Vec::new();
    if let Some(table) = opened(database.begin_read()?.open_table(ENTRIES))? {
        for found in table.iter()? {
            used.push(Entry::from(found?.1.value()).place);
        }
    }
    Space::beside(Values::BEGIN, used).map_err(|overlap| {
        redb::Error::Corrupted(format!(
            "its index is of another file: two values are at {}",
            overlap.at
        ))
    })
}

/// The changes of one transaction.
struct Turn<'a> {
    space: &'a mut Space,
    values: &'a Values,
    superseded: Vec<Place>,
}

type Entries<'a> = Table<'a, (u32, &'static str), Stored>;

impl Turn<'_> {
    fn apply(
        &mut self,
        transaction: &WriteTransaction,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, redb::Error> {
        let mut entries = transaction.open_table(ENTRIES)?;
        let mut revisions = transaction.open_table(REVISIONS)?;
        let apply = |change: &Change| match change {
            Change::Put {
                pp,
                key,
                value,
                expected,
                ..
            } => {
                let found = entries.get((*pp, key.as_str()))?;
                let found = found.map(|found| Entry::from(found.value()));
                let current = found.map_or(Revision::NONE, |found| found.revision);
                if current != *expected {
                    return Ok(Outcome::Conflict(current));
                }
                let revision = revisions.get(*pp)?.map_or(0, |entry| entry.value()) + 1;
                revisions.insert(*pp, revision)?;
                let entry = self.write(Revision(revision), value)?;
                entries.insert((*pp, key.as_str()), entry.stored())?;
                self.superseded.extend(found.map(|found| found.place));
                Ok(Outcome::Written(entry.revision))
            }
            Change::Purge { pp, prefix, .. } => {
                self.purge(&mut entries, *pp, prefix)?;
                Ok(Outcome::Purged)
            }
            Change::Erase { .. } => Ok(Outcome::Erased),
            Change::Scrub { .. } => Ok(Outcome::Scrubbed),
        };
        changes.iter().map(apply).collect()
    }

    fn write(&mut self, revision: Revision, value: &Bytes) -> Result<Entry, redb::Error> {
        let bytes =
            u32::try_from(value.len()).map_err(|_| redb::Error::ValueTooLarge(value.len()))?;
        let place = self.space.take(bytes);
        self.values.write(place, value)?;
        Ok(Entry::new(revision, place, value))
    }

    fn purge(
        &mut self,
        entries: &mut Entries<'_>,
        pp: u32,
        prefix: &str,
    ) -> Result<(), redb::Error> {
        let mut keys = Vec::new();
        for found in entries.range((pp, prefix)..)? {
            let (key, entry) = found?;
            let (of, key) = key.value();
            if of != pp || !key.starts_with(prefix) {
                break;
            }
            if is_below(key, prefix) {
                keys.push(key.to_owned());
                self.superseded.push(Entry::from(entry.value()).place);
            }
        }
        for key in keys {
            entries.remove((pp, key.as_str()))?;
        }
        Ok(())
    }
}
