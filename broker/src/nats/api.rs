//! What we use of the JetStream API, as requests on its subjects (NATS ADR-1, ADR-31): each is answered by
//! the stream's leader, and an answer that does not come is unclear, never guessed.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestError, RequestErrorKind};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proto::{PartitionId, subject::Subjects};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use super::connect::Connection;

/// How long the leader may take. Longer stalls (an election takes seconds) are the caller's to wait out.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Answers that are made of whole streams (creation, purge, subjects) take longer.
const SLOW_ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Error codes of the API (server/errors.json).
pub(super) mod code {
    pub(in crate::nats) const NO_MESSAGE: u32 = 10_037;
    const SEQUENCE_NOT_FOUND: u32 = 10_043;
    const DELETE_FAILED: u32 = 10_057;
    pub(in crate::nats) const STREAM_NOT_FOUND: u32 = 10_059;
    pub(in crate::nats) const STREAM_NAME_IN_USE: u32 = 10_058;
    pub(in crate::nats) const REPLICAS_NOT_SUPPORTED: u32 = 10_074;
    pub(in crate::nats) const WRONG_LAST_SEQUENCE: u32 = 10_071;
    pub(in crate::nats) const WRONG_LAST_SEQUENCE_CONSTANT: u32 = 10_164;
    pub(in crate::nats) const TOO_LARGE: u32 = 10_054;
    const INSUFFICIENT_RESOURCES: u32 = 10_023;
    const INSUFFICIENT_STORAGE: u32 = 10_047;
    const STORE_FAILED: u32 = 10_077;

    /// Whether there is nothing to remove.
    pub(in crate::nats) fn is_gone(code: u32, words: &str) -> bool {
        match code {
            NO_MESSAGE | SEQUENCE_NOT_FOUND => true,
            DELETE_FAILED => words.contains("no message found"),
            _ => false,
        }
    }

    /// Whether the message was surely not stored, nor will be: it is too large, or there is no space.
    pub(in crate::nats) fn is_refusal(code: u32, words: &str) -> bool {
        match code {
            TOO_LARGE | INSUFFICIENT_RESOURCES | INSUFFICIENT_STORAGE => true,
            // A limit is looked at before anything is written; a disk that fails may have it half.
            STORE_FAILED => words.contains("maximum"),
            _ => false,
        }
    }
}

/// The connection of log and store.
pub(super) struct JetStream {
    /// A gateway has none.
    connection: Option<Connection>,
    pub(super) subjects: Subjects,
}

/// Why the API gave no result.
#[derive(Debug)]
pub(super) enum ApiError {
    /// It answered with an error.
    Said { code: u32, words: String },
    /// The server denies us the subject: nothing was done.
    Denied(String),
    /// No answer: what was asked may have been done, or may still be.
    Silent(String),
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said { code, words } => write!(f, "{words} ({code})"),
            Self::Denied(subject) => write!(
                f,
                "nats-server denies {subject:?} to this user: check its permissions"
            ),
            Self::Silent(why) => f.write_str(why),
        }
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    error: Option<Said>,
    #[serde(flatten)]
    result: Option<T>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// The acknowledgement of a stored message.
#[derive(Deserialize)]
pub(super) struct Stored {
    pub(super) seq: u64,
}

/// A stream, as its leader has it.
#[derive(Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: Json,
    pub(super) state: StreamState,
}

#[derive(Deserialize)]
pub(super) struct StreamState {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    #[serde(default)]
    pub(super) subjects: Option<std::collections::HashMap<String, u64>>,
}

/// How a message goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Its bytes are overwritten where they are: the server writes the whole block again.
    Erase,
    /// Its bytes stay until the block goes.
    Unlink,
}

/// A stored message.
pub(super) struct Found {
    pub(super) subject: String,
    pub(super) seq: u64,
    pub(super) payload: Bytes,
}

#[derive(Deserialize)]
struct GotMessage {
    message: RawMessage,
}

#[derive(Deserialize)]
struct RawMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
}

impl JetStream {
    pub(super) fn new(connection: Option<Connection>, subjects: Subjects) -> Self {
        Self {
            connection,
            subjects,
        }
    }

