//! Putting values into the store at a steady budget, how far the log may be trimmed for it, and rooms on
//! their way out of memory.

use std::collections::HashMap;

use bytes::Bytes;
use proto::{
    RoomId,
    log::v1::{PageValue, ReactValue, RoomValue, VALUE_FORMAT},
};

use super::{Fetched, Held, Load, Now, Partition, loading};
use crate::domain::{
    codec::{self, Damaged},
    ledger::Part,
    room::Next,
    value::Stored,
};

/// Dirty values that are looked at for one whose turn it is.
const LOOK_AT: usize = 64;
/// Pages nobody used for this long leave memory.
const PAGE_IDLE_US: u64 = 30_000_000;
/// Rooms nobody used for this long leave memory.
const ROOM_IDLE_US: u64 = 120_000_000;

/// Which value is put, or has a version erased.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Putting {
    pub(crate) room: RoomId,
    pub(crate) part: Part,
}

impl Putting {
    #[cfg(test)]
    pub(crate) fn of_record(room: &RoomId) -> Self {
        Self {
            room: room.clone(),
            part: Part::Record,
        }
    }

    /// The value's key.
    pub(crate) fn key(&self) -> String {
        loading::key(&self.room, self.part)
    }
}

/// A put to be made.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) value: Putting,
    pub(crate) bytes: Bytes,
    /// The revision it replaces; 0 for none.
    pub(crate) expected: u64,
}

/// What a put that met another revision comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// What is stored is older than what is here: it will be put again, on its revision.
    Again,
    /// What is stored is newer: somebody else owns the partition.
    Newer,
}

impl<T> Partition<T> {
    /// The next put to make now, if any; it is answered by one of [`written`](Self::written),
    /// [`not_written`](Self::not_written) and [`resolve`](Self::resolve).
    pub(crate) fn next_put(&mut self, now: Now) -> Option<Put> {
        for (room, part) in self.ledger.end_pauses(now) {
            self.hurry_again(&room, part);
        }
        let mut later = Vec::new();
        let mut found = None;
        while found.is_none()
            && let Some((room, part)) = self.ledger.next_urgent()
        {
            match self.begin(&room, part, now) {
                Begun::Put(put) => {
                    if put.value.part != part {
                        // Another one had to go first.
                        later.push((room, part));
                    }
                    found = Some(put);
                }
                // What is stuck is hurried again once it no longer is.
                Begun::Nothing | Begun::Stuck => {}
                Begun::Later => later.push((room, part)),
            }
        }
        for (room, part) in later {
            self.ledger.hurry(&room, part);
        }
        found.or_else(|| self.next_in_turn(now))
    }

    fn next_in_turn(&mut self, now: Now) -> Option<Put> {
        if !self.ledger.has_credit(now) {
            return None;
        }
        let candidates: Vec<_> = self.ledger.oldest().take(LOOK_AT).cloned().collect();
        for mark in candidates {
            match self.begin(&mark.1, mark.2, now) {
                Begun::Put(put) => {
                    self.ledger.spend();
                    return Some(put);
                }
                Begun::Stuck => self.ledger.park(mark),
                Begun::Nothing | Begun::Later => {}
            }
        }
        None
    }

    fn begin(&mut self, room: &RoomId, part: Part, now: Now) -> Begun {
        if part == Part::Tail {
            return self.begin_load(room, Load::Room(room.clone()), now);
        }
        let Some(Held::Present(held)) = self.rooms.get_mut(room) else {
            return Begun::Nothing;
        };
        if self.ledger.is_paused(room, part, now) {
            return Begun::Stuck;
        }
        let (part, next) = match held.begin_put(room.as_str(), part) {
            Next::First(first) if self.ledger.is_paused(room, first, now) => return Begun::Stuck,
            Next::First(first) => (first, held.begin_put(room.as_str(), first)),
            next => (part, next),
        };
        match next {
            Next::Put(encoded) => Begun::Put(Put {
                value: Putting {
                    room: room.clone(),
                    part,
                },
                bytes: encoded.bytes,
                expected: encoded.expected,
            }),
            Next::Load => match part {
                Part::Page(number) => self.begin_load(room, Load::Page(room.clone(), number), now),
                Part::Reacts(number) => {
                    self.begin_load(room, Load::Reacts(room.clone(), number), now)
                }
                Part::Tail | Part::Record => Begun::Later,
            },
            Next::InFlight => Begun::Later,
            Next::Nothing | Next::First(_) => Begun::Nothing,
        }
    }

