//! The bus: messages at most once, in order per publisher and subject, and loss that is visible.

use std::{future::Future, time::Duration};

use bytes::Bytes;

/// A message bus. Subjects and patterns are NATS's: tokens joined by dots, `*` for one token, a last `>`
/// for one or more. Cheap to clone; clones share one connection.
pub trait Bus: Clone + Send + Sync + 'static {
    /// What [`subscribe`](Self::subscribe) returns.
    type Subscription: Subscription;

    /// Publishes to whoever listens now. `Ok` means that the message is on its way, not that it arrived.
    /// `traceparent` is the W3C trace context to travel with it.
    ///
    /// Cancel-safe: the message is published or not.
    ///
    /// # Errors
    /// [`PublishError`].
    fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Publishes and waits for the first reply, `deadline` at most.
    ///
    /// Cancel-safe: a late reply is dropped.
    ///
    /// # Errors
    /// [`RequestError`]; only [`RequestError::NoResponder`] says that nobody saw the request.
    fn request(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
        deadline: Duration,
    ) -> impl Future<Output = Result<Bytes, RequestError>> + Send;

    /// Listens to a pattern. Returned when the broker has it: a message published anywhere after this is
    /// received, or its loss is.
    ///
    /// Cancel-safe: a subscription nobody took is given up.
    ///
    /// # Errors
    /// [`SubscribeError`].
    fn subscribe(
        &self,
        pattern: &str,
    ) -> impl Future<Output = Result<Self::Subscription, SubscribeError>> + Send;

    /// Whether the broker is reachable now, as far as this process knows.
    fn is_connected(&self) -> bool;
}

/// A stream of what a pattern matched, bounded; dropped, it is given up.
pub trait Subscription: Send + 'static {
    /// The next message or notice of loss; `None` when the broker's connection was closed for good.
    ///
    /// Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Delivery>> + Send;
}

/// What a subscription yields.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A message.
    Message(Message),
    /// Messages may have been lost before what comes next: a reconnect, or a queue that ran over.
    Lost,
}

/// A received message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The subject it was published to.
    pub subject: String,
    /// Its content.
    pub payload: Bytes,
    /// Where to publish the reply, when one is awaited.
    pub reply: Option<String>,
    /// The W3C trace context that came with it.
    pub traceparent: Option<String>,
}

/// A message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The payload is above [`MAX_BUS_PAYLOAD`](crate::MAX_BUS_PAYLOAD).
    #[error("payload of {0} bytes is above the {max} that the bus takes", max = crate::MAX_BUS_PAYLOAD)]
    TooLarge(usize),
    /// The broker is not reachable, or refused it.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
}

/// A request got no reply.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody listens to the subject. Nobody saw the request.
    #[error("nobody listens to the subject")]
    NoResponder,
    /// No reply in time. The request may have been acted on.
    #[error("no reply in time")]
    Timeout,
    /// The payload is above [`MAX_BUS_PAYLOAD`](crate::MAX_BUS_PAYLOAD).
    #[error("payload of {0} bytes is above the {max} that the bus takes", max = crate::MAX_BUS_PAYLOAD)]
    TooLarge(usize),
    /// The broker is not reachable, or refused it. The request may have been acted on.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
}

/// A pattern is not listened to.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The pattern is not one.
    #[error("not a subject pattern: {0:?}")]
    Pattern(String),
    /// The broker is not reachable, or refused it.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
}