    pub(super) fn is_up_if_needed(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_up)
    }

    /// The connection's client, while it is there.
    pub(super) fn client(&self) -> Option<&Client> {
        let connection = self.connection.as_ref().filter(|found| found.is_up())?;
        Some(&connection.client)
    }

    /// `PARLOR_LOG_<pp>`.
    pub(super) fn log_stream(&self, pp: PartitionId) -> String {
        format!("{}_LOG_{pp}", self.subjects.prefix().to_uppercase())
    }

    /// `PARLOR_ROOM_<pp>`.
    pub(super) fn room_stream(&self, pp: PartitionId) -> String {
        format!("{}_ROOM_{pp}", self.subjects.prefix().to_uppercase())
    }

    /// Stores a message whose header states what must be last.
    pub(super) async fn store(
        &self,
        subject: String,
        payload: Bytes,
        expectation: (&'static str, u64),
    ) -> Result<Stored, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(expectation.0, expectation.1.to_string().as_str());
        let request = Request::new().headers(headers).payload(payload);
        self.ask(subject, request, ANSWER_WITHIN).await
    }

    pub(super) async fn info(&self, stream: &str) -> Result<StreamInfo, ApiError> {
        self.call(format!("STREAM.INFO.{stream}"), &json!({}), ANSWER_WITHIN)
            .await
    }

    /// The stream with the subjects that `filter` covers and that hold a message, from the `offset`-th on.
    pub(super) async fn subjects_of(
        &self,
        stream: &str,
        filter: &str,
        offset: usize,
    ) -> Result<StreamInfo, ApiError> {
        let ask = json!({"subjects_filter": filter, "offset": offset});
        self.call(format!("STREAM.INFO.{stream}"), &ask, SLOW_ANSWER_WITHIN)
            .await
    }

    pub(super) async fn create(&self, stream: &str, config: &Json) -> Result<StreamInfo, ApiError> {
        self.call(
            format!("STREAM.CREATE.{stream}"),
            config,
            SLOW_ANSWER_WITHIN,
        )
        .await
    }

    pub(super) async fn purge(&self, stream: &str, what: &Json) -> Result<Json, ApiError> {
        self.call(format!("STREAM.PURGE.{stream}"), what, SLOW_ANSWER_WITHIN)
            .await
    }

    /// Removes a message; one that is not there is removed already.
    pub(super) async fn remove(
        &self,
        stream: &str,
        seq: u64,
        removal: Removal,
    ) -> Result<(), ApiError> {
        let which = json!({"seq": seq, "no_erase": removal == Removal::Unlink});
        let api = format!("STREAM.MSG.DELETE.{stream}");
        match self.call::<Json>(api, &which, SLOW_ANSWER_WITHIN).await {
            Ok(_) => Ok(()),
            Err(ApiError::Said { code, words }) if code::is_gone(code, &words) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The message that `which` names (`seq` or `last_by_subj`); `None` when there is none.
    pub(super) async fn message(
        &self,
        stream: &str,
        which: &Json,
    ) -> Result<Option<Found>, ApiError> {
        let got = self.call::<GotMessage>(format!("STREAM.MSG.GET.{stream}"), which, ANSWER_WITHIN);
        let message = match got.await {
            Ok(got) => got.message,
            Err(ApiError::Said {
                code: code::NO_MESSAGE,
                ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let payload = STANDARD.decode(message.data.as_bytes());
        let payload = payload
            .map_err(|error| ApiError::Silent(error.to_string()))?
            .into();
        Ok(Some(Found {
            subject: message.subject,
            seq: message.seq,
            payload,
        }))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        api: String,
        ask: &Json,
        within: Duration,
    ) -> Result<T, ApiError> {
        let request = Request::new().payload(ask.to_string().into());
        self.ask(format!("$JS.API.{api}"), request, within).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        subject: String,
        request: Request,
        within: Duration,
    ) -> Result<T, ApiError> {
        let request = request.timeout(Some(within));
        let Some(connection) = &self.connection else {
            return Err(ApiError::Silent(
                "a gateway has no log and no store".to_owned(),
            ));
        };
        if !connection.is_up() {
            return Err(ApiError::Silent("not connected".to_owned()));
        }
        let denials = connection.denials_of(&subject);
        // Kilobytes that every caller's future would carry.
        let asked = Box::pin(connection.client.send_request(subject.clone(), request));
        let reply = match tokio::time::timeout(within, asked).await {
            Ok(Ok(reply)) => reply,
            _ if connection.denials_of(&subject) > denials => {
                return Err(ApiError::Denied(subject));
            }
            Ok(Err(error)) => return Err(silent(&error)),
            Err(_) => return Err(ApiError::Silent("nats-server takes nothing".to_owned())),
        };
        let answer: Answer<T> = serde_json::from_slice(&reply.payload)
            .map_err(|error| ApiError::Silent(format!("an answer that is none: {error}")))?;
        match (answer.error, answer.result) {
            (Some(said), _) => Err(ApiError::Said {
                code: said.err_code,
                words: said.description,
            }),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(ApiError::Silent("an answer without a result".to_owned())),
        }
    }
}

fn silent(error: &RequestError) -> ApiError {
    match error.kind() {
        RequestErrorKind::MaxPayloadExceeded => ApiError::Said {
            code: code::TOO_LARGE,
            words: error.to_string(),
        },
        RequestErrorKind::NoResponders => ApiError::Silent(
            "no JetStream answers: start nats-server with -js, and make the streams".to_owned(),
        ),
        _ => ApiError::Silent(error.to_string()),
    }
}
