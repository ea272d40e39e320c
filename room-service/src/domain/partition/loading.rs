//! Rooms and pages on their way into memory: who waits for them, and what is made of what the store held.

use std::collections::VecDeque;

use bytes::Bytes;
use proto::{
    Code, RoomId,
    bus::v1::reply,
    log::v1::{PageValue, ReactValue, RoomValue, VALUE_FORMAT},
};

use super::{Held, Now, Partition, Waiting, outcome};
use crate::domain::{
    codec,
    ledger::Part,
    page::Page,
    record::{self, FoldError, Record},
    room::{Folding, Room},
    value::Stored,
};

/// Before a load that was given up is tried again, unless somebody asks for it.
const LOAD_AGAIN_AFTER_US: u64 = 60_000_000;

/// A value that has to be read from the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Load {
    /// A room's record and open page.
    Room(RoomId),
    /// A full page.
    Page(RoomId, u64),
    /// Who reacted to the events of a page.
    Reacts(RoomId, u64),
}

impl Load {
    /// The room.
    pub(crate) fn room(&self) -> &RoomId {
        match self {
            Self::Room(room) | Self::Page(room, _) | Self::Reacts(room, _) => room,
        }
    }

    /// The value's key.
    pub(crate) fn key(&self) -> String {
        let part = match self {
            Self::Room(_) => Part::Record,
            Self::Page(_, number) => Part::Page(*number),
            Self::Reacts(_, number) => Part::Reacts(*number),
        };
        key(self.room(), part)
    }
}

/// The key of a room's value.
pub(super) fn key(room: &RoomId, part: Part) -> String {
    let room = room.subject_token();
    match part {
        Part::Tail | Part::Record => format!("room.{room}"),
        Part::Page(number) => format!("page.{room}.{number}"),
        Part::Reacts(number) => format!("react.{room}.{number}"),
    }
}

/// What the store held under a key.
pub(crate) type Fetched = Option<(Bytes, u64)>;

/// What became of a load.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// It is in memory; whoever waited goes on.
    Done,
    /// The store knew less than it must: read again.
    Stale,
    /// It holds commits that are not folded here yet: look at the log, then read again.
    Ahead {
        /// Log seq of the last commit in it.
        applied: u64,
    },
    /// It is damaged, and so the room cannot be served; the words name the key.
    Broken(String),
    /// It still is.
    StillBroken,
}

impl<T> Partition<T> {
    /// Lets somebody wait for a load.
    pub(super) fn wait_for(&mut self, load: Load, waiting: Waiting<T>) {
        self.want(load.clone());
        self.waiting.push(load, waiting);
    }

    pub(super) fn want(&mut self, load: Load) {
        if self.fetching.insert(load.clone()) {
            self.wanted.push_back(load);
        }
    }

    /// The next value to read from the store; it is answered by [`loaded`](Self::loaded) or
    /// [`not_loaded`](Self::not_loaded).
    pub(crate) fn next_load(&mut self) -> Option<Load> {
        self.wanted.pop_front()
    }

    /// Takes a value that was read.
    pub(crate) fn loaded(&mut self, load: &Load, fetched: Fetched, now: Now) -> Loaded {
        let outcome = match load {
            Load::Room(room) => self.load_room(room, fetched, now),
            Load::Page(room, number) => self.load_page(room, *number, fetched, now),
            Load::Reacts(room, number) => self.load_reacts(room, *number, fetched, now),
        };
        match outcome {
            Ok(()) => self.go_on(load),
            Err(Loaded::Broken(why)) => return self.not_loaded(load, &why, now),
            Err(again) => return again,
        }
        Loaded::Done
    }

