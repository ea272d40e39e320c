//! The store on JetStream: one subject per key, its last message the value, its sequence the revision.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use proto::PartitionId;
use serde_json::json;

use super::{
    Nats,
    api::{ApiError, code},
};
use crate::{MAX_RECORD, Put, Revision, Store, StoreError, Value};

/// Values fetched at once by a scan.
const FETCH_AHEAD: usize = 64;

impl Store for Nats {
    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        check(key)?;
        let jetstream = &self.shared.jetstream;
        self.value_of(pp, jetstream.subjects.store(pp, key)).await
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

    async fn scan(
        &self,
        pp: PartitionId,
        prefix: &str,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        let subjects = &self.shared.jetstream.subjects;
        let mut found = Vec::new();
        if prefix.is_empty() {
            found.extend(self.keys(pp, subjects.store(pp, ">")).await?);
        } else {
            check(prefix)?;
            let subject = subjects.store(pp, prefix);
            found.extend(self.keys(pp, format!("{subject}.>")).await?);
            found.push(subject);
        }
        let above = subjects.store(pp, "");
        let values = stream::iter(found).map(|subject| {
            let key = subject.strip_prefix(&above).unwrap_or(&subject).to_owned();
            async move { Ok(self.value_of(pp, subject).await?.map(|value| (key, value))) }
        });
        values
            .buffered(FETCH_AHEAD)
            .try_filter_map(|value| async { Ok(value) })
            .try_collect()
            .await
    }
}

impl Nats {
    async fn value_of(
        &self,
        pp: PartitionId,
        subject: String,
    ) -> Result<Option<Value>, StoreError> {
        let jetstream = &self.shared.jetstream;
        let which = json!({"last_by_subj": subject});
        let found = jetstream.message(&jetstream.room_stream(pp), &which).await;
        let value = |found: super::api::Found| Value {
            bytes: found.payload,
            revision: Revision(found.seq),
        };
        Ok(found.map_err(unavailable)?.map(value))
    }

    /// Subjects under a filter that hold a value; the server tells them a page at a time.
    async fn keys(&self, pp: PartitionId, filter: String) -> Result<Vec<String>, StoreError> {
        let jetstream = &self.shared.jetstream;
        let stream = jetstream.room_stream(pp);
        let mut keys = Vec::new();
        loop {
            let page = jetstream.subjects_of(&stream, &filter, keys.len()).await;
            let page = page
                .map_err(unavailable)?
                .state
                .subjects
                .unwrap_or_default();
            if page.is_empty() {
                return Ok(keys);
            }
            keys.extend(page.into_keys());
        }
    }
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

fn check(key: &str) -> Result<(), StoreError> {
    let token = |token: &str| {
        !token.is_empty() && !token.contains(char::is_whitespace) && token != "*" && token != ">"
    };
    if key.split('.').all(token) {
        Ok(())
    } else {
        Err(StoreError::Key(key.to_owned()))
    }
}

fn unavailable(error: ApiError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
