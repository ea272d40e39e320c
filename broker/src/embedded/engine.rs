//! Log and store in one redb file. Changes come in groups: one transaction, one fsync, whatever the
//! partitions. The engine never waits for anyone and answers nobody; the writer does.

use bytes::Bytes;
use proto::PartitionId;
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition,
    WriteTransaction,
};

use crate::{Append, MAX_RECORD, Put, ReadError, Revision, StoreError, TrimError, Value, subject};

/// Records by partition and sequence.
const LOG: TableDefinition<'_, (u16, u64), &[u8]> = TableDefinition::new("log");
/// First and last sequence by partition: a log trimmed to its end still knows its last.
const BOUNDS: TableDefinition<'_, u16, (u64, u64)> = TableDefinition::new("log.bounds");
/// Revision and value by partition and key.
const STORE: TableDefinition<'_, (u16, &str), (u64, &[u8])> = TableDefinition::new("store");
/// The highest revision given out by partition; none is given twice.
const REVISIONS: TableDefinition<'_, u16, u64> = TableDefinition::new("store.revision");

/// A change to log or store.
#[derive(Debug)]
pub(super) enum Change {
    Append {
        pp: PartitionId,
        expected_last: u64,
        record: Bytes,
    },
    Trim {
        pp: PartitionId,
        up_to: u64,
    },
    Put {
        pp: PartitionId,
        key: String,
        value: Bytes,
        expected: Revision,
    },
    Purge {
        pp: PartitionId,
        prefix: String,
    },
}

/// What became of a change.
#[derive(Debug)]
pub(super) enum Outcome {
    Append(Append),
    Trim(Result<(), TrimError>),
    Put(Put),
    Purge(Result<(), StoreError>),
}

/// Whether a group that failed may be in the file all the same.
#[derive(Debug)]
pub(super) enum GroupError {
    /// Nothing of it was written.
    Before(redb::Error),
    /// It failed while being committed.
    During(redb::Error),
}

/// Makes the tables, so that readers find them.
pub(super) fn create_tables(db: &Database) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    Tables::open(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Applies a group of changes in order, durable when it returns.
pub(super) fn apply(db: &Database, changes: &[Change]) -> Result<Vec<Outcome>, GroupError> {
    let (transaction, outcomes, changed) = prepare(db, changes).map_err(GroupError::Before)?;
    if changed {
        transaction
            .commit()
            .map_err(|error| GroupError::During(error.into()))?;
    }
    Ok(outcomes)
}

type Prepared = (WriteTransaction, Vec<Outcome>, bool);

fn prepare(db: &Database, changes: &[Change]) -> Result<Prepared, redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut tables = Tables::open(&transaction)?;
    let outcomes = changes
        .iter()
        .map(|change| tables.apply(change))
        .collect::<Result<Vec<_>, _>>()?;
    let changed = tables.changed;
    drop(tables);
    Ok((transaction, outcomes, changed))
}

