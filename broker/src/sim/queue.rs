//! What is on its way to one subscription: bounded, ordered by when it arrives.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::process::ProcessId;
use crate::{Delivery, Message};

/// Messages that may be under way or wait.
const MAX_MESSAGES: usize = 65_536;
/// Bytes of payload that may be under way or wait.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A subscription's queue.
#[derive(Default)]
pub(super) struct Queue {
    /// By arrival; of the same moment in the order of their sending.
    arriving: BTreeMap<(Instant, u64), Delivery>,
    pushed: u64,
    bytes: usize,
    /// Messages did not fit: told after what is queued, where the hole is.
    overflown: bool,
    /// When the last message of a publisher arrives that is not to be overtaken.
    latest: BTreeMap<ProcessId, Instant>,
}

/// What a queue has.
pub(super) enum Next {
    Now(Delivery),
    At(Instant),
    Nothing,
}

impl Queue {
    /// Adds a message that arrives at `at`, or after the one before it of the same publisher.
    pub(super) fn push_in_order(&mut self, from: ProcessId, at: Instant, message: Message) {
        let latest = self.latest.entry(from).or_insert(at);
        *latest = at.max(*latest);
        let at = *latest;
        self.push(at, message);
    }

    /// Adds a message that arrives at `at`, whatever was before it.
    pub(super) fn push(&mut self, at: Instant, message: Message) {
        let bytes = self.bytes + message.payload.len();
        if self.arriving.len() >= MAX_MESSAGES || bytes > MAX_BYTES {
            self.overflown = true;
        } else if !self.overflown {
            self.bytes = bytes;
            self.add(at, Delivery::Message(message));
        }
    }

    /// Adds a notice of loss.
    pub(super) fn push_lost(&mut self, at: Instant) {
        self.add(at, Delivery::Lost);
    }

    /// The connection is away until `end`: what has not arrived never will.
    pub(super) fn cut(&mut self, end: Instant) {
        let now = Instant::now();
        let gone = self.arriving.split_off(&(now, u64::MAX));
        self.bytes -= gone.values().map(bytes).sum::<usize>();
        self.push_lost(now);
        self.push_lost(end);
    }

    pub(super) fn pop(&mut self) -> Next {
        let Some(first) = self.arriving.first_entry() else {
            return if std::mem::take(&mut self.overflown) {
                Next::Now(Delivery::Lost)
            } else {
                Next::Nothing
            };
        };
        let (at, _) = *first.key();
        if at > Instant::now() {
            return Next::At(at);
        }
        let delivery = first.remove();
        self.bytes -= bytes(&delivery);
        Next::Now(delivery)
    }

    fn add(&mut self, at: Instant, delivery: Delivery) {
        self.pushed += 1;
        self.arriving.insert((at, self.pushed), delivery);
    }
}

fn bytes(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Message(message) => message.payload.len(),
        Delivery::Lost => 0,
    }
}
