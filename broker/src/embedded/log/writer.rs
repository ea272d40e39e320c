//! What the log's writer thread does: appends and trims in one transaction, and the rewriting of the file
//! when a log was trimmed to its end.

use std::{sync::Arc, time::Duration};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    WriteTransaction,
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    BOUNDS, RECORDS, TRIMMED,
    change::{Change, Outcome},
    checksum,
    rewrite::rewrite,
};
use crate::{
    StoreError, TrimError,
    embedded::{
        file::{DataFile, opened},
        transaction::{self, Change as _, Failure},
        writer::Work,
    },
};

/// At least this long from one rewriting to the next …
const REWRITE_EVERY: Duration = Duration::from_secs(10);
/// … and this many times as long as it took: appends wait meanwhile.
const REWRITE_SHARE: u32 = 200;

/// The logs' changes.
pub(super) struct LogWork {
    file: Arc<DataFile>,
    /// Whether the file holds what was trimmed, as far as we know.
    has_trimmed: bool,
    /// Whether a log was trimmed to its end since the file was rewritten.
    is_rewrite_due: bool,
    rewrite_from: Instant,
}

impl LogWork {
    pub(super) fn new(file: Arc<DataFile>) -> Result<Self, redb::Error> {
        let database = file.database().map_err(redb::Error::Corrupted)?;
        make_tables(&database)?;
        Ok(Self {
            has_trimmed: true,
            is_rewrite_due: is_trimmed(&database)?,
            file,
            rewrite_from: Instant::now(),
        })
    }

    fn rewrite(&mut self) -> Result<(), StoreError> {
        let began = Instant::now();
        let rewritten = rewrite(&self.file);
        let took = began.elapsed();
        self.rewrite_from = Instant::now() + REWRITE_EVERY.max(took * REWRITE_SHARE);
        rewritten.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        self.has_trimmed = false;
        self.is_rewrite_due = false;
        debug!(
            rewrite.ms = took.as_millis(),
            "the log was rewritten without what was trimmed"
        );
        Ok(())
    }

    fn scrub(&mut self) -> Result<(), StoreError> {
        if self.has_trimmed {
            self.rewrite()?;
        }
        Ok(())
    }

    fn commit(&self, database: &Database, changes: &[Change]) -> Result<Vec<Outcome>, Failure> {
        let transaction = transaction::begin(database).map_err(Failure::before)?;
        let outcomes = apply(&transaction, changes).map_err(Failure::before)?;
        let unchanged =
            |outcome: &Outcome| matches!(outcome, Outcome::Conflict(_) | Outcome::Scrubbed(_));
        if outcomes.iter().all(unchanged) {
            return Ok(outcomes);
        }
        transaction.commit().map_err(Failure::of_commit)?;
        Ok(outcomes)
    }

    /// What the outcomes mean for the file.
    fn note(&mut self, database: &Database) {
        self.has_trimmed = true;
        // What cannot be read now is looked at when the next log is trimmed.
        self.is_rewrite_due |= is_trimmed(database).unwrap_or(false);
    }
}

impl Work for LogWork {
    type Change = Change;

    fn bytes(change: &Change) -> usize {
        match change {
            Change::Append { record, .. } => record.len(),
            Change::Trim { .. } | Change::Scrub { .. } => 0,
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        let database = match self.file.writable() {
            Ok(database) => database,
            Err(why) => {
                return changes
                    .into_iter()
                    .for_each(|change| change.fail(&why, false));
            }
        };
        let outcomes = match self.commit(&database, &changes) {
            Ok(outcomes) => outcomes,
            Err(failure) => return transaction::fail(&self.file, database, &failure, changes),
        };
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Trimmed(Ok(()))))
        {
            self.note(&database);
        }
        drop(database);
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            match change {
                Change::Scrub { .. } => {
                    let scrubbed = self.scrub();
                    change.tell(Outcome::Scrubbed(scrubbed));
                }
                change => change.tell(outcome),
            }
        }
    }

    fn chore_due(&self) -> Option<Instant> {
        self.is_rewrite_due.then_some(self.rewrite_from)
    }

    fn do_chore(&mut self) {
        if let Err(error) = self.rewrite() {
            let again = self.rewrite_from.saturating_duration_since(Instant::now());
            warn!(
                error = %error,
                again.ms = again.as_millis(),
                "the log could not be rewritten without what was trimmed"
            );
        }
    }
}

/// Their being there says that the file is not new.
fn make_tables(database: &Database) -> Result<(), redb::Error> {
    if database.begin_read()?.list_tables()?.next().is_none() {
        let transaction = database.begin_write()?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(BOUNDS)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether a log was trimmed to its end since the file was rewritten.
fn is_trimmed(database: &Database) -> Result<bool, redb::Error> {
    match opened(database.begin_read()?.open_table(TRIMMED))? {
        Some(trimmed) => Ok(!trimmed.is_empty()?),
        None => Ok(false),
    }
}

fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<Vec<Outcome>, redb::Error> {
    let mut records = transaction.open_table(RECORDS)?;
    let mut bounds = transaction.open_table(BOUNDS)?;
    let mut trimmed = transaction.open_table(TRIMMED)?;
    let apply = |change: &Change| match change {
        Change::Append {
            pp,
            expected_last,
            record,
            ..
        } => {
            let (last, first) = bounds.get(*pp)?.map_or((0, 1), |entry| entry.value());
            if last != *expected_last {
                return Ok(Outcome::Conflict(last));
            }
            let seq = last + 1;
            records.insert((*pp, seq), (checksum(seq, record), record.as_ref()))?;
            bounds.insert(*pp, (seq, first))?;
            Ok(Outcome::Written(seq))
        }
        Change::Trim { pp, up_to, .. } => {
            let (last, first) = bounds.get(*pp)?.map_or((0, 1), |entry| entry.value());
            if *up_to > last {
                let beyond = TrimError::BeyondLast {
                    up_to: *up_to,
                    last,
                };
                return Ok(Outcome::Trimmed(Err(beyond)));
            }
            records.retain_in((*pp, 0)..=(*pp, *up_to), |_, _| false)?;
            bounds.insert(*pp, (last, first.max(*up_to + 1)))?;
            if *up_to == last && first <= last {
                trimmed.insert((), ())?;
            }
            Ok(Outcome::Trimmed(Ok(())))
        }
        Change::Scrub { .. } => Ok(Outcome::Scrubbed(Ok(()))),
    };
    changes.iter().map(apply).collect()
}
