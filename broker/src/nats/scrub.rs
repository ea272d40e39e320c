//! Scrubbing a store: JetStream leaves removed and superseded messages in the block that they are in until
//! the whole block goes. So a filler closes the blocks that are there, every current value is put again
//! behind it, and the blocks before it go.

use bytes::Bytes;
use proto::PartitionId;
use serde_json::json;

use super::{
    Nats,
    api::Removal,
    store::{FILLER, unavailable, value_of},
};
use crate::{MAX_RECORD, Put, Revision, Store as _, StoreError};

/// Fillers of the largest size: together more than the largest block of nats-server, 8 MiB.
const FILLERS: usize = 9;
/// How often a put that nobody knows of is looked after.
const ATTEMPTS: usize = 5;

pub(super) async fn scrub(nats: &Nats, pp: PartitionId) -> Result<(), StoreError> {
    let behind = fill(nats, pp).await?;
    renew(nats, pp, behind).await?;
    nats.purge(pp, FILLER).await?;
    drop_blocks(nats, pp, behind).await?;
    empty_log(nats, pp).await
}

/// Puts fillers, and returns the last one's sequence. Two scrubs at once disturb each other: one goes on.
async fn fill(nats: &Nats, pp: PartitionId) -> Result<u64, StoreError> {
    let found = nats.get(pp, FILLER).await?;
    let mut last = found.map_or(Revision::NONE, |found| found.revision);
    let filler = Bytes::from(vec![0; MAX_RECORD]);
    for _ in 0..FILLERS {
        last = match nats.put(pp, FILLER, filler.clone(), last).await {
            Put::Written(revision) => revision,
            Put::Conflict { .. } => {
                return Err(StoreError::Unavailable(
                    "another scrub of this partition is under way".to_owned(),
                ));
            }
            Put::Unclear => {
                return Err(StoreError::Unavailable("a put was not answered".to_owned()));
            }
            Put::Refused { why } => return Err(StoreError::Unavailable(why)),
        };
    }
    Ok(last.0)
}

/// Puts again what is current at or before the filler, and unlinks what is superseded there.
async fn renew(nats: &Nats, pp: PartitionId, behind: u64) -> Result<(), StoreError> {
    let jetstream = &nats.shared.jetstream;
    let (stream, all) = (jetstream.room_stream(pp), jetstream.subjects.store(pp, ">"));
    let filler = jetstream.subjects.store(pp, FILLER);
    let mut from = 1;
    loop {
        let next = json!({"seq": from, "next_by_subj": all});
        let next = jetstream.message(&stream, &next).await;
        let Some(old) = next.map_err(unavailable)? else {
            return Ok(());
        };
        if old.seq > behind {
            return Ok(());
        }
        if old.subject != filler {
            let subject = old.subject;
            supersede(nats, pp, subject, Revision(old.seq), old.payload).await?;
            jetstream
                .remove(&stream, old.seq, Removal::Unlink)
                .await
                .map_err(unavailable)?;
        }
        from = old.seq + 1;
    }
}

/// Puts a value again, if it is the current one. It is superseded when this returns.
async fn supersede(
    nats: &Nats,
    pp: PartitionId,
    subject: String,
    revision: Revision,
    value: Bytes,
) -> Result<(), StoreError> {
    let above = nats.shared.jetstream.subjects.store(pp, "");
    let key = subject.strip_prefix(&above).unwrap_or(&subject);
    for _ in 0..ATTEMPTS {
        let current = value_of(&nats.shared, pp, subject.clone()).await?;
        // What is superseded stays so: sequences only grow.
        if current.is_none_or(|current| current.revision != revision) {
            return Ok(());
        }
        match nats.put(pp, key, value.clone(), revision).await {
            Put::Written(_) => return Ok(()),
            Put::Conflict { .. } | Put::Unclear => {}
            Put::Refused { why } => return Err(StoreError::Unavailable(why)),
        }
    }
    Err(StoreError::Unavailable(format!(
        "no put of {key} was answered"
    )))
}

/// Lets go of the blocks in which nothing is left.
async fn drop_blocks(nats: &Nats, pp: PartitionId, behind: u64) -> Result<(), StoreError> {
    let jetstream = &nats.shared.jetstream;
    let stream = jetstream.room_stream(pp);
    let info = jetstream.info(&stream).await.map_err(unavailable)?;
    let first = info.state.first_seq;
    if first <= behind {
        return Err(StoreError::Unavailable(format!(
            "message {first} of stream {stream} is still there: scrub again"
        )));
    }
    // Nothing is before the first one, whatever has come since; but empty blocks may be, which a server keeps
    // for what they note of other blocks.
    let what = json!({"seq": first});
    jetstream.purge(&stream, &what).await.map_err(unavailable)?;
    Ok(())
}

/// A log without records begins with a new block.
async fn empty_log(nats: &Nats, pp: PartitionId) -> Result<(), StoreError> {
    let jetstream = &nats.shared.jetstream;
    let stream = jetstream.log_stream(pp);
    let state = jetstream.info(&stream).await.map_err(unavailable)?.state;
    if state.last_seq > 0 && state.first_seq > state.last_seq {
        // A record that has come since stays: it is not before this one.
        let what = json!({"seq": state.last_seq + 1});
        jetstream.purge(&stream, &what).await.map_err(unavailable)?;
    }
    Ok(())
}
