//! What waits to be written to one socket: bounded in bytes, one wake-up for many frames, no timer of its
//! own.
//!
//! Two queues. Control frames (answers, pongs, notices, `joined`) never wait behind events. Events come
//! from feeds, one for each room: when more of them wait than may, all of them are dropped and their
//! feeds are behind, until the hub has filled them up again from what it remembers or from the rooms'
//! owners, as the socket drains. So a slow socket costs a bounded number of bytes, and itself alone.

mod feeds;
mod queues;

use std::{collections::VecDeque, sync::Weak, task::Context};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    close::Close,
    hub::Room,
    session::socket::{Outgoing, Text},
};

pub(crate) use feeds::{Behind, FeedId};
use queues::State;

/// Live events that may wait (DESIGN section 10).
const MAX_EVENTS: usize = 256;
/// Bytes of live events that may wait.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Control frames that may wait. Reading stops long before, so only other people's actions lead here.
const MAX_CONTROL: usize = 1_024;
/// Bytes of them: four rooms joined at a time have 256 KiB each.
const MAX_CONTROL_BYTES: usize = 4 * 1024 * 1024;
/// Reading from the socket stops while this many answers wait.
const BUSY_CONTROL: usize = 128;
/// More history is fetched for the socket once fewer live events than this wait …
const LOW_EVENTS: usize = 64;
/// … and fewer bytes than this, of history or of control frames.
const LOW_BYTES: usize = 64 * 1024;
/// Bytes taken out for one write, so that a control frame waits behind no more than these.
const BATCH_BYTES: usize = 32 * 1024;

/// The frames on their way to one socket.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    waker: AtomicWaker,
    drained: Notify,
    /// Feeds are behind that were not when the refill last looked.
    behind: Notify,
}

/// What became of events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fed {
    /// So many were queued.
    pub(crate) queued: u64,
    /// What waited was dropped.
    pub(crate) has_overflown: bool,
    /// Feeds are behind now that were not …
    is_behind: bool,
    /// … and whoever gets this has to start the refill.
    pub(crate) starts_refill: bool,
}

impl Outbox {
    /// Queues an answer or notice.
    pub(crate) fn control(&self, frame: impl Into<Outgoing>) {
        let is_over = self.state.lock().control(frame.into());
        self.waker.wake();
        if is_over {
            self.drained.notify_waiters();
        }
    }

    /// Queues frames that go before the next history and are not dropped. Call after
    /// [`wait_low`](Self::wait_low).
    pub(crate) fn backlog(&self, texts: impl IntoIterator<Item = Text>) {
        let mut state = self.state.lock();
        for text in texts {
            state.backlog(None, text);
        }
        drop(state);
        self.waker.wake();
    }

    /// Opens a room's feed that has everything up to `at`. It is behind, for whatever there is above.
    pub(crate) fn open(&self, room: Weak<Room>, at: u64) -> FeedId {
        self.state.lock().feeds.open(room, at)
    }

    /// Ends a feed, and drops what is queued of it.
    pub(crate) fn shut(&self, feed: FeedId) {
        let mut state = self.state.lock();
        let was_low = state.is_low();
        state.shut(feed);
        let now_low = state.is_low();
        drop(state);
        if now_low && !was_low {
            self.drained.notify_waiters();
        }
    }

    /// Queues events as they happen, unless their feed is behind. They are in order, with what has to be
    /// shown of each.
    pub(crate) fn events(
        &self,
        feed: FeedId,
        events: impl Iterator<Item = (u64, Option<Text>)>,
    ) -> Fed {
        let mut state = self.state.lock();
        let fed = state.events(feed, events);
        drop(state);
        if fed.queued > 0 || fed.has_overflown {
            self.waker.wake();
        }
        if fed.is_behind && !fed.starts_refill {
            self.behind.notify_one();
        }
        fed
    }

    /// How far a feed that is behind has come; `None` when it is not behind, or shut, or the socket is
    /// being closed.
    pub(crate) fn behind(&self, feed: FeedId) -> Option<u64> {
        self.state.lock().behind(feed)
    }

    /// Queues what a feed that is behind lacks, from above `from` up to `at`. From then on it is live, if
    /// that is all there is. `false` when the feed is not, or no longer, behind at `from`.
    pub(crate) fn fill(
        &self,
        feed: FeedId,
        from: u64,
        texts: impl IntoIterator<Item = Text>,
        at: u64,
        is_all: bool,
    ) -> bool {
        let is_filled = self.state.lock().fill(feed, from, texts, at, is_all);
        self.waker.wake();
        is_filled
    }

    /// Whether feeds are behind and nobody fills them yet: whoever gets `true` has to. Who fills others
    /// already is told.
    pub(crate) fn starts_refill(&self) -> bool {
        let starts = self.state.lock().feeds.starts_refill();
        if !starts {
            self.behind.notify_one();
        }
        starts
    }

    /// Waits until feeds may be behind that were not before. Cancel-safe.
    pub(crate) async fn more_behind(&self) {
        self.behind.notified().await;
    }

    /// A feed that is behind and that nobody fills, for whoever asks to fill.
    pub(crate) fn claim(&self) -> Option<Behind> {
        let mut state = self.state.lock();
        if state.close.is_some() {
            return None;
        }
        state.feeds.claim()
    }

    /// Gives back what was claimed.
    pub(crate) fn unclaim(&self, feed: FeedId) {
        self.state.lock().feeds.unclaim(feed);
    }

    /// Ends the refill if there is nothing left to fill; `false` when there is.
    pub(crate) fn ends_refill(&self) -> bool {
        let mut state = self.state.lock();
        let is_closing = state.close.is_some();
        state.feeds.ends_refill(is_closing)
    }

    /// Closes the socket once what was queued before is written. The first close counts.
    pub(crate) fn close(&self, close: Close) {
        self.state.lock().close(close);
        self.waker.wake();
        self.drained.notify_waiters();
    }

    /// Whether a close is under way.
    pub(crate) fn is_closing(&self) -> bool {
        self.state.lock().close.is_some()
    }

    /// Whether so many answers wait that no more questions should be read.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().is_busy()
    }

    /// Waits until the socket has taken most of what was queued, or is being closed. Cancel-safe.
    pub(crate) async fn wait_low(&self) {
        self.wait(State::is_low).await;
    }

    /// Waits for a close. Cancel-safe.
    pub(crate) async fn closing(&self) {
        self.wait(|state| state.close.is_some()).await;
    }

    /// Takes what one write should carry. The close comes when nothing is left before it.
    pub(crate) fn take(&self, batch: &mut VecDeque<Outgoing>) -> Option<Close> {
        let mut state = self.state.lock();
        let was_low = state.is_low();
        let is_drained = state.take(batch);
        let now_low = state.is_low();
        let close = if is_drained { state.close } else { None };
        drop(state);
        if now_low && !was_low {
            self.drained.notify_waiters();
        }
        close
    }

    /// The task to wake when something is queued.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Wakes the session for another reason than a frame.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().bytes()
    }

    async fn wait(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if is_so(&self.state.lock()) {
                return;
            }
            drained.await;
        }
    }
}

#[cfg(test)]
mod tests;
