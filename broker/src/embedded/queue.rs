//! A subscription's queue: bounded in messages and bytes; what overflows is lost, and said to be.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::bus::LocalBus;
use crate::{Delivery, Message, Subscription};

/// Messages that may wait in one subscription.
const MAX_MESSAGES: usize = 65_536;
/// Bytes of payload that may wait in one subscription.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The part that the bus fills.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    lost: bool,
}

impl Queue {
    /// Adds a message, or notes its loss.
    pub(super) fn push(&self, message: Message) {
        let mut state = self.state.lock();
        let bytes = state.bytes + message.payload.len();
        if state.messages.len() == MAX_MESSAGES || bytes > MAX_BYTES {
            // Told after what is queued: that is where the hole is.
            state.lost = true;
        } else if !state.lost {
            state.bytes = bytes;
            state.messages.push_back(message);
        }
        drop(state);
        self.filled.notify_one();
    }

    fn pop(&self) -> Option<Delivery> {
        let mut state = self.state.lock();
        if let Some(message) = state.messages.pop_front() {
            state.bytes -= message.payload.len();
            if state.messages.is_empty() && state.messages.capacity() > 64 {
                state.messages = VecDeque::new();
            }
            return Some(Delivery::Message(message));
        }
        std::mem::take(&mut state.lost).then_some(Delivery::Lost)
    }
}

/// A subscription of the embedded bus; dropped, it is given up.
pub struct LocalSubscription {
    pub(super) bus: Arc<LocalBus>,
    pub(super) pattern: String,
    pub(super) queue: Arc<Queue>,
}

impl Subscription for LocalSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            // A flood must not keep its reader's thread from everyone else.
            tokio::task::consume_budget().await;
            if let Some(delivery) = self.queue.pop() {
                return Some(delivery);
            }
            self.queue.filled.notified().await;
        }
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        self.bus.unsubscribe(&self.pattern, &self.queue);
    }
}
