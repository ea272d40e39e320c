//! The bus on core NATS.

use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::Nats;
use crate::{
    Bus, Delivery, MAX_BUS_PAYLOAD, Message, PublishError, RequestError, SubscribeError,
    Subscription,
};

/// Header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// How long a message may wait for those before it to get away.
const SEND_WITHIN: Duration = Duration::from_secs(1);
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
        let published = async {
            let client = &connection.client;
            match traceparent {
                Some(context) => {
                    let headers = headers(context);
                    client.publish_with_headers(subject, headers, payload).await
                }
                None => client.publish(subject, payload).await,
            }
        };
        // Waits only when what was published before does not get away.
        match tokio::time::timeout(SEND_WITHIN, published).await {
            Ok(published) => {
                published.map_err(|error| PublishError::Unavailable(error.to_string()))
            }
            Err(_) => Err(PublishError::Unavailable(
                "nats-server takes nothing".to_owned(),
            )),
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
        let connection = &self.shared.requests;
        if !connection.is_up() {
            return Err(RequestError::Unavailable("not connected".to_owned()));
        }
        let mut request = Request::new().payload(payload).timeout(Some(deadline));
        if let Some(context) = traceparent {
            request = request.headers(headers(context));
        }
        let asked = connection.client.send_request(subject.to_owned(), request);
        match tokio::time::timeout(deadline, asked).await {
            Ok(Ok(reply)) => Ok(reply.payload),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::NoResponders => RequestError::NoResponder,
                RequestErrorKind::TimedOut => RequestError::Timeout,
                _ => RequestError::Unavailable(error.to_string()),
            }),
            Err(_) => Err(RequestError::Timeout),
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
        let denials = connection.denials_of(pattern);
        let subscribed = async {
            let subscriber = connection.client.subscribe(pattern.to_owned()).await;
            let subscriber = subscriber.map_err(|error| error.to_string())?;
            connection.confirm().await?;
            Ok(subscriber)
        };
        let subscriber = match tokio::time::timeout(CONFIRM_WITHIN, subscribed).await {
            Ok(subscribed) => subscribed.map_err(unavailable)?,
            Err(_) => return Err(unavailable("nats-server takes nothing".to_owned())),
        };
        if connection.denials_of(pattern) > denials {
            return Err(unavailable(format!(
                "nats-server denies {pattern:?} to this user"
            )));
        }
        Ok(NatsSubscription { subscriber, losses })
    }

    fn is_connected(&self) -> bool {
        self.shared.is_up()
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