struct Tables<'t> {
    log: Table<'t, (u16, u64), &'static [u8]>,
    bounds: Table<'t, u16, (u64, u64)>,
    store: Table<'t, (u16, &'static str), (u64, &'static [u8])>,
    revisions: Table<'t, u16, u64>,
    changed: bool,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            log: transaction.open_table(LOG)?,
            bounds: transaction.open_table(BOUNDS)?,
            store: transaction.open_table(STORE)?,
            revisions: transaction.open_table(REVISIONS)?,
            changed: false,
        })
    }

    fn apply(&mut self, change: &Change) -> Result<Outcome, redb::Error> {
        Ok(match change {
            Change::Append {
                pp,
                expected_last,
                record,
            } => Outcome::Append(self.append(code(*pp), *expected_last, record)?),
            Change::Trim { pp, up_to } => Outcome::Trim(self.trim(code(*pp), *up_to)?),
            Change::Put {
                pp,
                key,
                value,
                expected,
            } => Outcome::Put(self.put(code(*pp), key, value, *expected)?),
            Change::Purge { pp, prefix } => {
                self.purge(code(*pp), prefix)?;
                Outcome::Purge(Ok(()))
            }
        })
    }

    fn bounds(&self, pp: u16) -> Result<(u64, u64), redb::Error> {
        Ok(self.bounds.get(pp)?.map_or(EMPTY, |bounds| bounds.value()))
    }

    fn append(&mut self, pp: u16, expected: u64, record: &[u8]) -> Result<Append, redb::Error> {
        let (first, last) = self.bounds(pp)?;
        if last != expected {
            return Ok(Append::Conflict { last });
        }
        let seq = last + 1;
        self.log.insert((pp, seq), record)?;
        self.bounds.insert(pp, (first, seq))?;
        self.changed = true;
        Ok(Append::Written(seq))
    }

    fn trim(&mut self, pp: u16, up_to: u64) -> Result<Result<(), TrimError>, redb::Error> {
        let (first, last) = self.bounds(pp)?;
        if up_to > last {
            return Ok(Err(TrimError::BeyondLast { up_to, last }));
        }
        if up_to >= first {
            self.log
                .retain_in((pp, first)..=(pp, up_to), |_, _| false)?;
            self.bounds.insert(pp, (up_to + 1, last))?;
            self.changed = true;
        }
        Ok(Ok(()))
    }

    fn put(
        &mut self,
        pp: u16,
        key: &str,
        value: &[u8],
        expected: Revision,
    ) -> Result<Put, redb::Error> {
        let revision = self
            .store
            .get((pp, key))?
            .map_or(0, |stored| stored.value().0);
        if revision != expected.0 {
            return Ok(Put::Conflict {
                revision: Revision(revision),
            });
        }
        let next = self.revisions.get(pp)?.map_or(0, |highest| highest.value()) + 1;
        self.revisions.insert(pp, next)?;
        self.store.insert((pp, key), (next, value))?;
        self.changed = true;
        Ok(Put::Written(Revision(next)))
    }

    fn purge(&mut self, pp: u16, prefix: &str) -> Result<(), redb::Error> {
        let itself = self.store.remove((pp, prefix))?.is_some();
        let (from, to) = below(prefix);
        let mut removed = 0_u64;
        self.store
            .retain_in((pp, from.as_str())..(pp, to.as_str()), |_, _| {
                removed += 1;
                false
            })?;
        self.changed |= itself || removed > 0;
        Ok(())
    }
}

/// Bounds of a log that was never appended to.
const EMPTY: (u64, u64) = (1, 0);

/// The range of keys below a prefix: they begin with it and a dot, and `/` follows the dot.
fn below(prefix: &str) -> (String, String) {
    (format!("{prefix}."), format!("{prefix}/"))
}

/// The partition's number in the tables; room partitions are far fewer than this allows.
fn code(pp: PartitionId) -> u16 {
    match pp {
        PartitionId::Rooms(number) => number,
        PartitionId::Meta => u16::MAX,
    }
}

/// First and last sequence of a log; first is last + 1 when it is empty.
pub(super) fn bounds(db: &Database, pp: PartitionId) -> Result<(u64, u64), redb::Error> {
    let table = db.begin_read()?.open_table(BOUNDS)?;
    Ok(table.get(code(pp))?.map_or(EMPTY, |bounds| bounds.value()))
}

/// The records from `from` on, up to and with `to`, but no more than about `max_bytes` of them.
pub(super) fn read(
    db: &Database,
    pp: PartitionId,
    from: u64,
    to: u64,
    max_bytes: usize,
) -> Result<Vec<(u64, Bytes)>, ReadError> {
    let failed = |error: redb::Error| ReadError::Unavailable(error.to_string());
    let transaction = db.begin_read().map_err(|error| failed(error.into()))?;
    let bounds = transaction
        .open_table(BOUNDS)
        .map_err(|error| failed(error.into()))?;
    let bounds = bounds.get(code(pp)).map_err(|error| failed(error.into()))?;
    let (first, last) = bounds.map_or(EMPTY, |bounds| bounds.value());
    if from < first {
        return Err(ReadError::Trimmed { first });
    }
    if from > last {
        return Err(ReadError::Unavailable(format!(
            "there is no record {from} yet, last is {last}"
        )));
    }
    let log = transaction
        .open_table(LOG)
        .map_err(|error| failed(error.into()))?;
    let range = (code(pp), from)..=(code(pp), to.min(last));
    let (mut records, mut bytes, mut next) = (Vec::new(), 0, from);
    for record in log.range(range).map_err(|error| failed(error.into()))? {
        let (key, record) = record.map_err(|error| failed(error.into()))?;
        let (_, seq) = key.value();
        if seq != next {
            return Err(ReadError::Unavailable(format!(
                "record {next} is missing: damaged file"
            )));
        }
        let record = Bytes::copy_from_slice(record.value());
        next += 1;
        bytes += record.len();
        records.push((seq, record));
        if bytes >= max_bytes {
            break;
        }
    }
    if records.is_empty() {
        return Err(ReadError::Unavailable(format!(
            "record {from} is missing: damaged file"
        )));
    }
    Ok(records)
}

