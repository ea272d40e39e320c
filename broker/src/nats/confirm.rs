//! Makes sure that the server has taken in all that was said on a connection. A client cannot wait for a
//! PONG, so it asks on a subject that nobody listens to: the server answers that itself, after all before
//! it. Where somebody does listen, to everything, a message to oneself tells as much.

use std::time::Duration;

use async_nats::{Client, Request, RequestErrorKind};
use bytes::Bytes;
use futures_util::StreamExt as _;

/// How long the server may take to say that nobody listens.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long it may take to bring a message back.
const ECHO_WITHIN: Duration = Duration::from_secs(1);

/// Where to ask.
#[derive(Clone)]
pub(super) struct Confirm {
    /// `<prefix>.sync`: nobody listens there.
    nobody: String,
    /// Below the inbox of the role.
    echo: String,
}

impl Confirm {
    pub(super) fn new(prefix: &str, inbox: &str) -> Self {
        Self {
            nobody: format!("{prefix}.sync"),
            echo: format!("{inbox}.sync"),
        }
    }

    /// Cancel-safe.
    pub(super) async fn wait(&self, client: &Client) -> Result<(), String> {
        let request = Request::new().timeout(Some(ANSWER_WITHIN));
        let asked = client.send_request(self.nobody.clone(), request);
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
            Ok(Err(error)) if error.kind() != RequestErrorKind::TimedOut => Err(error.to_string()),
            Ok(Err(_)) | Err(_) => match tokio::time::timeout(ECHO_WITHIN, self.hear(client)).await
            {
                Ok(heard) => heard,
                Err(_) => Err("nats-server does not answer".to_owned()),
            },
        }
    }

    async fn hear(&self, client: &Client) -> Result<(), String> {
        let subject = format!("{}.{:016x}", self.echo, rand::random::<u64>());
        let echo = client.subscribe(subject.clone()).await;
        let mut echo = echo.map_err(|error| error.to_string())?;
        let sent = client.publish(subject, Bytes::new()).await;
        sent.map_err(|error| error.to_string())?;
        echo.next()
            .await
            .map(drop)
            .ok_or_else(|| "the connection is closed".to_owned())
    }
}
