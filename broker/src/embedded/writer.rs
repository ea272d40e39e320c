//! The one writer: takes all changes that wait, makes them in one transaction, syncs once, and then tells
//! each what became of it.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use redb::{Database, Durability, ReadableTable as _, Table, WriteTransaction};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{
    change::{Change, Outcome},
    file::DataFile,
    storage::{BOUNDS, LOG, REVISIONS, STORE, is_below},
};
use crate::TrimError;

/// Changes that may wait; beyond, whoever asks waits too.
const WAITING: usize = 4_096;
/// Bytes of one transaction.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The handle of the writer thread.
pub(super) struct Writer {
    changes: Option<mpsc::Sender<Change>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(file: Arc<DataFile>) -> io::Result<Self> {
        let (changes, waiting) = mpsc::channel(WAITING);
        let thread = thread::Builder::new().name("parlor-store".to_owned());
        let thread = thread.spawn(move || run(&file, waiting))?;
        Ok(Self {
            changes: Some(changes),
            thread: Some(thread),
        })
    }

    /// Asks for a change and waits for its outcome; `None` when the writer ended before it told.
    pub(super) async fn change<T>(
        &self,
        change: impl FnOnce(oneshot::Sender<T>) -> Change,
    ) -> Option<T> {
        let (done, outcome) = oneshot::channel();
        self.changes.as_ref()?.send(change(done)).await.ok()?;
        outcome.await.ok()
    }
}

impl Drop for Writer {
    /// Waits until all that was given is written, so that the folder can be opened again at once.
    fn drop(&mut self) {
        drop(self.changes.take());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            error!("the writer of the data folder panicked");
        }
    }
}

fn run(file: &DataFile, mut waiting: mpsc::Receiver<Change>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut bytes = first.bytes();
        let mut changes = vec![first];
        while bytes < MAX_BYTES
            && let Ok(change) = waiting.try_recv()
        {
            bytes += change.bytes();
            changes.push(change);
        }
        write(file, changes);
    }
}

/// Makes the changes in one transaction, and tells each what became of it.
fn write(file: &DataFile, changes: Vec<Change>) {
    let database = match file.writable() {
        Ok(database) => database,
        Err(why) => {
            return changes
                .into_iter()
                .for_each(|change| change.fail(&why, false));
        }
    };
    let failure = match commit(&database, &changes) {
        Ok(outcomes) => {
            return changes
                .into_iter()
                .zip(outcomes)
                .for_each(|(change, of)| change.tell(of));
        }
        Err(failure) => failure,
    };
    file.close(database, &failure.error);
    let why = failure.error.to_string();
    // A file opened anew shows what a failed commit left undone: the lock keeps all others out, so what is
    // not there now never will be.
    let reopened = failure.may_be_written.then(|| file.writable());
    for change in changes {
        let unclear = match &reopened {
            None => false,
            Some(Ok(database)) => !change.is_absent(database),
            Some(Err(_)) => true,
        };
        change.fail(&why, unclear);
    }
}

struct Failure {
    error: redb::Error,
    /// The commit itself failed: nobody knows what is on disk.
    may_be_written: bool,
}

fn commit(database: &Database, changes: &[Change]) -> Result<Vec<Outcome>, Failure> {
    let before = |error| Failure {
        error,
        may_be_written: false,
    };
    let begin = || -> Result<WriteTransaction, redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction)
    };
    let transaction = begin().map_err(before)?;
    let outcomes = apply(&transaction, changes).map_err(before)?;
    let unchanged = |outcome: &Outcome| matches!(outcome, Outcome::Conflict(_));
    if outcomes.iter().all(unchanged) {
        return Ok(outcomes);
    }
    transaction.commit().map_err(|error| Failure {
        error: error.into(),
        may_be_written: true,
    })?;
    Ok(outcomes)
}

fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<Vec<Outcome>, redb::Error> {
    let mut log = transaction.open_table(LOG)?;
    let mut bounds = transaction.open_table(BOUNDS)?;
    let mut store = transaction.open_table(STORE)?;
    let mut revisions = transaction.open_table(REVISIONS)?;
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
            log.insert((*pp, last + 1), record.as_ref())?;
            bounds.insert(*pp, (last + 1, first))?;
            Ok(Outcome::Written(last + 1))
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
            log.retain_in((*pp, 0)..=(*pp, *up_to), |_, _| false)?;
            bounds.insert(*pp, (last, first.max(*up_to + 1)))?;
            Ok(Outcome::Trimmed(Ok(())))
        }
        Change::Put {
            pp,
            key,
            value,
            expected,
            ..
        } => {
            let found = store
                .get((*pp, key.as_str()))?
                .map_or(0, |entry| entry.value().0);
            if found != expected.0 {
                return Ok(Outcome::Conflict(found));
            }
            let revision = revisions.get(*pp)?.map_or(0, |entry| entry.value()) + 1;
            revisions.insert(*pp, revision)?;
            store.insert((*pp, key.as_str()), (revision, value.as_ref()))?;
            Ok(Outcome::Written(revision))
        }
        Change::Purge { pp, prefix, .. } => {
            purge(&mut store, *pp, prefix)?;
            Ok(Outcome::Purged)
        }
    };
    changes.iter().map(apply).collect()
}

fn purge(
    store: &mut Table<'_, (u32, &str), (u64, &[u8])>,
    pp: u32,
    prefix: &str,
) -> Result<(), redb::Error> {
    let mut keys = Vec::new();
    for entry in store.range((pp, prefix)..)? {
        let (key, _) = entry?;
        let (of, key) = key.value();
        if of != pp || !key.starts_with(prefix) {
            break;
        }
        if is_below(key, prefix) {
            keys.push(key.to_owned());
        }
    }
    for key in keys {
        store.remove((pp, key.as_str()))?;
    }
    Ok(())
}
