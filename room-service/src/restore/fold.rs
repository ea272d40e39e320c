//! The log behind the checkpoint: what of it can be read, and its way into the values, by the same rules as
//! an owner's, up to where a room cannot go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use broker::{Broker, Put as Outcome, Reader as _, Revision};
use proto::Limits;

use super::{Partition, RestoreError, filler};
use crate::domain::{
    self, BodyTagger, FoldError, Load, Loaded, NewRooms, Now, Put, Putting, Resolved, Rules,
    codec::Damaged, open, open_part,
};

/// Time that passes from round to round: every value's turn comes in each.
const ROUND_US: u64 = 10_000_000;
/// After so many rounds in which nothing happened nothing will.
const QUIET_ROUNDS: u32 = 3;

/// What the log holds behind the checkpoint.
pub(super) struct Tail {
    first: u64,
    last: u64,
    /// The highest epoch of its records.
    pub(super) epoch: u64,
    /// Whether there are records of which not even the rooms are known.
    pub(super) has_lost_records: bool,
    /// Rooms that it does not continue, by token.
    pub(super) broken: BTreeSet<String>,
    /// The highest seq of each room in it, by token.
    pub(super) tops: BTreeMap<String, u64>,
}

impl<B: Broker> Partition<'_, B> {
    /// Reads the log from `first` to `last` for what is wrong with it.
    pub(super) async fn scan(&self, first: u64, last: u64) -> Result<Tail, RestoreError> {
        let mut tail = Tail {
            first,
            last,
            epoch: 0,
            has_lost_records: false,
            broken: BTreeSet::new(),
            tops: BTreeMap::new(),
        };
        let mut reader = self.broker.read(self.pp, first, last);
        loop {
            let next = reader.next().await;
            let next = next.map_err(|error| self.failed(error.to_string()))?;
            let Some((log_seq, record)) = next else {
                return Ok(tail);
            };
            let record = match open(log_seq, &record) {
                Ok(record) => record,
                Err(error) if is_too_new(&error) => {
                    return Err(RestoreError::TooOld(self.pp, error.to_string()));
                }
                Err(_) => {
                    tail.has_lost_records = true;
                    continue;
                }
            };
            tail.epoch = tail.epoch.max(record.frame.epoch);
            for (room, part) in record.parts {
                let token = room.subject_token();
                let Ok(events) = open_part(log_seq, &room, &part) else {
                    tail.broken.insert(token);
                    continue;
                };
                let stored = || self.rooms.get(&token).map_or(0, super::Values::head);
                let head = tail.tops.get(&token).copied().unwrap_or_else(stored);
                let (from, to) = (events.events.first(), events.events.last());
                if from.is_some_and(|from| from.seq > head + 1) {
                    tail.broken.insert(token.clone());
                }
                let top = to.map_or(head, |to| to.seq.max(head));
                tail.tops.insert(token, top);
            }
        }
    }

    /// Folds the log into the values, and puts them.
    pub(super) async fn fold(&self, tail: &Tail) -> Result<(), RestoreError> {
        let mut partition = self.fold_records(tail).await?;
        let mut now = Now {
            unix_ms: 0,
            mono_us: 0,
        };
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS {
            now.mono_us += ROUND_US;
            quiet += 1;
            while let Some((value, before)) = partition.next_erasure() {
                self.erase(&value.key(), before).await?;
                partition.erased(&value);
                quiet = 0;
            }
            while let Some(put) = partition.next_put(now) {
                self.put_folded(&mut partition, put).await?;
                quiet = 0;
            }
            while let Some(load) = partition.next_load() {
                self.load(&mut partition, &load, now).await?;
                quiet = 0;
            }
        }
        Ok(())
    }

    async fn fold_records(&self, tail: &Tail) -> Result<domain::Partition<()>, RestoreError> {
        let now = Now {
            unix_ms: 0,
            mono_us: 0,
        };
        // Nobody asks for anything: what is allowed does not matter.
        let rules = Rules {
            limits: Limits::default(),
            auto_create: false,
            tagger: BodyTagger::new(&[]),
            new_rooms: Arc::new(NewRooms::new(1)),
        };
        let mut partition = domain::Partition::new(Arc::new(rules), tail.first - 1, 0, 0);
        let mut reader = self.broker.read(self.pp, tail.first, tail.last);
        loop {
            let next = reader.next().await;
            let next = next.map_err(|error| self.failed(error.to_string()))?;
            let Some((log_seq, record)) = next else {
                break;
            };
            let taken = partition.take_tail(log_seq, &record, now);
            if taken.is_err() {
                self.skip_to(&mut partition, log_seq)?;
            }
        }
        if self.applied > tail.last {
            self.skip_to(&mut partition, self.applied)?;
        }
        Ok(partition)
    }

    /// As if the log held nothing up to there.
    fn skip_to(
        &self,
        partition: &mut domain::Partition<()>,
        log_seq: u64,
    ) -> Result<(), RestoreError> {
        let now = Now {
            unix_ms: 0,
            mono_us: 0,
        };
        let taken = partition.take_tail(log_seq, &filler(0), now);
        taken.map_err(|error| self.failed(error.to_string()))
    }

    async fn put_folded(
        &self,
        partition: &mut domain::Partition<()>,
        put: Put,
    ) -> Result<(), RestoreError> {
        let key = put.value.key();
        let expected = Revision(put.expected);
        let outcome = self.broker.put(self.pp, &key, put.bytes, expected).await;
        match outcome {
            Outcome::Written(revision) => partition.written(&put.value, revision.0),
            // A page of a room whose record was never put is there already.
            Outcome::Conflict { .. } => self.resolve(partition, &put.value).await?,
            other => return Err(self.failed(format!("value `{key}` was not put: {other:?}"))),
        }
        Ok(())
    }

    async fn resolve(
        &self,
        partition: &mut domain::Partition<()>,
        value: &Putting,
    ) -> Result<(), RestoreError> {
        let found = self.get(&value.key()).await?;
        match partition.resolve(value, found) {
            Resolved::Again => Ok(()),
            Resolved::Newer => {
                let words = "is newer than its log: does a service run?";
                Err(self.failed(format!("value `{}` {words}", value.key())))
            }
        }
    }

    async fn load(
        &self,
        partition: &mut domain::Partition<()>,
        load: &Load,
        now: Now,
    ) -> Result<(), RestoreError> {
        let found = self.get(&load.key()).await?;
        let words = match partition.loaded(load, found, now) {
            Loaded::Done => return Ok(()),
            Loaded::Broken(words) => words,
            _ => format!("value `{}` does not fit its room", load.key()),
        };
        Err(RestoreError::Damaged(self.pp, words))
    }

    async fn get(&self, key: &str) -> Result<domain::Fetched, RestoreError> {
        let value = self.broker.get(self.pp, key).await;
        let value = value.map_err(|error| self.failed(error.to_string()))?;
        Ok(value.map(|value| (value.bytes, value.revision.0)))
    }
}

fn is_too_new(error: &FoldError) -> bool {
    matches!(
        error,
        FoldError::Undecodable {
            why: Damaged::TooNew { .. },
            ..
        }
    )
}
