//! The end of a partition's log, read ahead of a claim while another replica still owns the partition, so
//! that a planned move takes no longer than the claim itself.

use std::collections::VecDeque;

use broker::{Broker, Reader as _};
use bytes::Bytes;
use proto::{
    PartitionId,
    log::v1::{Checkpoint, VALUE_FORMAT},
};
use tracing::debug;

use super::checkpoint::KEY;
use crate::{domain::codec, service::Shared};

/// Most bytes that are read ahead; a log behind its checkpoint is some MiB long (DESIGN section 5,
/// Checkpoint).
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Records and their log seqs, without holes. Whoever takes them must have asked the store's leader since
/// for the checkpoint that they follow: then they are what the log has there, since a record never changes.
#[derive(Default)]
pub(crate) struct Tail {
    records: VecDeque<(u64, Bytes)>,
}

impl Tail {
    /// Reads what there is behind the checkpoint. What cannot be read now is read by the claim.
    pub(crate) async fn read_ahead<B: Broker>(pp: PartitionId, shared: &Shared<B>) -> Self {
        let mut tail = Self::default();
        if let Err(why) = tail.read(pp, shared).await {
            debug!(partition.id = %pp, error = why, "could not read ahead");
        }
        tail
    }

    async fn read<B: Broker>(&mut self, pp: PartitionId, shared: &Shared<B>) -> Result<(), String> {
        let value = shared.broker.get(pp, KEY).await;
        let from = match value.map_err(|error| error.to_string())? {
            None => 0,
            Some(value) => {
                let format = |found: &Checkpoint| found.format;
                let found = codec::open(&value.bytes, format, VALUE_FORMAT);
                found.map_err(|damaged| damaged.to_string())?.log
            }
        };
        let last = shared.broker.last(pp).await;
        let last = last.map_err(|error| error.to_string())?;
        let mut reader = shared.broker.read(pp, from + 1, last);
        let mut bytes = 0;
        while bytes < MAX_BYTES
            && let Some((log_seq, record)) =
                reader.next().await.map_err(|error| error.to_string())?
        {
            bytes += record.len();
            self.records.push_back((log_seq, record));
        }
        Ok(())
    }

    /// The records from `log_seq` on, without holes.
    pub(super) fn from(&self, log_seq: u64) -> impl Iterator<Item = &(u64, Bytes)> {
        let first = self.records.front().map_or(u64::MAX, |(first, _)| *first);
        let skip = log_seq.checked_sub(first).map(usize::try_from);
        let skip = skip.and_then(Result::ok).unwrap_or(usize::MAX);
        self.records.iter().skip(skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_ahead_begins_where_it_is_wanted_or_not_at_all() {
        let records = (5..=8).map(|log_seq| (log_seq, Bytes::new())).collect();
        let tail = Tail { records };
        let from = |log_seq| {
            tail.from(log_seq)
                .map(|(found, _)| *found)
                .collect::<Vec<_>>()
        };
        assert_eq!(from(5), [5, 6, 7, 8]);
        assert_eq!(from(7), [7, 8]);
        assert!(from(9).is_empty());
        assert!(from(4).is_empty(), "4 is missing: there would be a hole");
        assert_eq!(Tail::default().from(1).count(), 0);
    }
}
