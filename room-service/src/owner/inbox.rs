//! Requests on their way in: bounded in bytes, stamped with their arrival, taken in while the owner waits
//! for the log.

use std::{collections::VecDeque, future::Future, pin::pin};

use broker::{Delivery, Message, Subscription};
use tokio::time::Instant;

/// Bytes of requests that wait here; beyond, the subscription's own bound holds, and what overflows that
/// is lost, which gateways answer by retrying.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A subscription and what it brought.
pub(super) struct Inbox<S> {
    subscription: S,
    arrived: VecDeque<(Instant, Message)>,
    bytes: usize,
    open: bool,
}

impl<S: Subscription> Inbox<S> {
    pub(super) fn new(subscription: S) -> Self {
        Self {
            subscription,
            arrived: VecDeque::new(),
            bytes: 0,
            open: true,
        }
    }

    /// Waits for one more request; `false` when none will come. Cancel-safe.
    pub(super) async fn fill(&mut self) -> bool {
        match self.subscription.next().await {
            Some(Delivery::Message(message)) => {
                self.bytes += message.payload.len();
                self.arrived.push_back((Instant::now(), message));
            }
            // Lost requests are repeated by their gateways.
            Some(Delivery::Lost) => {}
            None => self.open = false,
        }
        self.open
    }

    /// Waits for `operation` and takes requests in meanwhile.
    pub(super) async fn fill_until<T>(&mut self, operation: impl Future<Output = T>) -> T {
        let mut operation = pin!(operation);
        loop {
            let has_room = self.has_room();
            tokio::select! {
                biased;
                output = &mut operation => return output,
                _ = self.fill(), if has_room => {}
            }
        }
    }

    /// Whether more may be taken in, and may come.
    pub(super) fn has_room(&self) -> bool {
        self.open && self.bytes < MAX_BYTES
    }

    /// Whether none waits, and none will come.
    pub(super) fn has_ended(&self) -> bool {
        !self.open && self.arrived.is_empty()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// The oldest request and when it came.
    pub(super) fn pop(&mut self) -> Option<(Instant, Message)> {
        let (at, message) = self.arrived.pop_front()?;
        self.bytes -= message.payload.len();
        Some((at, message))
    }
}
