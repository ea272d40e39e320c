//! What follows from a record of the log: rooms as they are then, answers, and what gateways are told.

use bytes::Bytes;
use prost::Message as _;
use proto::{
    Code, RoomId,
    bus::v1::{Fanout, NotOwner, reply},
    log::v1::{Commit, Event, RoomEvents},
};

use super::{
    Batch, Held, Now, Partition,
    propose::{Verdict, refusal},
};
use crate::domain::{
    codec::Damaged,
    record::{self, FoldError, Record},
    room::{Folding, Room, Summary},
};

/// When to try again after a refusal that has nothing to do with the request.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;

/// What is to be done after a record was folded.
pub struct Committed<T> {
    /// Answers to send.
    pub replies: Vec<(T, reply::Result)>,
    /// Encoded [`Fanout`]s to publish, in order.
    pub fanouts: Vec<(RoomId, Bytes)>,
    /// Rooms as they are now.
    pub summaries: Vec<(RoomId, Summary)>,
}

impl<T> Default for Committed<T> {
    fn default() -> Self {
        Self {
            replies: Vec::new(),
            fanouts: Vec::new(),
            summaries: Vec::new(),
        }
    }
}

impl<T> Partition<T> {
    /// The batch's record was written as `log_seq`, or, for a batch of answers only, the log was seen to
    /// end at what is folded.
    ///
    /// # Errors
    /// Never for a batch that this partition proposed on the state it has now.
    pub fn committed(
        &mut self,
        batch: Batch<T>,
        log_seq: u64,
        now: Now,
    ) -> Result<Committed<T>, FoldError> {
        let bytes = batch.record.as_ref().map_or(0, Bytes::len);
        let mut done = match batch.commit {
            Some(commit) => self.fold(log_seq, commit, bytes, now)?,
            None => Committed::default(),
        };
        let reply = |(submission, verdict): (super::Submission<T>, Verdict)| match verdict {
            Verdict::Placed(acked) => (submission.asker, reply::Result::Acked(acked)),
            Verdict::Decided(answer) => (submission.asker, answer),
        };
        done.replies = batch.items.into_iter().map(reply).collect();
        Ok(done)
    }

    /// The batch's outcome is that nothing of it was written: all goes through dedupe and validation
    /// again with the next one.
    pub fn put_back(&mut self, batch: Batch<T>) {
        let items = batch.items.into_iter();
        self.queue
            .push_front(items.map(|(submission, _)| submission).collect());
    }

    /// The log refused the batch for good: `UNAVAILABLE` to those that were placed, and their charge
    /// back. What was decided holds when the log was seen since to end where the batch began; else it
    /// goes with the next batch.
    pub fn refuse(&mut self, batch: Batch<T>, is_confirmed: bool) -> Vec<(T, reply::Result)> {
        let mut replies = Vec::with_capacity(batch.items.len());
        let mut undecided = Vec::new();
        for (submission, verdict) in batch.items {
            match verdict {
                Verdict::Decided(answer) if is_confirmed => {
                    replies.push((submission.asker, answer));
                }
                Verdict::Decided(_) => undecided.push(submission),
                Verdict::Placed(_) => {
                    self.charges.refund(&submission.room, &submission.send);
                    replies.push((submission.asker, unavailable()));
                }
            }
        }
        self.queue.push_front(undecided);
        replies
    }

    /// Another owner has the partition: everybody who waits is sent there.
    pub fn give_up(&mut self, batch: Option<Batch<T>>, epoch: u64) -> Vec<(T, reply::Result)> {
        let answer = reply::Result::NotOwner(NotOwner { epoch });
        let of_batch = batch.into_iter().flat_map(|batch| batch.items);
        let mut replies: Vec<_> = of_batch
            .map(|(waiting, _)| (waiting.asker, answer.clone()))
            .collect();
        replies.extend(self.drain(&answer));
        replies
    }

    /// Folds the record `log_seq`, which must be the next one; `bytes` is its size. The commits of rooms
    /// that are not in memory are kept until they are.
    ///
    /// # Errors
    /// [`FoldError`]: the state is not to be used any more.
    pub fn fold(
        &mut self,
        log_seq: u64,
        commit: Commit,
        bytes: usize,
        now: Now,
    ) -> Result<Committed<T>, FoldError> {
        let mut done = Committed::default();
        for mut events in commit.rooms {
            let id = room_of(log_seq, &events.room)?;
            let fanout = fanout(&mut events, commit.epoch);
            if let Some(summary) = self.fold_room(log_seq, &id, events, now)? {
                done.summaries.push((id.clone(), summary));
            }
            done.fanouts.push((id, fanout));
        }
        self.is_folded(log_seq, commit.epoch, bytes, now);
        Ok(done)
    }

