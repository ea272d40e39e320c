//! `parlor doctor restore`: makes log and store of a partition fit each other again, after one of them
//! came from a back-up of another time, or was damaged.
//!
//! What the store holds is what there is, and such of the log as continues it. Each room is cut back to
//! the events that its values have without a hole, then the log is folded into the values up to where a
//! room cannot go on, and left behind. Its last sequence is raised above the highest commit that any value
//! holds, the epoch rises above any that there may have been, and the rooms that may have lost something
//! get a new numbering, so that clients forget what they have. No service may run meanwhile. It can be
//! repeated.

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use broker::{Append, Broker, Put, ReadError, Reader as _, Revision, Scan as _, Value};
use bytes::Bytes;
use proto::{
    PartitionId,
    log::v1::{COMMIT_FORMAT, Checkpoint, Commit, PageValue, ReactValue, RoomValue, VALUE_FORMAT},
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
    /// Events that some value or readable record had and the rooms do not have any more.
    pub cut: u64,
}

/// A partition that could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Log or store did not do as asked. The same call may help.
    #[error("partition {0}: {1}; run it again")]
    Broker(PartitionId, String),
    /// A value is damaged: which rooms there are is not known.
    #[error("partition {0}: {1}; restore the store from another back-up")]
    Damaged(PartitionId, String),
    /// The log holds records of a newer version.
    #[error("partition {0}: {1}")]
    TooOld(PartitionId, String),
}

/// All values of a room, by their keys.
#[derive(Default)]
struct Values {
    record: Option<(String, RoomValue, Revision)>,
    pages: BTreeMap<u64, (String, PageValue, Revision)>,
    reacts: Vec<(String, ReactValue, Revision)>,
}

/// One partition under restoration: its values as they were read.
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
    let stored = Partition::read(broker, pp).await?;
    let last = broker.last(pp).await;
    let last = last.map_err(|error| stored.failed(error.to_string()))?;
    let first = stored.first_record(last).await?;
    let tail = stored.scan(first, last).await?;
    let of_two_times = last < stored.applied || first > stored.checkpoint.log + 1;
    let concerns_all = of_two_times || tail.has_lost_records;
    if !concerns_all && tail.broken.is_empty() {
        return Ok(None);
    }
    let mut tops = tail.tops.clone();
    for (room, values) in &stored.rooms {
        let top = tops.entry(room.clone()).or_default();
        *top = values.top().max(*top);
    }
    let mut broken = tail.broken.clone();
    for (room, values) in &stored.rooms {
        if stored.cut(values).await? {
            broken.insert(room.clone());
        }
    }
    stored.fold(&tail).await?;
    let folded = Partition::read(broker, pp).await?;
    let mut restored = Restored::default();
    for (room, values) in &folded.rooms {
        if concerns_all || broken.contains(room) {
            folded.renumber(values).await?;
            restored.rooms += 1;
        }
    }
    let head = |room| folded.rooms.get(room).map_or(0, Values::head);
    let lost = tops
        .iter()
        .map(|(room, top)| top.saturating_sub(head(room)));
    restored.cut = lost.sum();
    // A claim takes the next epoch and a record, so none is above the sequence that the log then had.
    let known = tail.epoch.max(stored.checkpoint.epoch);
    let epoch = known.max(last).max(folded.applied) + 1;
    restored.raised = folded.raise(last, epoch).await?;
    let checkpoint = Checkpoint {
        format: VALUE_FORMAT,
        log: last + restored.raised,
        epoch,
        owner: "restore".to_owned(),
    };
    let (value, revision) = (codec::seal(&checkpoint), folded.checkpoint_revision);
    folded.put(CHECKPOINT, value, revision).await?;
    Ok(Some(restored))
}

impl Values {
    /// The highest seq that any of them says there is.
    fn top(&self) -> u64 {
        let page = self.pages.keys().next_back();
        let top = page.map_or(0, |page| (page + 1) * PAGE_EVENTS);
        top.max(self.head())
    }

