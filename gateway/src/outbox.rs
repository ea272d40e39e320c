//! What waits to be written to one socket: bounded, one wake-up for many frames, no timer of its own.
//!
//! Two queues: control frames (answers, pongs, notices) never wait behind the events of busy rooms, but
//! for one thing: they do not overtake a `joined` that was queued before them, for nothing of a room
//! comes before its `joined`. Events that find the queue full close the socket with 4013; the client
//! resumes and loses nothing.

use std::{collections::VecDeque, task::Context};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    close::Close,
    session::socket::{Outgoing, Text},
};

/// Live events that may wait (DESIGN section 10).
const MAX_EVENTS: usize = 256;
/// Bytes of live events that may wait.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Control frames that may wait. Reading stops long before, so only other people's actions lead here.
const MAX_CONTROL: usize = 1_024;
/// Reading from the socket stops while this many answers wait.
const BUSY_CONTROL: usize = 128;
/// More history is fetched for the socket once fewer live events than this wait …
const LOW_EVENTS: usize = 64;
/// … and fewer bytes of history than this.
const LOW_BACKLOG_BYTES: usize = 64 * 1024;
/// Bytes taken out for one write, so that a control frame waits behind no more than these.
const BATCH_BYTES: usize = 32 * 1024;
/// Queues that grew beyond this are given back when they are empty.
const KEEP_CAPACITY: usize = 16;

/// The frames on their way to one socket.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    waker: AtomicWaker,
    drained: Notify,
}

#[derive(Default)]
struct State {
    control: VecDeque<Control>,
    data: VecDeque<Data>,
    live_events: usize,
    live_bytes: usize,
    backlog_bytes: usize,
    /// Data frames ever queued, and ever taken out.
    queued: u64,
    taken: u64,
    /// The value of `queued` after the last `joined`.
    joined_at: u64,
    close: Option<Close>,
}

struct Control {
    frame: Outgoing,
    /// Goes out when this many data frames were taken.
    after: u64,
}

struct Data {
    text: Text,
    /// `joined` and history read on for it: fetched as the queue drains, so not counted against it.
    is_backlog: bool,
}

/// The queue ran over, and the socket is being closed for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Outbox {
    /// Queues an answer or notice.
    pub(crate) fn control(&self, frame: impl Into<Outgoing>) {
        let mut state = self.state.lock();
        if state.close.is_some() {
            return;
        }
        if state.control.len() >= MAX_CONTROL {
            state.close(Close::TOO_SLOW);
        } else {
            let after = state.joined_at;
            let frame = frame.into();
            state.control.push_back(Control { frame, after });
        }
        drop(state);
        self.waker.wake();
    }

    /// Queues a `joined`; what is queued after it goes out after it.
    pub(crate) fn joined(&self, text: Text) {
        let mut state = self.state.lock();
        state.push(text, true);
        state.joined_at = state.queued;
        drop(state);
        self.waker.wake();
    }

    /// Queues history that follows a `joined`. Call after [`wait_low`](Self::wait_low).
    pub(crate) fn backlog(&self, texts: impl IntoIterator<Item = Text>) {
        let mut state = self.state.lock();
        for text in texts {
            state.push(text, true);
        }
        drop(state);
        self.waker.wake();
    }

    /// Queues events as they happen.
    pub(crate) fn events(&self, texts: impl IntoIterator<Item = Text>) -> Result<(), Overflow> {
        let mut state = self.state.lock();
        if state.close.is_some() {
            return Ok(());
        }
        for text in texts {
            state.live_events += 1;
            state.live_bytes += text.len();
            state.push(text, false);
        }
        let is_over = state.live_events > MAX_EVENTS || state.live_bytes > MAX_EVENT_BYTES;
        if is_over {
            state.close(Close::TOO_SLOW);
        }
        drop(state);
        self.waker.wake();
        if is_over { Err(Overflow) } else { Ok(()) }
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
        self.state.lock().control.len() >= BUSY_CONTROL
    }

    /// Waits until the socket has taken most of what was queued, or is being closed. Cancel-safe.
    pub(crate) async fn wait_low(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.state.lock().is_low() {
                return;
            }
            drained.await;
        }
    }

    /// Waits for a close. Cancel-safe.
    pub(crate) async fn closing(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.is_closing() {
                return;
            }
            drained.await;
        }
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
}

