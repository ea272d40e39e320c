//! Records of a log by the hundred, a tenth of what it costs to ask for each: a direct get, which any replica
//! of the stream may answer.
//!
//! Whatever record it sends is true, since a record never changes. That there is none means nothing: a replica
//! may be behind, and a message may be lost on its way. So this never says why it ends early; whoever reads
//! goes on with the leader.

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use proto::PartitionId;
use serde_json::json;
use tokio::time::timeout;

use super::api::{ANSWER_WITHIN, JetStream};

/// Records asked for at once: enough to make the question cheap.
const RECORDS: u64 = 1_000;
/// … and their bytes, since they wait in memory. One record more may come.
const BYTES: usize = 2 * 1024 * 1024;

/// Records that were asked for and come in order.
pub(super) struct Batch {
    records: Subscriber,
    from: u64,
    next: u64,
    end: u64,
}

impl Batch {
    /// Asks for the records `from ..= to`, or the first of them; `None` when they cannot be asked for.
    ///
    /// Cancel-safe.
    pub(super) async fn ask(
        jetstream: &JetStream,
        pp: PartitionId,
        from: u64,
        to: u64,
    ) -> Option<Self> {
        let client = jetstream.client()?;
        let count = RECORDS.min(to - from + 1);
        let question = json!({"seq": from, "batch": count, "max_bytes": BYTES}).to_string();
        let subject = format!("$JS.API.DIRECT.GET.{}", jetstream.log_stream(pp));
        let inbox = client.new_inbox();
        let asked = async {
            let records = client.subscribe(inbox.clone()).await.ok()?;
            let asked = client.publish_with_reply(subject, inbox, question.into());
            asked.await.ok().map(|()| records)
        };
        let records = timeout(ANSWER_WITHIN, Box::pin(asked)).await.ok()??;
        Some(Self {
            records,
            from,
            next: from,
            end: from + count,
        })
    }

    /// The next record; `None` when no more come.
    ///
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(u64, Bytes)> {
        if self.next == self.end {
            return None;
        }
        let message = timeout(ANSWER_WITHIN, self.records.next()).await.ok()??;
        // The end and a refusal have a status; a record has none, and says which one it is.
        let seq = message.headers?.get("Nats-Sequence")?.as_str().parse().ok();
        if message.status.is_some() || seq != Some(self.next) {
            return None;
        }
        self.next += 1;
        Some((self.next - 1, message.payload))
    }

    /// Whether any came.
    pub(super) fn brought_some(&self) -> bool {
        self.next > self.from
    }
}