    fn head(&self) -> u64 {
        self.record.as_ref().map_or(0, |(_, record, _)| record.head)
    }
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
            .map_err(|why| RestoreError::Damaged(self.pp, format!("value `{key}`: {why}")))
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

    /// Cuts a room back to what its values have without a hole; whether that is less.
    async fn cut(&self, values: &Values) -> Result<bool, RestoreError> {
        let Some((key, record, revision)) = &values.record else {
            // Pages of a room whose record was never put: the room is in the log or nowhere.
            return Ok(false);
        };
        let mut record = record.clone();
        let kept = keep(&mut record, &values.pages.keys().copied().collect());
        if record.head != values.head() {
            let last = kept.last().and_then(|top| values.pages.get(top));
            let last = last.and_then(|(_, page, _)| page.events.last());
            let last_ms = last.map_or(0, |event| event.ts_ms);
            record.last_ts_ms = record.last_ts_ms.max(last_ms);
            self.erase(key, std::mem::take(&mut record.erase)).await?;
            self.put(key, codec::seal(&record), *revision).await?;
        }
        for (number, (key, _, _)) in &values.pages {
            if !kept.contains(number) {
                self.purge(key).await?;
            }
        }
        for (key, reacts, revision) in &values.reacts {
            let mut cut = reacts.clone();
            cut.reactors.retain(|of| of.target <= record.head);
            if cut != *reacts {
                self.put(key, codec::seal(&cut), *revision).await?;
            }
        }
        Ok(record.head < values.top())
    }

    /// Gives a room a new numbering.
    async fn renumber(&self, values: &Values) -> Result<(), RestoreError> {
        let Some((key, record, revision)) = &values.record else {
            for (key, _, _) in values.pages.values() {
                self.purge(key).await?;
            }
            return Ok(());
        };
        let mut record = record.clone();
        record.r#gen = draw_gen(&mut rand::rng());
        let generation = record.r#gen.clone();
        self.erase(key, std::mem::take(&mut record.erase)).await?;
        self.put(key, codec::seal(&record), *revision).await?;
        for (key, page, revision) in values.pages.values() {
            let mut page = page.clone();
            page.r#gen.clone_from(&generation);
            self.erase(key, std::mem::take(&mut page.erase)).await?;
            self.put(key, codec::seal(&page), *revision).await?;
        }
        for (key, reacts, revision) in &values.reacts {
            let mut reacts = reacts.clone();
            reacts.r#gen.clone_from(&generation);
            self.put(key, codec::seal(&reacts), *revision).await?;
        }
        Ok(())
    }

    /// Appends empty commits under the epoch, one at least, until the log ends at the highest commit of the
    /// store; how many.
    async fn raise(&self, last: u64, epoch: u64) -> Result<u64, RestoreError> {
        let filler = filler(epoch);
        let mut at = last;
        while at < self.applied.max(last + 1) {
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

    /// Erases a superseded version of a value; 0 for none.
    async fn erase(&self, key: &str, revision: u64) -> Result<(), RestoreError> {
        if revision == 0 {
            return Ok(());
        }
        let erased = self.broker.erase(self.pp, key, Revision(revision)).await;
        erased.map_err(|error| self.failed(error.to_string()))
    }

    async fn purge(&self, key: &str) -> Result<(), RestoreError> {
        let purged = self.broker.purge(self.pp, key).await;
        purged.map_err(|error| self.failed(error.to_string()))
    }

    fn failed(&self, why: String) -> RestoreError {
        RestoreError::Broker(self.pp, why)
    }
}

/// A record that says nothing.
fn filler(epoch: u64) -> Bytes {
    encode(&Commit {
        format: COMMIT_FORMAT,
        epoch,
        owner: "restore".to_owned(),
        ..Commit::default()
    })
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