impl State {
    fn push(&mut self, text: Text, is_backlog: bool) {
        if self.close.is_some() {
            return;
        }
        if is_backlog {
            self.backlog_bytes += text.len();
        }
        self.queued += 1;
        self.data.push_back(Data { text, is_backlog });
    }

    fn close(&mut self, close: Close) {
        if self.close.is_some() {
            return;
        }
        self.close = Some(close);
        if close == Close::TOO_SLOW {
            // Nobody reads them; the client asks for them again.
            self.taken += self.data.len() as u64;
            self.data = VecDeque::new();
            self.live_events = 0;
            self.live_bytes = 0;
            self.backlog_bytes = 0;
        }
    }

    fn is_low(&self) -> bool {
        self.close.is_some()
            || (self.live_events <= LOW_EVENTS && self.backlog_bytes <= LOW_BACKLOG_BYTES)
    }

    /// Moves frames out in order; `true` when none is left.
    fn take(&mut self, batch: &mut VecDeque<Outgoing>) -> bool {
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let control_may_go = |control: &mut Control| control.after <= self.taken;
            if let Some(control) = self.control.pop_front_if(control_may_go) {
                bytes += control.frame.len();
                batch.push_back(control.frame);
                continue;
            }
            let Some(data) = self.data.pop_front() else {
                self.release();
                return true;
            };
            self.taken += 1;
            if data.is_backlog {
                self.backlog_bytes -= data.text.len();
            } else {
                self.live_events -= 1;
                self.live_bytes -= data.text.len();
            }
            bytes += data.text.len();
            batch.push_back(data.text.into());
        }
        false
    }

    fn release(&mut self) {
        if self.control.capacity() > KEEP_CAPACITY {
            self.control = VecDeque::new();
        }
        if self.data.capacity() > KEEP_CAPACITY {
            self.data = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Text {
        Text::from(text.to_owned())
    }

    fn taken(outbox: &Outbox) -> (Vec<String>, Option<Close>) {
        let mut batch = VecDeque::new();
        let close = outbox.take(&mut batch);
        let texts = batch
            .iter()
            .filter_map(|frame| frame.text().map(str::to_owned));
        (texts.collect(), close)
    }

    #[test]
    fn answers_go_before_events_but_never_before_joined() {
        let outbox = Outbox::default();
        outbox.events([text("e1"), text("e2")]).unwrap();
        outbox.control(text("ack"));
        assert_eq!(taken(&outbox).0, ["ack", "e1", "e2"]);
        outbox.events([text("e3")]).unwrap();
        outbox.joined(text("joined"));
        outbox.control(text("ack"));
        outbox.events([text("e4")]).unwrap();
        assert_eq!(taken(&outbox).0, ["e3", "joined", "ack", "e4"]);
    }

    #[test]
    fn too_many_events_close_and_answers_still_go_out() {
        let outbox = Outbox::default();
        outbox.control(text("ack"));
        for _ in 0..MAX_EVENTS {
            outbox.events([text("e")]).unwrap();
        }
        assert_eq!(outbox.events([text("e")]), Err(Overflow));
        outbox.close(Close::DRAIN);
        assert_eq!(
            taken(&outbox),
            (vec!["ack".to_owned()], Some(Close::TOO_SLOW))
        );
    }

    #[test]
    fn too_many_bytes_close() {
        let outbox = Outbox::default();
        let big = text(&"x".repeat(MAX_EVENT_BYTES / 2 - 100));
        outbox.events([big.clone()]).unwrap();
        outbox.events([big.clone()]).unwrap();
        assert_eq!(outbox.events([big]), Err(Overflow));
    }

    #[test]
    fn the_close_waits_for_what_was_queued_before() {
        let outbox = Outbox::default();
        let big = text(&"x".repeat(BATCH_BYTES));
        outbox.events([big.clone(), big]).unwrap();
        outbox.close(Close::DRAIN);
        outbox.control(text("late"));
        assert_eq!(taken(&outbox).1, None);
        assert_eq!(taken(&outbox).1, None);
        assert_eq!(taken(&outbox), (Vec::new(), Some(Close::DRAIN)));
    }

    #[tokio::test]
    async fn history_waits_until_the_socket_has_taken_some() {
        let outbox = Outbox::default();
        outbox.joined(text(&"x".repeat(LOW_BACKLOG_BYTES + 1)));
        let wait = outbox.wait_low();
        tokio::pin!(wait);
        assert!(futures_util::poll!(wait.as_mut()).is_pending());
        taken(&outbox);
        wait.await;
    }
}
