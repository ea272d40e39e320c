//! `parlor doctor restore`: makes log and store of a partition fit each other again, after one of them
//! came from a back-up of another time.
//!
//! What the store holds is what there is: the log's last sequence is raised to the highest commit that
//! any value holds, each room is cut back to the events that its values have without a hole, the epoch
//! rises, and every room gets a new numbering, so that clients forget what they have. No service may run
//! meanwhile. It can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use broker::{Append, Broker, Put, ReadError, Reader as _, Revision, Scan as _, Value};
use bytes::Bytes;
use proto::{
    PartitionId,
    log::v1::{
        COMMIT_FORMAT, Checkpoint, Commit, PageValue, RawCommit, ReactValue, RoomValue,
        VALUE_FORMAT,
    },
};

use crate::domain::{PAGE_EVENTS, codec, draw_gen, encode};

const CHECKPOINT: &str = "ckpt";

/// What a restore did to a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Rooms that have a new numbering.
    pub rooms: u64,
    /// Records appended to raise the log's last sequence.
    pub raised: u64,
    /// Events that some value had and the rooms do not have any more.
    pub cut: u64,
}

/// A partition that could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Log or store did not do as asked. The same call may help.
    #[error("partition {0}: {1}; run it again")]
    Broker(PartitionId, String),
    /// A value is damaged: which rooms there are is not known.
    #[error("partition {0}: value `{1}` {2}; restore the store from another back-up")]
    Damaged(PartitionId, String, String),
}

/// All values of a room, by their keys.
#[derive(Default)]
struct Values {
    record: Option<(String, RoomValue, Revision)>,
    pages: BTreeMap<u64, (String, PageValue, Revision)>,
    reacts: Vec<(String, ReactValue, Revision)>,
}

/// One partition under restoration.
struct Partition<'a, B> {
    broker: &'a B,
    pp: PartitionId,
    /// By the token of the room in their keys.
    rooms: BTreeMap<String, Values>,
    checkpoint: Checkpoint,
    checkpoint_revision: Revision,
    /// The highest commit that any value holds.
    applied: u64,
}

/// Makes log and store of a partition fit each other; nothing is done to one where they do.
///
/// Not cancel-safe: dropped halfway, it has to be repeated.
///
/// # Errors
/// [`RestoreError`].
pub async fn restore<B: Broker>(
    broker: &B,
    pp: PartitionId,
) -> Result<Option<Restored>, RestoreError> {
    let failed = |why: String| RestoreError::Broker(pp, why);
    let mut partition = Partition::read(broker, pp).await?;
    let last = broker
        .last(pp)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let first = partition.first_record(last).await?;
    let begins_behind = first > partition.checkpoint.log + 1;
    if last >= partition.applied && !begins_behind {
        return Ok(None);
    }
    let epoch = partition.highest_epoch(first, last).await? + 1;
    let mut restored = Restored::default();
    for values in std::mem::take(&mut partition.rooms).into_values() {
        restored.cut += partition.renumber(values).await?;
        restored.rooms += 1;
    }
    restored.raised = partition.raise(last, epoch).await?;
    let last = last + restored.raised;
    let checkpoint = Checkpoint {
        format: VALUE_FORMAT,
        // Behind a hole the log's records follow nothing.
        log: if begins_behind {
            last
        } else {
            partition.checkpoint.log
        },
        epoch,
        owner: "restore".to_owned(),
    };
    let revision = partition.checkpoint_revision;
    let value = codec::seal(&checkpoint);
    partition.put(CHECKPOINT, value, revision).await?;
    Ok(Some(restored))
}

impl<'a, B: Broker> Partition<'a, B> {
    async fn read(broker: &'a B, pp: PartitionId) -> Result<Self, RestoreError> {
        let mut partition = Self {
            broker,
            pp,
            rooms: BTreeMap::new(),
            checkpoint: Checkpoint::default(),
            checkpoint_revision: Revision::NONE,
            applied: 0,
        };
        let mut scan = broker.scan(pp, "");
        loop {
            let next = scan.next().await;
            match next.map_err(|error| partition.failed(error.to_string()))? {
                Some((key, value)) => partition.take(key, value)?,
                None => return Ok(partition),
            }
        }
    }

    fn take(&mut self, key: String, value: Value) -> Result<(), RestoreError> {
        let mut tokens = key.split('.');
        let (kind, room) = (tokens.next(), tokens.next());
        let room = room.unwrap_or_default().to_owned();
        let applied = match kind {
            Some("ckpt") => {
                self.checkpoint = self.open(&key, &value, |v: &Checkpoint| v.format)?;
                self.checkpoint_revision = value.revision;
                self.checkpoint.log
            }
            Some("room") => {
                let record = self.open(&key, &value, |v: &RoomValue| v.format)?;
                let applied = record.applied;
                let values = self.rooms.entry(room).or_default();
                values.record = Some((key, record, value.revision));
                applied
            }
            Some("page") => {
                let page = self.open(&key, &value, |v: &PageValue| v.format)?;
                let (number, applied) = (page.number, page.applied);
                let values = self.rooms.entry(room).or_default();
                values.pages.insert(number, (key, page, value.revision));
                applied
            }
            Some("react") => {
                let reacts = self.open(&key, &value, |v: &ReactValue| v.format)?;
                let applied = reacts.applied;
                let values = self.rooms.entry(room).or_default();
                values.reacts.push((key, reacts, value.revision));
                applied
            }
            _ => 0,
        };
        self.applied = self.applied.max(applied);
        Ok(())
    }