/// The value under a key.
pub(super) fn get(db: &Database, pp: PartitionId, key: &str) -> Result<Option<Value>, redb::Error> {
    let table = db.begin_read()?.open_table(STORE)?;
    Ok(table
        .get((code(pp), key))?
        .map(|stored| value_of(stored.value())))
}

/// All keys and values at and below a prefix; everything when it is empty.
pub(super) fn scan(
    db: &Database,
    pp: PartitionId,
    prefix: &str,
) -> Result<Vec<(String, Value)>, redb::Error> {
    let table = db.begin_read()?.open_table(STORE)?;
    let pp = code(pp);
    let mut found = Vec::new();
    let range = if prefix.is_empty() {
        table.range((pp, "")..=(pp, "\u{10ffff}"))?
    } else {
        if let Some(stored) = table.get((pp, prefix))? {
            found.push((prefix.to_owned(), value_of(stored.value())));
        }
        let (from, to) = below(prefix);
        table.range((pp, from.as_str())..(pp, to.as_str()))?
    };
    for entry in range {
        let (key, stored) = entry?;
        found.push((key.value().1.to_owned(), value_of(stored.value())));
    }
    Ok(found)
}

fn value_of((revision, bytes): (u64, &[u8])) -> Value {
    Value {
        bytes: Bytes::copy_from_slice(bytes),
        revision: Revision(revision),
    }
}

impl Change {
    /// Bytes it brings, for the bound on what waits.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append { record, .. } => record.len(),
            Self::Put { value, .. } => value.len(),
            Self::Trim { .. } | Self::Purge { .. } => 0,
        }
    }

    /// Why it can never be done, whatever the file holds.
    pub(super) fn impossible(&self) -> Option<Outcome> {
        let too_large = |bytes: usize| {
            (bytes > MAX_RECORD)
                .then(|| format!("{bytes} bytes are above the {MAX_RECORD} allowed"))
        };
        match self {
            Self::Append { record, .. } => {
                let why = too_large(record.len())?;
                Some(Outcome::Append(Append::Refused { why }))
            }
            Self::Put { key, value, .. } => {
                let not_a_key =
                    || (!subject::is_subject(key)).then(|| format!("not a key: {key:?}"));
                let why = too_large(value.len()).or_else(not_a_key)?;
                Some(Outcome::Put(Put::Refused { why }))
            }
            Self::Purge { prefix, .. } if !subject::is_subject(prefix) => {
                Some(Outcome::Purge(Err(StoreError::Key(prefix.clone()))))
            }
            Self::Trim { .. } | Self::Purge { .. } => None,
        }
    }

    /// The outcome when nothing of it was or will be written.
    pub(super) fn not_done(&self, why: String) -> Outcome {
        match self {
            Self::Append { .. } => Outcome::Append(Append::Refused { why }),
            Self::Put { .. } => Outcome::Put(Put::Refused { why }),
            Self::Trim { .. } => Outcome::Trim(Err(TrimError::Unavailable(why))),
            Self::Purge { .. } => Outcome::Purge(Err(StoreError::Unavailable(why))),
        }
    }

    /// The outcome when nobody knows.
    pub(super) fn unclear(&self) -> Outcome {
        match self {
            Self::Append { .. } => Outcome::Append(Append::Unclear),
            Self::Put { .. } => Outcome::Put(Put::Unclear),
            Self::Trim { .. } | Self::Purge { .. } => {
                self.not_done("the writer stopped".to_owned())
            }
        }
    }

    /// Whether a file that was opened anew after the change failed shows that it was not written.
    pub(super) fn is_absent(&self, db: &Database) -> bool {
        match self {
            Self::Append {
                pp, expected_last, ..
            } => bounds(db, *pp).is_ok_and(|(_, last)| last <= *expected_last),
            Self::Put {
                pp, key, expected, ..
            } => get(db, *pp, key).is_ok_and(|found| {
                found.map_or(Revision::NONE, |found| found.revision) == *expected
            }),
            Self::Trim { .. } | Self::Purge { .. } => false,
        }
    }
}
