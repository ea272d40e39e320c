//! A writer thread: takes all changes that wait, and gives them to its work at once, so that one sync serves
//! them all. While nothing waits it does the work's chores.

use std::{
    io,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::error;

/// Changes that may wait; beyond, whoever asks waits too.
const WAITING: usize = 4_096;
/// Bytes of one transaction.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What a writer thread does.
pub(super) trait Work: Send + 'static {
    /// One change, and whom to tell its outcome.
    type Change: Send + 'static;

    /// Bytes that a change writes.
    fn bytes(change: &Self::Change) -> usize;

    /// Makes changes durable, in this order, and tells each what became of it.
    fn write(&mut self, changes: Vec<Self::Change>);

    /// When there is something to do that nobody waits for.
    fn chore_due(&self) -> Option<Instant>;

    /// Does it.
    fn do_chore(&mut self);
}

/// The handle of a writer thread.
pub(super) struct Writer<C> {
    changes: Option<mpsc::Sender<C>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Send + 'static> Writer<C> {
    pub(super) fn start(name: &str, work: impl Work<Change = C>) -> io::Result<Self> {
        let (changes, waiting) = mpsc::channel(WAITING);
        // Only to wait for a change or for a time, whatever comes first.
        let clock = Builder::new_current_thread().enable_time().build()?;
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || run(work, waiting, &clock))?;
        Ok(Self {
            changes: Some(changes),
            thread: Some(thread),
        })
    }

    /// Asks for a change and waits for its outcome; `None` when the writer ended before it told.
    pub(super) async fn change<T>(
        &self,
        change: impl FnOnce(oneshot::Sender<T>) -> C,
    ) -> Option<T> {
        let (done, outcome) = oneshot::channel();
        self.changes.as_ref()?.send(change(done)).await.ok()?;
        outcome.await.ok()
    }
}

impl<C> Drop for Writer<C> {
    /// Waits until all that was given is written, so that the folder can be opened again at once.
    fn drop(&mut self) {
        drop(self.changes.take());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            error!("a writer of the data folder panicked");
        }
    }
}

fn run<W: Work>(mut work: W, mut waiting: mpsc::Receiver<W::Change>, clock: &Runtime) {
    loop {
        let Some(first) = next(&mut work, &mut waiting, clock) else {
            return;
        };
        let mut bytes = W::bytes(&first);
        let mut changes = vec![first];
        while bytes < MAX_BYTES
            && let Ok(change) = waiting.try_recv()
        {
            bytes += W::bytes(&change);
            changes.push(change);
        }
        work.write(changes);
    }
}

/// The next change; does the chores that are due before it comes.
fn next<W: Work>(
    work: &mut W,
    waiting: &mut mpsc::Receiver<W::Change>,
    clock: &Runtime,
) -> Option<W::Change> {
    loop {
        let Some(due) = work.chore_due() else {
            return waiting.blocking_recv();
        };
        // Also when changes never cease.
        if due <= Instant::now() {
            work.do_chore();
            continue;
        }
        // A timer is made where it runs.
        let wait = async { tokio::time::timeout_at(due, waiting.recv()).await };
        if let Ok(change) = clock.block_on(wait) {
            return change;
        }
    }
}
