//! The bus: who listens to what, and what becomes of a message on its way to each of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    SimBroker,
    link::Link,
    process::ProcessId,
    queue::{Next, Queue},
    world::World,
};
use crate::{
    Bus, Delivery, MAX_BUS_PAYLOAD, Message, PublishError, RequestError, SubscribeError,
    Subscription,
    subject::{covers, is_pattern},
};

/// What a process without a connection hears.
const AWAY: &str = "not connected";

/// All subscriptions.
#[derive(Default)]
pub(super) struct Routes {
    listeners: BTreeMap<u64, Listener>,
    begun: u64,
}

struct Listener {
    process: ProcessId,
    pattern: String,
    queue: Queue,
    wake: Arc<Notify>,
}

impl Routes {
    fn listen(&mut self, process: ProcessId, pattern: &str) -> (u64, Arc<Notify>) {
        self.begun += 1;
        let wake = Arc::new(Notify::new());
        let listener = Listener {
            process,
            pattern: pattern.to_owned(),
            queue: Queue::default(),
            wake: Arc::clone(&wake),
        };
        self.listeners.insert(self.begun, listener);
        (self.begun, wake)
    }

    /// A process is gone, and with it all that it listened to.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.listeners
            .retain(|_, listener| listener.process != process);
    }

    /// A process is not connected until `end`.
    pub(super) fn cut(&mut self, process: ProcessId, end: Instant) {
        for listener in self.listeners.values_mut() {
            if listener.process == process {
                listener.queue.cut(end);
                listener.wake.notify_one();
            }
        }
    }

    /// Who listens to a subject.
    fn to(&self, subject: &str) -> Vec<u64> {
        let covering = self
            .listeners
            .iter()
            .filter(|(_, listener)| covers(&listener.pattern, subject));
        covering.map(|(id, _)| *id).collect()
    }
}

impl World {
    /// Sends a message to whoever listens now; how many those are.
    fn publish(&mut self, from: ProcessId, message: &Message) -> usize {
        let mut reached = 0;
        for listener in self.routes.to(&message.subject) {
            let to = self.routes.listeners.get(&listener).map(|to| to.process);
            if to.is_some_and(|to| self.processes.is_here(to)) {
                reached += 1;
                self.send(from, listener, message);
            }
        }
        reached
    }

    /// Sends a message to one listener, with what befalls it on the way.
    fn send(&mut self, from: ProcessId, to: u64, message: &Message) {
        let faults = self.faults.on(&message.subject);
        let at = Instant::now() + self.way();
        let late = at + self.up_to(faults.delay_max);
        let (dropped, lost) = (self.happens(faults.dropped), self.happens(faults.lost));
        let (delayed, doubled) = (self.happens(faults.delayed), self.happens(faults.doubled));
        if dropped || lost || delayed || doubled {
            let subject = &message.subject;
            let fate = format!("dropped={dropped} lost={lost} delayed={delayed} doubled={doubled}");
            self.note(from, format_args!("message on {subject}: {fate}"));
        }
        let Some(listener) = self.routes.listeners.get_mut(&to) else {
            return;
        };
        if dropped {
            return;
        }
        let queue = &mut listener.queue;
        if lost {
            queue.push_lost(at);
        } else if delayed {
            queue.push(late, message.clone());
        } else {
            queue.push_in_order(from, at, message.clone());
        }
        if doubled && !lost {
            queue.push(late, message.clone());
        }
        listener.wake.notify_one();
    }
}

impl Link {
    /// Publishes; how many listen. `None` without a connection.
    fn publish(&self, message: &Message) -> Option<usize> {
        let mut world = self.shared.world.lock();
        if !world.processes.is_here(self.process) {
            return None;
        }
        let reached = world.publish(self.process, message);
        let subject = &message.subject;
        world.note(
            self.process,
            format_args!("publish on {subject} to {reached}"),
        );
        Some(reached)
    }