    /// Gives a load up: whoever waits for it is refused, and a room whose own value it is cannot be
    /// served. A room in memory stays there: it may hold what is not stored yet.
    pub(crate) fn not_loaded(&mut self, load: &Load, why: &str, now: Now) -> Loaded {
        let words = format!("value `{}`: {why}", load.key());
        if let Load::Room(room) = load {
            self.rooms.entry(room.clone()).or_insert(Held::Broken);
            // It is there, whatever is wrong with it: nobody may begin it anew.
            self.known.entry(room.clone()).or_insert(1);
        }
        self.fetching.remove(load);
        let refusal = super::propose::refusal(Code::Internal, 0);
        let waited = self.waiting.take(load).into_iter();
        self.refused
            .extend(waited.map(|waiting| (waiting.into_asker(), refusal.clone())));
        let again_us = now.mono_us + LOAD_AGAIN_AFTER_US;
        match self.broken.insert(load.clone(), again_us) {
            None => Loaded::Broken(words),
            Some(_) => Loaded::StillBroken,
        }
    }

    /// A room cannot go on from here: its commits are kept from here on, and nobody may begin it anew.
    pub(super) fn is_damaged(&mut self, room: &RoomId, error: &FoldError) {
        if self.damaged.insert(room.clone()) {
            self.damage.push(error.to_string());
        }
        self.known.entry(room.clone()).or_insert(1);
        // Whoever came for what the head promises would come again and again.
        self.changed.remove(room);
    }

