//! The streams of a partition: made when missing, verified when there.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use proto::PartitionId;
use serde_json::{Value as Json, json};
use tracing::info;

use super::api::{ApiError, JetStream, code};
use crate::ProvisionError;

/// Streams made or verified at once.
const AT_ONCE: usize = 8;

pub(super) async fn provision(
    jetstream: &JetStream,
    replicas: u8,
    partitions: &[PartitionId],
) -> Result<(), ProvisionError> {
    let mut streams = Vec::with_capacity(partitions.len() * 2);
    for pp in partitions {
        streams.push((
            jetstream.log_stream(*pp),
            log_config(jetstream, *pp, replicas),
        ));
        streams.push((
            jetstream.room_stream(*pp),
            room_config(jetstream, *pp, replicas),
        ));
    }
    let ensured = stream::iter(streams)
        .map(|(name, config)| async move { ensure(jetstream, &name, &config).await });
    ensured.buffer_unordered(AT_ONCE).try_collect().await
}

/// No age, size or count limit: what may go is trimmed by its owner. Nothing that writes by itself.
fn log_config(jetstream: &JetStream, pp: PartitionId, replicas: u8) -> Json {
    json!({
        "name": jetstream.log_stream(pp),
        "subjects": [jetstream.subjects.log(pp)],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        // Records are read by the hundred.
        "allow_direct": true,
    })
}

/// Two versions of a value: a put that redacts erases the one before it by its sequence.
fn room_config(jetstream: &JetStream, pp: PartitionId, replicas: u8) -> Json {
    json!({
        "name": jetstream.room_stream(pp),
        "subjects": [jetstream.subjects.store(pp, ">")],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": 2,
        "max_msg_size": -1,
        "allow_direct": false,
    })
}

async fn ensure(jetstream: &JetStream, name: &str, config: &Json) -> Result<(), ProvisionError> {
    let failed = |error: ApiError| match error {
        // No more of these by trying again: one server asked for replicas, or a user without the right.
        ApiError::Said {
            code: code::REPLICAS_NOT_SUPPORTED,
            words,
        } => ProvisionError::Settings(format!(
            "stream {name} cannot have {} replicas: {words}; use --nats-replicas 1, or a cluster",
            config["num_replicas"]
        )),
        denied @ ApiError::Denied(_) => {
            ProvisionError::Settings(format!("stream {name}: {denied}"))
        }
        error => ProvisionError::Unavailable(format!("stream {name}: {error}")),
    };
    let found = match jetstream.info(name).await {
        Err(ApiError::Said {
            code: code::STREAM_NOT_FOUND,
            ..
        }) => {
            match jetstream.create(name, config).await {
                Ok(made) => {
                    info!(nats.stream = name, "made a stream");
                    made
                }
                // Another process was faster, with other settings.
                Err(ApiError::Said {
                    code: code::STREAM_NAME_IN_USE,
                    ..
                }) => jetstream.info(name).await.map_err(failed)?,
                Err(error) => return Err(failed(error)),
            }
        }
        found => found.map_err(failed)?,
    };
    verify(name, config, &found.config)
}

/// What must not be set, and what it would break: something else fills the stream or changes what is
/// sent; an answer comes before the disk, or not at all; trimming and erasing are denied; messages go by
/// themselves; a log does not begin at 1; what is sent counts as something else.
const UNSET: [&str; 13] = [
    "sources",
    "mirror",
    "subject_transform",
    "republish",
    "no_ack",
    "persist_mode",
    "sealed",
    "deny_purge",
    "deny_delete",
    "subject_delete_marker_ttl",
    "allow_msg_ttl",
    "first_seq",
    "allow_msg_counter",
];

/// Every setting that we name, and that nothing of [`UNSET`] is set.
fn verify(name: &str, expected: &Json, found: &Json) -> Result<(), ProvisionError> {
    let settings = expected.as_object().into_iter().flatten();
    let expected = settings.map(|(key, value)| (key.as_str(), value.clone()));
    for (key, expected) in expected.chain(UNSET.map(|key| (key, Json::Null))) {
        if key == "allow_direct" && expected == true {
            // Without it reading is slower, and as right.
            continue;
        }
        let found = found.get(key).cloned().unwrap_or(Json::Null);
        // The server leaves out what is false or 0, or names the default.
        let unset =
            |value: &Json| value.is_null() || *value == false || *value == 0 || *value == "default";
        if found != expected && !(unset(&found) && unset(&expected)) {
            return Err(ProvisionError::Settings(format!(
                "stream {name}: {key} is {found}, expected {expected}; change it with `nats stream \
                 edit {name}`, or use another --nats-prefix"
            )));
        }
    }
    Ok(())
}