    fn listen(&self, pattern: &str) -> SimSubscription {
        let mut world = self.shared.world.lock();
        let (id, wake) = world.routes.listen(self.process, pattern);
        SimSubscription {
            link: self.clone(),
            id,
            wake,
        }
    }
}

impl Bus for SimBroker {
    type Subscription = SimSubscription;

    async fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> Result<(), PublishError> {
        if payload.len() > MAX_BUS_PAYLOAD {
            return Err(PublishError::TooLarge(payload.len()));
        }
        self.link.pause().await;
        let message = message(subject, payload, None, traceparent);
        match self.link.publish(&message) {
            Some(_) => Ok(()),
            None => Err(PublishError::Unavailable(AWAY.to_owned())),
        }
    }

    async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
        deadline: Duration,
    ) -> Result<Bytes, RequestError> {
        if payload.len() > MAX_BUS_PAYLOAD {
            return Err(RequestError::TooLarge(payload.len()));
        }
        let deadline = Instant::now() + deadline;
        self.link.pause().await;
        let inbox = format!("_inbox.{}", self.link.shared.world.lock().routes.begun + 1);
        let mut replies = self.link.listen(&inbox);
        let message = message(subject, payload, Some(inbox), traceparent);
        match self.link.publish(&message) {
            None => return Err(RequestError::Unavailable(AWAY.to_owned())),
            Some(0) => {
                self.link.pause().await;
                return Err(RequestError::NoResponder);
            }
            Some(_) => {}
        }
        loop {
            match timeout_at(deadline, replies.next()).await {
                Ok(Some(Delivery::Message(reply))) => return Ok(reply.payload),
                Ok(Some(Delivery::Lost)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.link.pass().await;
        Err(RequestError::Timeout)
    }

    async fn subscribe(&self, pattern: &str) -> Result<SimSubscription, SubscribeError> {
        if !is_pattern(pattern) {
            return Err(SubscribeError::Pattern(pattern.to_owned()));
        }
        self.link.pause().await;
        if !self.is_connected() {
            return Err(SubscribeError::Unavailable(AWAY.to_owned()));
        }
        let subscription = self.link.listen(pattern);
        self.link.note(format_args!("subscribe to {pattern}"));
        self.link.pause().await;
        Ok(subscription)
    }

    fn is_connected(&self) -> bool {
        self.link.is_here()
    }
}

fn message(
    subject: &str,
    payload: Bytes,
    reply: Option<String>,
    traceparent: Option<&str>,
) -> Message {
    Message {
        subject: subject.to_owned(),
        payload,
        reply,
        traceparent: traceparent.map(str::to_owned),
    }
}

/// A subscription of a simulated process; dropped, it is given up.
pub struct SimSubscription {
    link: Link,
    id: u64,
    wake: Arc<Notify>,
}

impl Subscription for SimSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        self.link.pause().await;
        loop {
            match self.pop() {
                Next::Now(delivery) => return Some(delivery),
                // Looked at again, whichever it was: time or another message.
                Next::At(at) => {
                    let _ = timeout_at(at, self.wake.notified()).await;
                }
                Next::Nothing => self.wake.notified().await,
            }
            self.link.pass().await;
        }
    }
}

impl SimSubscription {
    fn pop(&self) -> Next {
        let mut world = self.link.shared.world.lock();
        let Some(listener) = world.routes.listeners.get_mut(&self.id) else {
            return Next::Nothing;
        };
        let next = listener.queue.pop();
        if let Next::Now(delivery) = &next {
            let process = self.link.process;
            match delivery {
                Delivery::Message(message) => {
                    world.note(process, format_args!("heard {}", message.subject));
                }
                Delivery::Lost => world.note(process, format_args!("heard of a loss")),
            }
        }
        next
    }
}

impl Drop for SimSubscription {
    fn drop(&mut self) {
        self.link
            .shared
            .world
            .lock()
            .routes
            .listeners
            .remove(&self.id);
    }
}
