//! Acts on messages.

use anyhow::Result;
use proto::admin::v1::{RedactMessageRequest, RedactMessageResponse};
use serde::Serialize;

use super::{
    client::Client,
    rooms::{resource_name, rfc3339},
};

/// Redacts one message.
pub(super) async fn redact(
    mut client: Client,
    room: &str,
    seq: u64,
    request_id: String,
) -> Result<RedactMessageResponse> {
    let request = RedactMessageRequest {
        name: format!("{}/messages/{seq}", resource_name(room)),
        request_id,
    };
    let redacted = client.messages.redact_message(request).await;
    Ok(redacted
        .map_err(|status| client.explain(&status))?
        .into_inner())
}

/// A redaction as a line for a person.
pub(super) fn line(redacted: &RedactMessageResponse) -> String {
    format!(
        "redacted {}: the room's event {} says so\n",
        redacted.name, redacted.deletion_seq
    )
}

/// A redaction in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedactedJson<'a> {
    name: &'a str,
    deletion_seq: i64,
    redact_time: Option<String>,
}

impl<'a> From<&'a RedactMessageResponse> for RedactedJson<'a> {
    fn from(redacted: &'a RedactMessageResponse) -> Self {
        Self {
            name: &redacted.name,
            deletion_seq: redacted.deletion_seq,
            redact_time: redacted.redact_time.as_ref().map(rfc3339),
        }
    }
}
