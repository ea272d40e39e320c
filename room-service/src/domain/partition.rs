//! The rooms of one partition: takes requests, proposes commits, folds what has become durable.
//!
//! The state changes only by [`Partition::fold`] and [`Partition::committed`], that is by records of the
//! log in their order; a proposed commit changes nothing until its append is known to be written.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use proto::{
    Code, Limits, RoomId,
    bus::v1::{Acked, Fanout, NotOwner, Read, Refused, Room as View, Send, reply},
    log::v1::{COMMIT_FORMAT, Commit, RoomEvents},
    text,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    BodyTagger, NewRooms, Now,
    charges::Charges,
    draft::Draft,
    queue::Queue,
    record::FoldError,
    room::{self, Room, Summary},
};

/// A batch is closed when its events reach this (DESIGN section 5).
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// What one room may put into a batch in its turn while others wait.
const MAX_TURN_BYTES: usize = 64 * 1024;
/// Requests in a batch, so that answers to repeats are not held back by many more of them.
const MAX_BATCH_REQUESTS: usize = 4_096;
/// When to try again after a refusal that has nothing to do with the request.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;

/// What is allowed, and the keys of the installation.
pub struct Rules {
    /// The limits.
    pub limits: Limits,
    /// Whether a first message makes a room.
    pub auto_create: bool,
    /// Makes body tags.
    pub tagger: BodyTagger,
    /// New rooms per address.
    pub new_rooms: Arc<NewRooms>,
}

/// A send that waits for its place. `T` is whom to answer; the domain only hands it back.
pub struct Submission<T> {
    /// Whom to answer.
    pub asker: T,
    /// Where to.
    pub room: RoomId,
    /// What.
    pub send: Send,
    /// Whether its rate was charged already: a submission that is put back is not charged twice.
    pub charged: bool,
}

/// What became of a submission in a batch. Nothing of it is told to anybody before the log has
/// confirmed the batch.
enum Verdict {
    Placed(Acked),
    Decided(reply::Result),
}

/// A proposed commit, and the answers that depend on it.
pub struct Batch<T> {
    /// The record to append; `None` when the batch has answers only.
    pub record: Option<Bytes>,
    /// Events in the record.
    pub events: usize,
    commit: Option<Commit>,
    items: Vec<(Submission<T>, Verdict)>,
}

impl<T> Batch<T> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whom it answers.
    pub fn askers(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(submission, _)| &submission.asker)
    }
}

/// What is to be done after a record was folded.
pub struct Committed<T> {
    /// Answers to send.
    pub replies: Vec<(T, reply::Result)>,
    /// Encoded [`Fanout`]s to publish, in order.
    pub fanouts: Vec<(RoomId, Bytes)>,
    /// Rooms as they are now.
    pub summaries: Vec<(RoomId, Summary)>,
}

/// A partition's state: the fold of its log up to [`Partition::folded`].
pub struct Partition<T> {
    rules: Arc<Rules>,
    rooms: HashMap<RoomId, Room>,
    queue: Queue<T>,
    folded: u64,
    epoch: u64,
    charges: Charges,
    rng: StdRng,
}