    /// Words on rooms that the log was found damaged for.
    pub(crate) fn take_damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }

    /// Refuses a request that this version does not know, for now.
    pub(crate) fn cannot_answer(&mut self, asker: T) {
        self.refused.push((asker, outcome::unavailable()));
    }

    /// Answers to those for whom something could not be loaded.
    pub(crate) fn take_refused(&mut self) -> Vec<(T, reply::Result)> {
        std::mem::take(&mut self.refused)
    }

    /// Whoever waited is next.
    fn go_on(&mut self, load: &Load) {
        self.fetching.remove(load);
        if self.broken.remove(load).is_some() {
            self.ledger.unpark(load.room());
        }
        let mut sends = Vec::new();
        for waiting in self.waiting.take(load) {
            match waiting {
                Waiting::Send(submission) => sends.push(submission),
                Waiting::Question(asked) => self.questions.push_back(asked),
            }
        }
        self.queue.push_front(sends);
    }

    fn load_room(&mut self, id: &RoomId, fetched: Fetched, now: Now) -> Result<(), Loaded> {
        if matches!(self.rooms.get(id), Some(Held::Present(_))) {
            return Ok(());
        }
        let known_head = self.known.get(id).copied().unwrap_or(0);
        let room = match fetched {
            None if known_head > 0 => return Err(Loaded::Stale),
            None => None,
            Some((bytes, revision)) => {
                let value: RoomValue = decode(&bytes, |value: &RoomValue| value.format)?;
                self.is_within(value.applied)?;
                if value.head < known_head {
                    return Err(Loaded::Stale);
                }
                if value.room != id.as_str() {
                    return Err(broken("it is of another room"));
                }
                let room = Room::load(value, revision);
                let mut room = room.ok_or_else(|| broken("its events do not reach its head"))?;
                let first = self.tails.get(id).and_then(VecDeque::front);
                room.resume_erasure(&mut Folding {
                    room: id,
                    log_seq: first.map_or(0, |(log_seq, _)| *log_seq),
                    ledger: &mut self.ledger,
                    now_us: now.mono_us,
                });
                Some(room)
            }
        };
        let held = match self.fold_tail(id, room, now) {
            Some(room) => Held::Present(Box::new(room)),
            None => Held::Absent,
        };
        self.rooms.insert(id.clone(), held);
        Ok(())
    }

    /// Folds into a room what was committed while it was not in memory, up to where that is damaged.
    fn fold_tail(&mut self, id: &RoomId, mut room: Option<Room>, now: Now) -> Option<Room> {
        let Some(mut tail) = self.tails.remove(id) else {
            return room;
        };
        if let Some((first, _)) = tail.front() {
            self.ledger.unmark(id, Part::Tail, *first);
        }
        while let Some((log_seq, part)) = tail.pop_front() {
            let folded = record::open_part(log_seq, id, &part).and_then(|events| {
                let folding = Folding {
                    room: id,
                    log_seq,
                    ledger: &mut self.ledger,
                    now_us: now.mono_us,
                };
                let room = room.get_or_insert_with(|| Room::new(&events));
                outcome::fold_events(room, folding, events.events)
            });
            if let Err(error) = folded {
                tail.push_front((log_seq, part));
                self.ledger.mark(id, Part::Tail, log_seq);
                self.tails.insert(id.clone(), tail);
                self.is_damaged(id, &error);
                break;
            }
        }
        room.filter(|room| room.summary.head > 0)
    }

    fn load_page(
        &mut self,
        id: &RoomId,
        number: u64,
        fetched: Fetched,
        now: Now,
    ) -> Result<(), Loaded> {
        // A page below the open one that is not there is a stale read, never an empty page.
        let (bytes, revision) = fetched.ok_or(Loaded::Stale)?;
        let value: PageValue = decode(&bytes, |value: &PageValue| value.format)?;
        self.is_within(value.applied)?;
        let stored = Stored::read(revision, value.applied, value.erase);
        let Some(Held::Present(room)) = self.rooms.get_mut(id) else {
            return Ok(());
        };
        if value.r#gen != room.summary.generation {
            return Err(Loaded::Stale);
        }
        let page = Page::of(number, value.events).filter(Page::is_full);
        let page = page.ok_or_else(|| broken("it does not hold the events of its page"))?;
        let mut folding = Folding {
            room: id,
            log_seq: 0,
            ledger: &mut self.ledger,
            now_us: now.mono_us,
        };
        room.loaded_page(&mut folding, page, stored);
        Ok(())
    }

    fn load_reacts(
        &mut self,
        id: &RoomId,
        number: u64,
        fetched: Fetched,
        now: Now,
    ) -> Result<(), Loaded> {
        let (mut reactors, mut stored) = (Vec::new(), Stored::default());
        if let Some((bytes, revision)) = fetched {
            let value: ReactValue = decode(&bytes, |value: &ReactValue| value.format)?;
            self.is_within(value.applied)?;
            stored = Stored::read(revision, value.applied, 0);
            let generation = match self.rooms.get(id) {
                Some(Held::Present(room)) => room.summary.generation.as_str(),
                _ => "",
            };
            if value.r#gen == generation {
                reactors = value.reactors;
            }
        }
        let Some(Held::Present(room)) = self.rooms.get_mut(id) else {
            return Ok(());
        };
        let mut folding = Folding {
            room: id,
            log_seq: 0,
            ledger: &mut self.ledger,
            now_us: now.mono_us,
        };
        room.loaded_reacts(&mut folding, number, reactors, stored);
        Ok(())
    }

    fn is_within(&self, applied: u64) -> Result<(), Loaded> {
        if applied > self.folded {
            Err(Loaded::Ahead { applied })
        } else {
            Ok(())
        }
    }

    /// Takes a record of the log between the checkpoint and the claim: it is kept encoded, room by room,
    /// and folded when the rooms come into memory.
    ///
    /// # Errors
    /// [`FoldError`], for a record that this version does not know.
    pub fn take_tail(&mut self, log_seq: u64, record: &Bytes, now: Now) -> Result<(), FoldError> {
        let Record { frame, parts } = record::open(log_seq, record)?;
        for (id, part) in parts {
            self.keep(log_seq, &id, part);
        }
        self.ledger.committed(log_seq, record.len(), now);
        self.folded = log_seq;
        self.epoch = self.epoch.max(frame.epoch);
        Ok(())
    }

    /// Takes from a listing of the store that a room is there.
    pub(crate) fn list(&mut self, id: RoomId, head: u64) {
        let known = self.known.entry(id).or_default();
        *known = head.max(*known);
    }

    /// Every room of the store was listed: what is not known now is new.
    pub(crate) fn is_listed(&mut self) {
        self.is_complete = true;
    }
}

fn decode<M: prost::Message + Default>(
    bytes: &Bytes,
    format: impl FnOnce(&M) -> u32,
) -> Result<M, Loaded> {
    codec::open(bytes, format, VALUE_FORMAT).map_err(|damaged| broken(&damaged.to_string()))
}

fn broken(why: &str) -> Loaded {
    Loaded::Broken(why.to_owned())
}
