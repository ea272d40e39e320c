//! The store on JetStream: one subject per key, its last message the value, its sequence the revision.

use std::sync::Arc;

use bytes::Bytes;
use proto::PartitionId;
use serde_json::json;

use super::{
    Nats, Shared,
    api::{ApiError, Removal, code},
    scan::NatsScan,
};
use crate::{MAX_RECORD, Put, Revision, Store, StoreError, Value, subject::is_key};

/// Key of the filler that a scrub writes and removes again; no scan shows it.
pub(super) const FILLER: &str = "scrub";

impl Store for Nats {
    type Scan = NatsScan;

    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        check(key)?;
        let jetstream = &self.shared.jetstream;
        value_of(&self.shared, pp, jetstream.subjects.store(pp, key)).await
    }

    async fn put(&self, pp: PartitionId, key: &str, value: Bytes, expected: Revision) -> Put {
        if let Err(error) = check(key) {
            return Put::Refused {
                why: error.to_string(),
            };
        }
        if value.len() > MAX_RECORD {
            return Put::Refused {
                why: format!("value of {} bytes is above {MAX_RECORD}", value.len()),
            };
        }
        let jetstream = &self.shared.jetstream;
        let expectation = ("Nats-Expected-Last-Subject-Sequence", expected.0);
        match jetstream
            .store(jetstream.subjects.store(pp, key), value, expectation)
            .await
        {
            Ok(stored) => Put::Written(Revision(stored.seq)),
            Err(ApiError::Said { code, words }) => refusal(code, words),
            Err(denied @ ApiError::Denied(_)) => Put::Refused {
                why: denied.to_string(),
            },
            Err(ApiError::Silent(_)) => Put::Unclear,
        }
    }

    async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        check(prefix)?;
        let jetstream = &self.shared.jetstream;
        let stream = jetstream.room_stream(pp);
        let subject = jetstream.subjects.store(pp, prefix);
        for filter in [format!("{subject}.>"), subject] {
            let what = json!({"filter": filter});
            jetstream.purge(&stream, &what).await.map_err(unavailable)?;
        }
        Ok(())
    }

    fn scan(&self, pp: PartitionId, prefix: &str) -> NatsScan {
        NatsScan::new(Arc::clone(&self.shared), pp, prefix)
    }

    async fn erase(
        &self,
        pp: PartitionId,
        key: &str,
        revision: Revision,
    ) -> Result<(), StoreError> {
        check(key)?;
        if revision == Revision::NONE {
            return Ok(());
        }
        let jetstream = &self.shared.jetstream;
        let (stream, subject) = (jetstream.room_stream(pp), jetstream.subjects.store(pp, key));
        let which = json!({"seq": revision.0});
        let old = jetstream.message(&stream, &which).await;
        match old.map_err(unavailable)? {
            Some(old) if old.subject == subject => {}
            _ => return Ok(()),
        }
        // What is superseded stays so: sequences only grow.
        let current = value_of(&self.shared, pp, subject).await?;
        if current.is_none_or(|current| current.revision == revision) {
            return Ok(());
        }
        jetstream
            .remove(&stream, revision.0, Removal::Erase)
            .await
            .map_err(unavailable)
    }
}

/// The value under a subject.
pub(super) async fn value_of(
    shared: &Shared,
    pp: PartitionId,
    subject: String,
) -> Result<Option<Value>, StoreError> {
    let which = json!({"last_by_subj": subject});
    let jetstream = &shared.jetstream;
    let found = jetstream.message(&jetstream.room_stream(pp), &which).await;
    let value = |found: super::api::Found| Value {
        bytes: found.payload,
        revision: Revision(found.seq),
    };
    Ok(found.map_err(unavailable)?.map(value))
}

fn refusal(code: u32, words: String) -> Put {
    match code {
        code::WRONG_LAST_SEQUENCE | code::WRONG_LAST_SEQUENCE_CONSTANT => {
            let revision = words.rsplit(' ').next().and_then(|last| last.parse().ok());
            Put::Conflict {
                revision: Revision(revision.unwrap_or(0)),
            }
        }
        _ if code::is_refusal(code, &words) => Put::Refused {
            why: format!("{words} ({code})"),
        },
        _ => Put::Unclear,
    }
}

pub(super) fn check(key: &str) -> Result<(), StoreError> {
    if is_key(key) {
        Ok(())
    } else {
        Err(StoreError::Key(key.to_owned()))
    }
}

pub(super) fn unavailable(error: ApiError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
