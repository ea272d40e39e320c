//! Rooms and pages on their way into memory: who waits for them, and what is made of what the store held.

use bytes::Bytes;
use prost::Message as _;
use proto::{
    Code, RoomId,
    bus::v1::reply,
    log::v1::{
        COMMIT_FORMAT, PageValue, RawCommit, ReactValue, RoomEvents, RoomName, RoomValue,
        VALUE_FORMAT,
    },
};

use super::{Held, Now, Partition, Waiting, outcome};
use crate::domain::{
    codec::{self, Damaged},
    ledger::Part,
    page::Page,
    record::FoldError,
    room::{Folding, Room},
    value::Stored,
};

/// When to try again what this version does not know.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;

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
}

impl<T> Partition<T> {
    /// Lets somebody wait for a load.
    pub(super) fn wait_for(&mut self, load: Load, waiting: Waiting<T>) {
        self.want(load.clone());
        self.waiting.entry(load).or_default().push(waiting);
    }

    pub(super) fn want(&mut self, load: Load) {
        if self.fetching.insert(load.clone()) {
            self.wanted.push(load);
        }
    }

    /// What is to be read from the store from now on; each is answered by [`loaded`](Self::loaded) or
    /// [`not_loaded`](Self::not_loaded).
    pub(crate) fn take_loads(&mut self) -> Vec<Load> {
        std::mem::take(&mut self.wanted)
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
            Err(Loaded::Broken(why)) => {
                return self.not_loaded(load, &why);
            }
            Err(again) => return again,
        }
        Loaded::Done
    }

    /// Gives a load up: whoever waits for it is refused, and a room whose own value it is cannot be
    /// served. A room in memory stays there: it may hold what is not stored yet.
    pub(crate) fn not_loaded(&mut self, load: &Load, why: &str) -> Loaded {
        let words = format!("value `{}`: {why}", load.key());
        if let Load::Room(room) = load {
            self.rooms.entry(room.clone()).or_insert(Held::Broken);
            // It is there, whatever is wrong with it: nobody may begin it anew.
            self.known.entry(room.clone()).or_insert(1);
        }
        self.fetching.remove(load);
        let refusal = super::propose::refusal(Code::Internal, 0);
        for waiting in self.waiting.remove(load).unwrap_or_default() {
            let asker = match waiting {
                Waiting::Send(submission) => submission.asker,
                Waiting::Question(asked) => asked.asker,
            };
            self.refused.push((asker, refusal.clone()));
        }
        Loaded::Broken(words)
    }

    /// Refuses a request that this version does not know, for now.
    pub(crate) fn cannot_answer(&mut self, asker: T) {
        let refusal = super::propose::refusal(Code::Unavailable, UNAVAILABLE_RETRY_MS);
        self.refused.push((asker, refusal));
    }

    /// Answers to those for whom something could not be loaded.
    pub(crate) fn take_refused(&mut self) -> Vec<(T, reply::Result)> {
        std::mem::take(&mut self.refused)
    }

    /// Whoever waited is next.
    fn go_on(&mut self, load: &Load) {
        self.fetching.remove(load);
        let mut sends = Vec::new();
        for waiting in self.waiting.remove(load).unwrap_or_default() {
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
                Some(room.ok_or_else(|| broken("its events do not reach its head"))?)
            }
        };
        let held = match self.fold_tail(id, room, now) {
            Ok(Some(room)) => Held::Present(Box::new(room)),
            Ok(None) => Held::Absent,
            Err(error) => return Err(broken(&error.to_string())),
        };
        self.rooms.insert(id.clone(), held);
        Ok(())
    }

    /// Folds into a room what was committed while it was not in memory.
    fn fold_tail(
        &mut self,
        id: &RoomId,
        room: Option<Room>,
        now: Now,
    ) -> Result<Option<Room>, FoldError> {
        let Some(tail) = self.tails.get(id) else {
            return Ok(room);
        };
        let (mut room, tail) = (room, tail.clone());
        for (log_seq, events) in &tail {
            let events = RoomEvents::decode(events.clone()).map_err(|error| {
                let why = Damaged::Undecodable(error.to_string());
                FoldError::Undecodable {
                    log_seq: *log_seq,
                    why,
                }
            })?;
            let room = room.get_or_insert_with(|| Room::new(&events));
            let folding = Folding {
                room: id,
                log_seq: *log_seq,
                ledger: &mut self.ledger,
                now_us: now.mono_us,
            };
            outcome::fold_events(room, folding, events.events)?;
        }
        if let Some((first, _)) = tail.front() {
            self.ledger.unmark(id, Part::Tail, *first);
        }
        self.tails.remove(id);
        Ok(room)
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
        let stored = Stored::read(revision, value.applied);
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
            stored = Stored::read(revision, value.applied);
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
        let damaged = |why: Damaged| FoldError::Undecodable { log_seq, why };
        let undecodable = |error: prost::DecodeError| Damaged::Undecodable(error.to_string());
        let (body, is_sealed) = codec::unseal(record).map_err(damaged)?;
        let commit = RawCommit::decode(body).map_err(|error| damaged(undecodable(error)))?;
        crate::domain::record::check_format(commit.format, is_sealed).map_err(damaged)?;
        for events in commit.rooms {
            let name =
                RoomName::decode(events.clone()).map_err(|error| damaged(undecodable(error)))?;
            let id = outcome::room_of(log_seq, &name.room)?;
            self.keep(log_seq, &id, events);
        }
        debug_assert!(commit.format <= COMMIT_FORMAT);
        self.ledger.committed(log_seq, record.len(), now);
        self.folded = log_seq;
        self.epoch = self.epoch.max(commit.epoch);
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