    /// Before a put: the value has to be loaded, unless that was in vain just now.
    fn begin_load(&mut self, room: &RoomId, load: Load, now: Now) -> Begun {
        let again_us = self.broken.get(&load).copied().unwrap_or(0);
        if now.mono_us < again_us || self.damaged.contains(room) {
            return Begun::Stuck;
        }
        self.want(load);
        Begun::Later
    }

    /// A put was written, under this revision.
    pub(crate) fn written(&mut self, value: &Putting, revision: u64) {
        self.settle(value, |stored| stored.written(revision));
        self.ledger.taken(&value.room, value.part);
    }

    /// The version that had to be erased is.
    pub(crate) fn erased(&mut self, value: &Putting) {
        self.settle(value, Stored::erased);
        self.hurry_again(&value.room, value.part);
    }

    /// Makes a change to what is known of a value, after which less of the log may be needed for it.
    fn settle(&mut self, value: &Putting, change: impl FnOnce(&mut Stored)) {
        let (room, part) = (&value.room, value.part);
        let Some(stored) = stored_mut(&mut self.rooms, value) else {
            return;
        };
        let before = stored.dirty();
        change(stored);
        if let Some(revision) = stored.erasing() {
            self.ledger.erase(room, part, revision);
        } else if stored.holds_redaction() {
            self.ledger.hurry(room, part);
        }
        if let Some(before) = before {
            self.ledger.unmark(room, part, before);
        }
        if let Some(dirty) = stored.dirty() {
            self.ledger.mark(room, part, dirty);
        }
    }

    /// The next superseded version that is to be erased, answered by [`erased`](Self::erased).
    pub(crate) fn next_erasure(&mut self) -> Option<(Putting, u64)> {
        let (room, part, revision) = self.ledger.next_erasure()?;
        Some((Putting { room, part }, revision))
    }

    /// A put was refused: it is made again after a while.
    pub(crate) fn not_written(&mut self, value: &Putting, now: Now) {
        self.ledger.refused(&value.room, value.part, now);
        if let Some(stored) = stored_mut(&mut self.rooms, value) {
            stored.not_written();
        }
    }

    /// A value that does not wait for its turn is to be put at once.
    fn hurry_again(&mut self, room: &RoomId, part: Part) {
        let value = Putting {
            room: room.clone(),
            part,
        };
        if let Some(stored) = stored_mut(&mut self.rooms, &value)
            && (matches!(part, Part::Page(_)) || stored.holds_redaction())
        {
            self.ledger.hurry(room, part);
        }
    }

    /// A put met another revision, or nobody knows what became of it; `found` is what the store holds.
    /// Call it only after the log has shown that this process still owns the partition.
    pub(crate) fn resolve(&mut self, value: &Putting, found: Fetched) -> Resolved {
        let Some(stored) = stored_mut(&mut self.rooms, value) else {
            return Resolved::Again;
        };
        let (held, revision) = match &found {
            None => (Kept::default(), 0),
            Some((bytes, revision)) => (Kept::of(value.part, bytes), *revision),
        };
        if held.applied > stored.applied {
            return Resolved::Newer;
        }
        stored.found(revision, held.erase);
        match stored.erasing() {
            Some(before) => self.ledger.erase(&value.room, value.part, before),
            None => self.hurry_again(&value.room, value.part),
        }
        Resolved::Again
    }

