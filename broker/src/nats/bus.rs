//! The bus on core NATS.

use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::{Nats, connect::Connection};
use crate::{
    Bus, Delivery, MAX_BUS_PAYLOAD, Message, PublishError, RequestError, SubscribeError,
    Subscription,
};

/// Header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// How long the server may take to confirm a subscription.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);

impl Bus for Nats {
    type Subscription = NatsSubscription;

    async fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> Result<(), PublishError> {
        if payload.len() > MAX_BUS_PAYLOAD {
            return Err(PublishError::TooLarge(payload.len()));
        }
        let connection = &self.shared.outgoing;
        if !connection.is_up() {
            return Err(PublishError::Unavailable("not connected".to_owned()));
        }
        let subject = subject.to_owned();
        let published = match traceparent {
            Some(context) => {
                connection
                    .client
                    .publish_with_headers(subject, headers(context), payload)
                    .await
            }
            None => connection.client.publish(subject, payload).await,
        };
        published.map_err(|error| PublishError::Unavailable(error.to_string()))
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
        let connection = &self.shared.requests;
        if !connection.is_up() {
            return Err(RequestError::Unavailable("not connected".to_owned()));
        }
        let mut request = Request::new().payload(payload).timeout(Some(deadline));
        if let Some(context) = traceparent {
            request = request.headers(headers(context));
        }
        match connection
            .client
            .send_request(subject.to_owned(), request)
            .await
        {
            Ok(reply) => Ok(reply.payload),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => RequestError::NoResponder,
                RequestErrorKind::TimedOut => RequestError::Timeout,
                _ => RequestError::Unavailable(error.to_string()),
            }),
        }
    }

    async fn subscribe(&self, pattern: &str) -> Result<NatsSubscription, SubscribeError> {
        if !is_pattern(pattern) {
            return Err(SubscribeError::Pattern(pattern.to_owned()));
        }
        let connection = &self.shared.incoming;
        if !connection.is_up() {
            return Err(SubscribeError::Unavailable("not connected".to_owned()));
        }
        let unavailable = |error: String| SubscribeError::Unavailable(error);
        let mut losses = connection.losses.clone();
        losses.mark_unchanged();
        let subscriber = connection.client.subscribe(pattern.to_owned()).await;
        let subscriber = subscriber.map_err(|error| unavailable(error.to_string()))?;
        let sync = format!("{}.sync", self.shared.options.subjects.prefix());
        confirm(connection, sync).await.map_err(unavailable)?;
        Ok(NatsSubscription { subscriber, losses })
    }

    fn is_connected(&self) -> bool {
        self.shared.outgoing.is_up() && self.shared.incoming.is_up() && self.shared.requests.is_up()
    }
}

/// Waits until the server has taken in all that was said on this connection. A client cannot wait for a
/// PONG, so it asks on a subject that nobody listens to: the answer to that comes after all before it.
async fn confirm(connection: &Connection, subject: String) -> Result<(), String> {
    let request = Request::new().timeout(Some(CONFIRM_WITHIN));
    match connection.client.send_request(subject, request).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
        Err(error) => Err(format!("the subscription was not confirmed: {error}")),
    }
}

fn headers(traceparent: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, traceparent);
    headers
}

fn is_pattern(pattern: &str) -> bool {
    let tokens: Vec<_> = pattern.split('.').collect();
    tokens.iter().enumerate().all(|(at, token)| {
        let last = at + 1 == tokens.len();
        !token.is_empty() && !token.contains(char::is_whitespace) && (*token != ">" || last)
    })
}

/// A subscription on NATS; dropped, it is given up.
pub struct NatsSubscription {
    subscriber: Subscriber,
    losses: watch::Receiver<u64>,
}

impl Subscription for NatsSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            // Loss first: what is queued behind it may be after the hole.
            biased;
            changed = self.losses.changed() => changed.is_ok().then_some(Delivery::Lost),
            message = self.subscriber.next() => message.map(|message| Delivery::Message(received(message))),
        }
    }
}

fn received(message: async_nats::Message) -> Message {
    let context = message
        .headers
        .as_ref()
        .and_then(|headers| headers.get(TRACEPARENT));
    Message {
        traceparent: context.map(|value| value.as_str().to_owned()),
        subject: message.subject.to_string(),
        payload: message.payload,
        reply: message.reply.map(|reply| reply.to_string()),
    }
}
