//! The in-process bus: NATS's subjects and patterns, delivered under one lock, so that every subscriber
//! sees a publisher's messages in their order.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::queue::{LocalSubscription, Queue};
use crate::{
    Delivery, MAX_BUS_PAYLOAD, Message, PublishError, RequestError, SubscribeError,
    Subscription as _,
    subject::{covers, is_pattern, is_wildcard},
};

/// All subscriptions of the process.
#[derive(Default)]
pub(super) struct LocalBus {
    routes: RwLock<Routes>,
    requests: AtomicU64,
}

#[derive(Default)]
struct Routes {
    /// Patterns without a wildcard.
    exact: HashMap<String, Vec<Arc<Queue>>>,
    /// Patterns whose only wildcard is a last `*`, by what stands before it. Owners use them, one for
    /// each partition, so they must not be searched one by one.
    last_any: HashMap<String, Vec<Arc<Queue>>>,
    /// All others; few.
    other: Vec<(String, Arc<Queue>)>,
}

impl LocalBus {
    pub(super) fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> Result<(), PublishError> {
        if payload.len() > MAX_BUS_PAYLOAD {
            return Err(PublishError::TooLarge(payload.len()));
        }
        self.deliver(subject, &payload, None, traceparent);
        Ok(())
    }

    pub(super) async fn request(
        self: &Arc<Self>,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
        deadline: Duration,
    ) -> Result<Bytes, RequestError> {
        if payload.len() > MAX_BUS_PAYLOAD {
            return Err(RequestError::TooLarge(payload.len()));
        }
        let inbox = format!("_inbox.{}", self.requests.fetch_add(1, Ordering::Relaxed));
        let mut replies =
            Self::subscribe(self, &inbox).map_err(|e| RequestError::Unavailable(e.to_string()))?;
        if self.deliver(subject, &payload, Some(&inbox), traceparent) == 0 {
            return Err(RequestError::NoResponder);
        }
        match tokio::time::timeout(deadline, replies.next()).await {
            Ok(Some(Delivery::Message(reply))) => Ok(reply.payload),
            Ok(Some(Delivery::Lost) | None) | Err(_) => Err(RequestError::Timeout),
        }
    }

    pub(super) fn subscribe(
        this: &Arc<Self>,
        pattern: &str,
    ) -> Result<LocalSubscription, SubscribeError> {
        let queue = Arc::new(Queue::default());
        let mut routes = this.routes.write();
        match Pattern::of(pattern).ok_or_else(|| SubscribeError::Pattern(pattern.to_owned()))? {
            Pattern::Exact => {
                routes
                    .exact
                    .entry(pattern.to_owned())
                    .or_default()
                    .push(Arc::clone(&queue));
            }
            Pattern::LastAny(prefix) => {
                routes
                    .last_any
                    .entry(prefix.to_owned())
                    .or_default()
                    .push(Arc::clone(&queue));
            }
            Pattern::Other => routes.other.push((pattern.to_owned(), Arc::clone(&queue))),
        }
        Ok(LocalSubscription {
            bus: Arc::clone(this),
            pattern: pattern.to_owned(),
            queue,
        })
    }

    pub(super) fn unsubscribe(&self, pattern: &str, queue: &Arc<Queue>) {
        let mut routes = self.routes.write();
        let remove = |routes: &mut HashMap<String, Vec<Arc<Queue>>>, key: &str| {
            if let Some(queues) = routes.get_mut(key) {
                queues.retain(|other| !Arc::ptr_eq(other, queue));
                if queues.is_empty() {
                    routes.remove(key);
                }
            }
        };
        match Pattern::of(pattern) {
            Some(Pattern::Exact) => remove(&mut routes.exact, pattern),
            Some(Pattern::LastAny(prefix)) => remove(&mut routes.last_any, prefix),
            _ => routes.other.retain(|(_, other)| !Arc::ptr_eq(other, queue)),
        }
    }

    /// How many subscriptions it reached.
    fn deliver(
        &self,
        subject: &str,
        payload: &Bytes,
        reply: Option<&str>,
        traceparent: Option<&str>,
    ) -> usize {
        let routes = self.routes.read();
        let before_last = subject.rsplit_once('.').map_or("", |(before, _)| before);
        let exact = routes.exact.get(subject).into_iter().flatten();
        let last_any = routes.last_any.get(before_last).into_iter().flatten();
        let other = routes
            .other
            .iter()
            .filter(|(pattern, _)| covers(pattern, subject));
        let mut reached = 0;
        for queue in exact.chain(last_any).chain(other.map(|(_, queue)| queue)) {
            queue.push(Message {
                subject: subject.to_owned(),
                payload: payload.clone(),
                reply: reply.map(str::to_owned),
                traceparent: traceparent.map(str::to_owned),
            });
            reached += 1;
        }
        reached
    }
}

enum Pattern<'a> {
    Exact,
    LastAny(&'a str),
    Other,
}

impl<'a> Pattern<'a> {
    /// `None` for what is no pattern.
    fn of(pattern: &'a str) -> Option<Self> {
        if !is_pattern(pattern) {
            return None;
        }
        if !pattern.split('.').any(is_wildcard) {
            return Some(Self::Exact);
        }
        match pattern.rsplit_once('.') {
            Some((before, "*")) if !before.split('.').any(is_wildcard) => {
                Some(Self::LastAny(before))
            }
            _ => Some(Self::Other),
        }
    }
}