    fn open<M: prost::Message + Default>(
        &self,
        key: &str,
        value: &Value,
        format: impl FnOnce(&M) -> u32,
    ) -> Result<M, RestoreError> {
        codec::open(&value.bytes, format, VALUE_FORMAT)
            .map_err(|why| RestoreError::Damaged(self.pp, key.to_owned(), why.to_string()))
    }

    /// The sequence of the first record that is left; last + 1 when none is.
    async fn first_record(&self, last: u64) -> Result<u64, RestoreError> {
        let from = self.checkpoint.log + 1;
        if from > last {
            return Ok(from);
        }
        match self.broker.read(self.pp, from, from).next().await {
            Ok(_) => Ok(from),
            Err(ReadError::Trimmed { first }) => Ok(first),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    async fn highest_epoch(&self, first: u64, last: u64) -> Result<u64, RestoreError> {
        let mut epoch = self.checkpoint.epoch;
        let mut reader = self.broker.read(self.pp, first, last);
        loop {
            let next = reader.next().await;
            let next = next.map_err(|error| self.failed(error.to_string()))?;
            let Some((_, record)) = next else {
                return Ok(epoch);
            };
            if let Ok((body, _)) = codec::unseal(&record)
                && let Ok(commit) = <RawCommit as prost::Message>::decode(body)
            {
                epoch = epoch.max(commit.epoch);
            }
        }
    }

    /// Cuts a room back to what its values have without a hole, under a new numbering; how many events
    /// were cut.
    async fn renumber(&self, values: Values) -> Result<u64, RestoreError> {
        let Values {
            record,
            pages,
            reacts,
        } = values;
        let top = pages
            .keys()
            .next_back()
            .map_or(0, |top| (top + 1) * PAGE_EVENTS);
        let Some((key, mut record, revision)) = record else {
            // Pages of a room whose record was never put: the room is in the log or nowhere.
            for (key, _, _) in pages.into_values() {
                self.purge(&key).await?;
            }
            return Ok(top);
        };
        let before = record.head.max(top);
        let kept = keep(&mut record, &pages.keys().copied().collect());
        let last = kept.last().and_then(|top| pages.get(top)?.1.events.last());
        let last_ms = last.map_or(0, |event| event.ts_ms);
        record.last_ts_ms = record.last_ts_ms.max(last_ms);
        record.r#gen = draw_gen(&mut rand::rng());
        let generation = record.r#gen.clone();
        let cut = before - record.head;
        self.put(&key, codec::seal(&record), revision).await?;
        for (number, (key, mut page, revision)) in pages {
            if kept.contains(&number) {
                page.r#gen.clone_from(&generation);
                self.put(&key, codec::seal(&page), revision).await?;
            } else {
                self.purge(&key).await?;
            }
        }
        for (key, mut reacts, revision) in reacts {
            reacts.r#gen.clone_from(&generation);
            reacts
                .reactors
                .retain(|reactors| reactors.target <= record.head);
            self.put(&key, codec::seal(&reacts), revision).await?;
        }
        Ok(cut)
    }

    /// Appends empty commits until the log ends at the highest commit of the store; how many.
    async fn raise(&self, last: u64, epoch: u64) -> Result<u64, RestoreError> {
        let filler = encode(&Commit {
            format: COMMIT_FORMAT,
            epoch,
            owner: "restore".to_owned(),
            ..Commit::default()
        });
        let mut at = last;
        while at < self.applied {
            match self.broker.append(self.pp, at, filler.clone()).await {
                Append::Written(log_seq) => at = log_seq,
                other => return Err(self.failed(format!("the log answered {other:?}"))),
            }
        }
        Ok(at - last)
    }

    async fn put(&self, key: &str, value: Bytes, expected: Revision) -> Result<(), RestoreError> {
        match self.broker.put(self.pp, key, value, expected).await {
            Put::Written(_) => Ok(()),
            other => Err(self.failed(format!("value `{key}` was not put: {other:?}"))),
        }
    }

    async fn purge(&self, key: &str) -> Result<(), RestoreError> {
        let purged = self.broker.purge(self.pp, key).await;
        purged.map_err(|error| self.failed(error.to_string()))
    }

    fn failed(&self, why: String) -> RestoreError {
        RestoreError::Broker(self.pp, why)
    }
}

/// Cuts the record to the events without a hole; the full pages that stay.
fn keep(record: &mut RoomValue, pages: &BTreeSet<u64>) -> BTreeSet<u64> {
    let open = record.head / PAGE_EVENTS;
    let first = record.oldest.saturating_sub(1) / PAGE_EVENTS;
    let mut end = first;
    while pages.contains(&end) {
        end += 1;
    }
    // A page's own key beats the copy in the record, and a hole ends the room.
    if end != open {
        record.head = end * PAGE_EVENTS;
        record.open.clear();
    }
    record.oldest = record.oldest.min(record.head + 1);
    pages.range(first..end).copied().collect()
}

#[cfg(test)]
mod tests;
