//! The log on JetStream: one stream per partition, appended to by expectation, read by sequence: in batches
//! from any replica, which are fast, and from the leader, who knows.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use proto::PartitionId;
use serde_json::json;

use super::{
    Nats, Shared,
    api::{ApiError, Found, code},
    batch::Batch,
};
use crate::{Append, Log, LogError, MAX_RECORD, ReadError, Reader, TrimError};

/// Reads under way at the leader at once: enough to hide the round trip. What is longer is read in batches.
const READ_AHEAD: usize = 64;

impl Log for Nats {
    type Reader = NatsReader;

    async fn append(&self, pp: PartitionId, expected_last: u64, record: Bytes) -> Append {
        if record.len() > MAX_RECORD {
            let why = format!("record of {} bytes is above {MAX_RECORD}", record.len());
            return Append::Refused { why };
        }
        let jetstream = &self.shared.jetstream;
        let expectation = ("Nats-Expected-Last-Sequence", expected_last);
        match jetstream
            .store(jetstream.subjects.log(pp), record, expectation)
            .await
        {
            Ok(stored) => Append::Written(stored.seq),
            Err(ApiError::Said { code, words }) => refusal(code, words),
            Err(denied @ ApiError::Denied(_)) => Append::Refused {
                why: denied.to_string(),
            },
            Err(ApiError::Silent(_)) => Append::Unclear,
        }
    }

    fn read(&self, pp: PartitionId, from: u64, to: u64) -> NatsReader {
        let is_long = to.saturating_sub(from) >= READ_AHEAD as u64;
        NatsReader {
            shared: Arc::clone(&self.shared),
            pp,
            next: from,
            to,
            from: if is_long {
                Source::Any(None)
            } else {
                Source::leader(from)
            },
        }
    }

    async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        let jetstream = &self.shared.jetstream;
        match jetstream.info(&jetstream.log_stream(pp)).await {
            Ok(info) => Ok(info.state.last_seq),
            Err(error) => Err(LogError(error.to_string())),
        }
    }

    async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        let jetstream = &self.shared.jetstream;
        let stream = jetstream.log_stream(pp);
        let unavailable = |error: ApiError| TrimError::Unavailable(error.to_string());
        // A purge beyond the last sequence raises it.
        let last = jetstream
            .info(&stream)
            .await
            .map_err(unavailable)?
            .state
            .last_seq;
        if up_to > last {
            return Err(TrimError::BeyondLast { up_to, last });
        }
        if up_to == 0 {
            return Ok(());
        }
        // `seq` is the first one to stay.
        jetstream
            .purge(&stream, &json!({"seq": up_to + 1}))
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}

fn refusal(code: u32, words: String) -> Append {
    match code {
        code::WRONG_LAST_SEQUENCE | code::WRONG_LAST_SEQUENCE_CONSTANT => {
            // "wrong last sequence: 17"
            let last = words.rsplit(' ').next().and_then(|last| last.parse().ok());
            Append::Conflict {
                last: last.unwrap_or(0),
            }
        }
        _ if code::is_refusal(code, &words) => Append::Refused {
            why: format!("{words} ({code})"),
        },
        // No leader, a stream that is moving: nobody knows.
        _ => Append::Unclear,
    }
}

/// Records of a JetStream log.
pub struct NatsReader {
    shared: Arc<Shared>,
    pp: PartitionId,
    /// What `next` yields next.
    next: u64,
    to: u64,
    from: Source,
}

/// Where records come from.
enum Source {
    /// From any replica, many at a time; `None` before they are asked for.
    Any(Option<Batch>),
    /// From the leader, each by itself; it knows which there are.
    Leader {
        /// What is asked for next.
        ask: u64,
        waiting: FuturesOrdered<BoxFuture<'static, Result<Option<Found>, ApiError>>>,
    },
}

impl Reader for NatsReader {
    async fn next(&mut self) -> Result<Option<(u64, Bytes)>, ReadError> {
        if self.next > self.to {
            return Ok(None);
        }
        let (seq, record) = match self.next_of_batch().await {
            Some(record) => record,
            None => self.next_of_leader().await?,
        };
        self.next = seq + 1;
        Ok(Some((seq, record)))
    }
}

impl NatsReader {
    /// The next record from whoever has it; `None` when the leader must be asked from now on.
    async fn next_of_batch(&mut self) -> Option<(u64, Bytes)> {
        while let Source::Any(asked) = &mut self.from {
            let batch = match asked.take() {
                Some(batch) => Some(batch),
                None => Batch::ask(&self.shared.jetstream, self.pp, self.next, self.to).await,
            };
            // Kept, or a wait that is given up would lose what has come.
            let batch = batch.map(|batch| asked.insert(batch));
            let found = match batch {
                Some(batch) => match batch.next().await {
                    Some(found) => return Some(found),
                    None => batch.brought_some(),
                },
                None => false,
            };
            self.from = if found {
                Source::Any(None)
            } else {
                Source::leader(self.next)
            };
        }
        None
    }

    async fn next_of_leader(&mut self) -> Result<(u64, Bytes), ReadError> {
        let Source::Leader { ask, waiting } = &mut self.from else {
            return Err(ReadError::Unavailable("no leader is asked".to_owned()));
        };
        while *ask <= self.to && waiting.len() < READ_AHEAD {
            let (shared, pp, seq) = (Arc::clone(&self.shared), self.pp, *ask);
            let get = async move {
                let jetstream = &shared.jetstream;
                jetstream
                    .message(&jetstream.log_stream(pp), &json!({"seq": seq}))
                    .await
            };
            waiting.push_back(get.boxed());
            *ask += 1;
        }
        match waiting.next().await {
            Some(Ok(Some(found))) if found.seq == self.next => Ok((found.seq, found.payload)),
            Some(Err(error)) => Err(ReadError::Unavailable(error.to_string())),
            _ => Err(why_absent(&self.shared, self.pp, self.next).await),
        }
    }
}

impl Source {
    fn leader(from: u64) -> Self {
        Self::Leader {
            ask: from,
            waiting: FuturesOrdered::new(),
        }
    }
}

/// A trimmed and a future sequence answer alike: first and last tell them apart.
async fn why_absent(shared: &Shared, pp: PartitionId, seq: u64) -> ReadError {
    let stream = shared.jetstream.log_stream(pp);
    match shared.jetstream.info(&stream).await {
        Ok(info) if seq < info.state.first_seq => ReadError::Trimmed {
            first: info.state.first_seq,
        },
        Ok(info) => ReadError::Unavailable(format!(
            "record {seq} is not there; the log ends at {}",
            info.state.last_seq
        )),
        Err(error) => ReadError::Unavailable(error.to_string()),
    }
}
