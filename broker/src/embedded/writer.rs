//! The writer: one thread that applies all changes of all partitions, those that wait together in one
//! transaction and one fsync. It owns opening the file, and opens it again when it has failed.

use std::{sync::Arc, thread::JoinHandle};

use parking_lot::{Mutex, RwLock};
use redb::{Database, DatabaseError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::engine::{self, Change, GroupError, Outcome};

/// Most changes of one transaction.
const GROUP: usize = 512;
/// Most bytes that wait for the writer; who brings more waits its turn.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Opens the file.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// The open file, or why there is none.
pub(super) type Slot = Arc<RwLock<Result<Arc<Database>, String>>>;

struct Job {
    change: Change,
    answer: oneshot::Sender<Outcome>,
    _permit: OwnedSemaphorePermit,
}

/// Hands changes to whoever applies them.
pub(super) enum Writer {
    /// A thread of its own.
    Thread {
        jobs: Option<mpsc::Sender<Job>>,
        room: Arc<Semaphore>,
        thread: Option<JoinHandle<()>>,
    },
    /// Whoever brings the change; for a file in memory, where there is no fsync to share.
    Inline(Mutex<File>),
}

/// The file and how to open it again.
pub(super) struct File {
    slot: Slot,
    open: Opener,
}

impl Writer {
    pub(super) fn inline(slot: Slot, open: Opener) -> Self {
        Self::Inline(Mutex::new(File { slot, open }))
    }

    pub(super) fn spawn(slot: Slot, open: Opener) -> std::io::Result<Self> {
        let (jobs, mut receiver) = mpsc::channel(GROUP);
        let file = File { slot, open };
        let thread = std::thread::Builder::new()
            .name("parlor-writer".to_owned())
            .spawn(move || {
                let mut group = Vec::with_capacity(GROUP);
                while receiver.blocking_recv_many(&mut group, GROUP) > 0 {
                    file.write(&mut group);
                }
            })?;
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        Ok(Self::Thread {
            jobs: Some(jobs),
            room,
            thread: Some(thread),
        })
    }

    pub(super) async fn submit(&self, change: Change) -> Outcome {
        if let Some(outcome) = change.impossible() {
            return outcome;
        }
        let (jobs, room) = match self {
            Self::Inline(file) => return file.lock().write_one(change),
            Self::Thread { jobs, room, .. } => (jobs.as_ref(), room),
        };
        let bytes = u32::try_from(change.bytes()).unwrap_or(u32::MAX);
        let permit = Arc::clone(room).acquire_many_owned(bytes).await;
        let (Some(jobs), Ok(_permit)) = (jobs, permit) else {
            return change.not_done("the writer stopped".to_owned());
        };
        let (answer, outcome) = oneshot::channel();
        let unclear = change.unclear();
        match jobs
            .send(Job {
                change,
                answer,
                _permit,
            })
            .await
        {
            Ok(()) => outcome.await.unwrap_or(unclear),
            Err(mpsc::error::SendError(job)) => {
                job.change.not_done("the writer stopped".to_owned())
            }
        }
    }
}

impl Drop for Writer {
    /// Waits until all that was handed over is written, so that the file can be opened again at once.
    fn drop(&mut self) {
        if let Self::Thread { jobs, thread, .. } = self {
            drop(jobs.take());
            if thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("the writer of the data folder panicked");
            }
        }
    }
}

impl File {
    fn write(&self, group: &mut Vec<Job>) {
        let (changes, answers): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|job| (job.change, (job.answer, job._permit)))
            .unzip();
        let outcomes = self.apply(&changes);
        for ((answer, _permit), outcome) in answers.into_iter().zip(outcomes) {
            // Who asked may have been dropped.
            let _ = answer.send(outcome);
        }
    }

    fn write_one(&self, change: Change) -> Outcome {
        let unclear = change.unclear();
        self.apply(&[change]).pop().unwrap_or(unclear)
    }

    fn apply(&self, changes: &[Change]) -> Vec<Outcome> {
        let db = match self.opened() {
            Ok(db) => db,
            Err(why) => {
                return changes
                    .iter()
                    .map(|change| change.not_done(why.clone()))
                    .collect();
            }
        };
        match engine::apply(&db, changes) {
            Ok(outcomes) => outcomes,
            Err(GroupError::Before(error)) => {
                let why = self.failed(db, &error);
                changes
                    .iter()
                    .map(|change| change.not_done(why.clone()))
                    .collect()
            }
            Err(GroupError::During(error)) => {
                let why = self.failed(db, &error);
                self.settle(changes, &why)
            }
        }
    }

    /// The open file; opened again when it had failed.
    fn opened(&self) -> Result<Arc<Database>, String> {
        if let Ok(db) = &*self.slot.read() {
            return Ok(Arc::clone(db));
        }
        let opened = (self.open)()
            .map(Arc::new)
            .map_err(|error| error.to_string());
        if opened.is_ok() {
            tracing::info!("the data file is open again");
        }
        self.slot.write().clone_from(&opened);
        opened
    }

    /// Closes a file whose last write failed: redb takes no further ones until it is opened anew.
    fn failed(&self, db: Arc<Database>, error: &redb::Error) -> String {
        let why = format!("the data file failed: {error}");
        tracing::error!(error = %error, "the data file failed; opening it again");
        *self.slot.write() = Err(why.clone());
        drop(db);
        why
    }

    /// Tells, from the file opened anew, what a failed commit left undone.
    fn settle(&self, changes: &[Change], why: &str) -> Vec<Outcome> {
        let opened = self.opened();
        let settle = |change: &Change| match &opened {
            Ok(db) if change.is_absent(db) => change.not_done(why.to_owned()),
            _ => change.unclear(),
        };
        changes.iter().map(settle).collect()
    }
}