    /// Folds a record that was found in the log, which must be the next one; `bytes` is its size. A room
    /// whose part of it is damaged goes on no more; the others do.
    pub(crate) fn fold_record(
        &mut self,
        log_seq: u64,
        record: Record,
        bytes: usize,
        now: Now,
    ) -> Committed<T> {
        let mut done = Committed::default();
        let epoch = record.frame.epoch;
        for (id, part) in record.parts {
            if self.damaged.contains(&id) {
                self.keep(log_seq, &id, part);
                continue;
            }
            let folded = record::open_part(log_seq, &id, &part).and_then(|mut events| {
                let fanout = fanout(&mut events, epoch);
                let summary = self.fold_room(log_seq, &id, events, now)?;
                Ok((fanout, summary))
            });
            match folded {
                Ok((fanout, summary)) => {
                    done.fanouts.push((id.clone(), fanout));
                    done.summaries.extend(summary.map(|summary| (id, summary)));
                }
                Err(error) => {
                    self.keep(log_seq, &id, part);
                    self.is_damaged(&id, &error);
                }
            }
        }
        self.is_folded(log_seq, epoch, bytes, now);
        done
    }

    fn is_folded(&mut self, log_seq: u64, epoch: u64, bytes: usize, now: Now) {
        self.ledger.committed(log_seq, bytes, now);
        self.folded = log_seq;
        self.epoch = self.epoch.max(epoch);
    }

    fn fold_room(
        &mut self,
        log_seq: u64,
        id: &RoomId,
        events: RoomEvents,
        now: Now,
    ) -> Result<Option<Summary>, FoldError> {
        if let Some(last) = events.events.last() {
            self.note_change(id, &events.r#gen, last.seq, now);
        }
        let is_in_memory = match self.rooms.get(id) {
            Some(Held::Present(_) | Held::Absent) => true,
            Some(Held::Broken) => false,
            None => self.is_certainly_new(id),
        };
        if !is_in_memory {
            self.keep(log_seq, id, record::seal_part(&events));
            return Ok(None);
        }
        let held = self.rooms.entry(id.clone()).or_insert(Held::Absent);
        if !matches!(held, Held::Present(_)) {
            *held = Held::Present(Box::new(Room::new(&events)));
        }
        let Held::Present(room) = held else {
            return Ok(None);
        };
        let folding = Folding {
            room: id,
            log_seq,
            ledger: &mut self.ledger,
            now_us: now.mono_us,
        };
        fold_events(room, folding, events.events)?;
        Ok(Some(room.summary.clone()))
    }

    /// Keeps a record's part for a room that is not in memory.
    pub(super) fn keep(&mut self, log_seq: u64, id: &RoomId, part: Bytes) {
        let tail = self.tails.entry(id.clone()).or_default();
        if tail.is_empty() {
            self.ledger
                .mark(id, crate::domain::ledger::Part::Tail, log_seq);
        }
        tail.push_back((log_seq, part));
    }
}

/// What gateways are told of a room's new events.
fn fanout(events: &mut RoomEvents, epoch: u64) -> Bytes {
    let mut fanout = Fanout {
        room: std::mem::take(&mut events.room),
        r#gen: std::mem::take(&mut events.r#gen),
        epoch,
        events: std::mem::take(&mut events.events),
    };
    let encoded = fanout.encode_to_vec().into();
    // Only lent: a copy of every event would cost as much again.
    events.room = std::mem::take(&mut fanout.room);
    events.r#gen = std::mem::take(&mut fanout.r#gen);
    events.events = std::mem::take(&mut fanout.events);
    encoded
}

/// The answer while something is wrong that has nothing to do with the request.
pub(crate) fn unavailable() -> reply::Result {
    refusal(Code::Unavailable, UNAVAILABLE_RETRY_MS)
}

/// The id that a record names.
pub(super) fn room_of(log_seq: u64, name: &str) -> Result<RoomId, FoldError> {
    RoomId::parse(name).map_err(|error| FoldError::Undecodable {
        log_seq,
        why: Damaged::Undecodable(format!("room: {error}")),
    })
}

pub(super) fn fold_events(
    room: &mut Room,
    folding: Folding<'_>,
    events: Vec<Event>,
) -> Result<(), FoldError> {
    let (log_seq, id) = (folding.log_seq, folding.room.to_string());
    room.fold(folding, events)
        .map_err(|error| FoldError::Discontinuous {
            log_seq,
            room: id,
            expected: error.expected,
            found: error.found,
        })
}