impl<T> Partition<T> {
    /// A partition before the first record of its log. `seed` draws the `gen`s of its new rooms.
    pub fn new(rules: Arc<Rules>, seed: u64) -> Self {
        let charges = Charges::new(&rules.limits, Arc::clone(&rules.new_rooms));
        Self {
            rules,
            rooms: HashMap::new(),
            queue: Queue::default(),
            folded: 0,
            epoch: 0,
            charges,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// The log sequence of the last record folded: the only expectation an append may have.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// The highest epoch folded.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The rooms as they are.
    pub fn summaries(&self) -> impl Iterator<Item = (RoomId, Summary)> {
        self.rooms
            .iter()
            .map(|(id, room)| (id.clone(), room.summary.clone()))
    }

    /// Head of a room, 0 when it has no event.
    pub fn head(&self, room: &RoomId) -> u64 {
        self.rooms.get(room).map_or(0, |room| room.summary.head)
    }

    /// Lets a send wait for the next batch.
    pub fn submit(&mut self, submission: Submission<T>) {
        self.queue.push_back(submission);
    }

    /// Whether no send waits.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets the waiting sends that `keep` does not want; their senders have gone on.
    pub fn retain_waiting(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.queue.retain(|waiting| keep(&waiting.asker));
    }

    /// A room as a reader wants it; `None` where rooms are not made by talking and this one is not there.
    pub fn view(&self, room: &RoomId, read: &Read) -> Option<View> {
        match self.rooms.get(room) {
            Some(room) => Some(room.view(read)),
            None if self.rules.auto_create => Some(room::view_of_none(read)),
            None => None,
        }
    }

    /// Takes waiting sends, rooms in turn, and proposes one commit: each in order dedupe, validate,
    /// assign, against the state and the batch so far.
    pub fn propose(&mut self, now: Now, epoch: u64, owner: &str) -> Batch<T> {
        let mut draft = Draft::default();
        let mut items = Vec::new();
        let mut wait_for_outcome = Vec::new();
        while draft.bytes < MAX_BATCH_BYTES && items.len() < MAX_BATCH_REQUESTS {
            let Some(mut turn) = self.queue.take_turn() else {
                break;
            };
            let quota = draft.bytes + MAX_TURN_BYTES;
            while draft.bytes < MAX_BATCH_BYTES
                && items.len() < MAX_BATCH_REQUESTS
                && (draft.bytes < quota || self.queue.is_empty())
                && let Some(mut submission) = turn.pop_front()
            {
                match self.judge(&mut submission, &mut draft, now) {
                    Some(verdict) => items.push((submission, verdict)),
                    None => wait_for_outcome.push(submission),
                }
            }
            self.queue.end_turn(turn);
        }
        self.queue.push_front(wait_for_outcome);
        Batch::new(items, draft, now, epoch, owner)
    }

    /// `None`: the same cid is in this batch already, so its outcome decides.
    fn judge(
        &mut self,
        submission: &mut Submission<T>,
        draft: &mut Draft,
        now: Now,
    ) -> Option<Verdict> {
        let send = &submission.send;
        let room = self.rooms.get(&submission.room);
        if room.is_none() && !self.rules.auto_create {
            return Some(refused(Code::RoomUnknown, 0));
        }
        let user = send.from.as_ref().map_or("", |from| from.id.as_str());
        if draft.holds(&submission.room, user, &send.cid) {
            return None;
        }
        let body_tag = self.rules.tagger.message(send);
        if let Some(seen) = room.and_then(|room| room.dedupe.get(user, &send.cid)) {
            if seen.body_tag != body_tag {
                return Some(refused(Code::CidReused, 0));
            }
            let acked = Acked {
                seq: seen.seq,
                ts_ms: seen.ts_ms,
                dup: true,
            };
            return Some(Verdict::Decided(reply::Result::Acked(acked)));
        }
        if room.is_some_and(|room| room.may_have_forgotten(send.since)) {
            return Some(refused(Code::CidExpired, 0));
        }
        let head = draft
            .head(&submission.room)
            .or(room.map(|room| room.summary.head));
        if let Err(code) = self.check_body(send, head.unwrap_or(0)) {
            return Some(refused(code, 0));
        }
        if !submission.charged {
            let charged = self
                .charges
                .charge(&submission.room, send, head.is_none(), now);
            if let Err(retry_ms) = charged {
                return Some(refused(Code::RateLimited, retry_ms));
            }
            submission.charged = true;
        }
        let rng = &mut self.rng;
        let room = self.rooms.get(&submission.room);
        let (seq, ts_ms) = draft.place(submission, room, body_tag, now.unix_ms, || draw_gen(rng));
        Some(Verdict::Placed(Acked {
            seq,
            ts_ms,
            dup: false,
        }))
    }

    fn check_body(&self, send: &Send, head: u64) -> Result<(), Code> {
        text::check(&send.text, self.rules.limits.text)?;
        if send.reply_to > head {
            Err(Code::TargetUnknown)
        } else {
            Ok(())
        }
    }

    /// The batch's record was written as `log_seq`, or, for a batch of answers only, the log was seen to
    /// end at what is folded.
    ///
    /// # Errors
    /// Never for a batch that this partition proposed on the state it has now.
    pub fn committed(&mut self, batch: Batch<T>, log_seq: u64) -> Result<Committed<T>, FoldError> {
        let mut done = match batch.commit {
            Some(commit) => self.apply(log_seq, commit)?,
            None => Committed {
                replies: Vec::new(),
                fanouts: Vec::new(),
                summaries: Vec::new(),
            },
        };
        let reply = |(submission, verdict): (Submission<T>, Verdict)| match verdict {
            Verdict::Placed(acked) => (submission.asker, reply::Result::Acked(acked)),
            Verdict::Decided(answer) => (submission.asker, answer),
        };
        done.replies = batch.items.into_iter().map(reply).collect();
        Ok(done)
    }

    /// The batch's outcome is that nothing of it was written: all goes through dedupe and validation
    /// again with the next one.
    pub fn put_back(&mut self, batch: Batch<T>) {
        self.queue.push_front(
            batch
                .items
                .into_iter()
                .map(|(submission, _)| submission)
                .collect(),
        );
    }

    /// The log refused the batch for good: `UNAVAILABLE` to those that were placed, and their charge back.
    pub fn refuse(&mut self, batch: Batch<T>) -> Vec<(T, reply::Result)> {
        let mut replies = Vec::with_capacity(batch.items.len());
        for (submission, verdict) in batch.items {
            let answer = match verdict {
                Verdict::Decided(answer) => answer,
                Verdict::Placed(_) => {
                    self.charges.refund(&submission.room, &submission.send);
                    refusal(Code::Unavailable, UNAVAILABLE_RETRY_MS)
                }
            };
            replies.push((submission.asker, answer));
        }
        replies
    }

    /// Another owner has the partition: everybody who waits is sent there.
    pub fn give_up(&mut self, batch: Option<Batch<T>>, epoch: u64) -> Vec<(T, reply::Result)> {
        let of_batch = batch
            .into_iter()
            .flat_map(|batch| batch.items)
            .map(|(waiting, _)| waiting);
        of_batch
            .chain(self.queue.drain())
            .map(|waiting| (waiting.asker, reply::Result::NotOwner(NotOwner { epoch })))
            .collect()
    }

    /// Folds the record `log_seq`, which must be the next one.
    ///
    /// # Errors
    /// [`FoldError`]: the state is not to be used any more.
    pub fn fold(&mut self, log_seq: u64, commit: Commit) -> Result<Committed<T>, FoldError> {
        self.apply(log_seq, commit)
    }

    fn apply(&mut self, log_seq: u64, commit: Commit) -> Result<Committed<T>, FoldError> {
        let mut fanouts = Vec::with_capacity(commit.rooms.len());
        let mut summaries = Vec::with_capacity(commit.rooms.len());
        for events in commit.rooms {
            let undecodable = |why: String| FoldError::Undecodable {
                log_seq,
                why: format!("room: {why}"),
            };
            let id = RoomId::parse(&events.room).map_err(|error| undecodable(error.to_string()))?;
            let room = self
                .rooms
                .entry(id.clone())
                .or_insert_with(|| Room::new(&events));
            let (payload, events) = encode_fanout(events, commit.epoch);
            room.fold(events)
                .map_err(|error| FoldError::Discontinuous {
                    log_seq,
                    room: id.to_string(),
                    expected: error.expected,
                    found: error.found,
                })?;
            summaries.push((id.clone(), room.summary.clone()));
            fanouts.push((id, payload));
        }
        self.folded = log_seq;
        self.epoch = self.epoch.max(commit.epoch);
        Ok(Committed {
            replies: Vec::new(),
            fanouts,
            summaries,
        })
    }
}

impl<T> Batch<T> {
    fn new(
        items: Vec<(Submission<T>, Verdict)>,
        draft: Draft,
        now: Now,
        epoch: u64,
        owner: &str,
    ) -> Self {
        let rooms = draft.into_rooms();
        let events = rooms.iter().map(|room| room.events.len()).sum();
        let commit = (!rooms.is_empty()).then(|| Commit {
            format: COMMIT_FORMAT,
            epoch,
            owner: owner.to_owned(),
            ts_ms: now.unix_ms,
            rooms,
        });
        let record = commit
            .as_ref()
            .map(|commit| Bytes::from(commit.encode_to_vec()));
        Self {
            record,
            events,
            commit,
            items,
        }
    }
}

/// Encodes what gateways get, and hands the events back.
fn encode_fanout(events: RoomEvents, epoch: u64) -> (Bytes, Vec<proto::log::v1::Event>) {
    let fanout = Fanout {
        room: events.room,
        r#gen: events.r#gen,
        epoch,
        events: events.events,
    };
    (fanout.encode_to_vec().into(), fanout.events)
}

fn refusal(code: Code, retry_after_ms: u64) -> reply::Result {
    reply::Result::Refused(Refused {
        code: code.as_str().to_owned(),
        retry_after_ms,
    })
}

fn refused(code: Code, retry_after_ms: u64) -> Verdict {
    Verdict::Decided(refusal(code, retry_after_ms))
}

/// Eight characters of `[a-z0-9]`, never the `0` of a room without events.
fn draw_gen(rng: &mut impl rand::Rng) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..8)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests;