    /// A new checkpoint, when there is one to put: everything up to this log seq is in the store.
    pub(crate) fn next_checkpoint(&mut self, now: Now) -> Option<u64> {
        let reached = self.ledger.checkpoint(self.folded, now);
        (reached > self.checkpoint).then_some(reached)
    }

    /// A checkpoint was put.
    pub(crate) fn checkpointed(&mut self, log_seq: u64) {
        self.checkpoint = self.checkpoint.max(log_seq);
    }

    /// Lets go what nobody used for a while, and more of it while it takes more than `budget` bytes.
    pub(crate) fn sweep(&mut self, now: Now, budget: usize) {
        let before = |us: u64| now.mono_us.saturating_sub(us);
        let mut bytes = self.shrink(before(PAGE_IDLE_US));
        if bytes > budget {
            bytes = self.shrink(before(1_000_000));
        }
        let mut idle: Vec<_> = self
            .rooms
            .iter()
            .filter_map(|(id, held)| match held {
                Held::Present(room) if room.is_idle(before(1_000_000)) => {
                    Some((room.used_us(), id.clone()))
                }
                _ => None,
            })
            .collect();
        idle.sort_unstable();
        for (used_us, id) in idle {
            if used_us > before(ROOM_IDLE_US) && bytes <= budget {
                break;
            }
            if let Some(Held::Present(mut room)) = self.rooms.remove(&id) {
                bytes = bytes.saturating_sub(room.shrink(u64::MAX));
                self.known.insert(id, room.summary.head);
            }
        }
        for (load, again_us) in &self.broken {
            if *again_us <= now.mono_us {
                self.ledger.unpark(load.room());
            }
        }
        // Names that somebody tried, and values that may have been mended.
        self.rooms
            .retain(|_, held| matches!(held, Held::Present(_)));
    }

    fn shrink(&mut self, since_us: u64) -> usize {
        self.rooms
            .values_mut()
            .map(|held| match held {
                Held::Present(room) => room.shrink(since_us),
                Held::Absent | Held::Broken => 0,
            })
            .sum()
    }
}

enum Begun {
    Put(Put),
    Nothing,
    /// It must not be forgotten, but something else comes first.
    Later,
    /// It cannot be put as long as something is as it is, and nobody else should wait for that.
    Stuck,
}

fn stored_mut<'a>(rooms: &'a mut HashMap<RoomId, Held>, value: &Putting) -> Option<&'a mut Stored> {
    match rooms.get_mut(&value.room)? {
        Held::Present(room) => room.stored_mut(value.part),
        Held::Absent | Held::Broken => None,
    }
}

/// What a stored value says of itself.
#[derive(Default)]
struct Kept {
    /// Log seq of the last commit in it; 0 for a value that cannot be read, which is no better than none,
    /// and more than anything for one of a newer version.
    applied: u64,
    /// The version before it, when that is to be erased.
    erase: u64,
}

impl Kept {
    fn of(part: Part, bytes: &Bytes) -> Self {
        let kept = match part {
            Part::Tail | Part::Record => {
                let value = codec::open(bytes, |value: &RoomValue| value.format, VALUE_FORMAT);
                value.map(|value| (value.applied, value.erase))
            }
            Part::Page(_) => {
                let value = codec::open(bytes, |value: &PageValue| value.format, VALUE_FORMAT);
                value.map(|value| (value.applied, value.erase))
            }
            Part::Reacts(_) => {
                let value = codec::open(bytes, |value: &ReactValue| value.format, VALUE_FORMAT);
                value.map(|value| (value.applied, 0))
            }
        };
        let (applied, erase) = match kept {
            Ok(kept) => kept,
            Err(Damaged::TooNew { .. }) => (u64::MAX, 0),
            Err(Damaged::CheckSum | Damaged::Undecodable(_)) => (0, 0),
        };
        Self { applied, erase }
    }
}
