//! Putting values into the store at a steady budget, how far the log may be trimmed for it, and rooms on
//! their way out of memory.

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
};

/// Dirty values that are looked at for one whose turn it is.
const LOOK_AT: usize = 64;
/// Pages nobody used for this long leave memory.
const PAGE_IDLE_US: u64 = 30_000_000;
/// Rooms nobody used for this long leave memory.
const ROOM_IDLE_US: u64 = 120_000_000;

/// Which value is put.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Putting {
    pub(crate) room: RoomId,
    pub(crate) part: Part,
}

impl Putting {
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
        if self.ledger.is_held(now) {
            return None;
        }
        let mut later = Vec::new();
        let mut found = None;
        while found.is_none()
            && let Some((room, part)) = self.ledger.next_urgent()
        {
            match self.begin(&room, part) {
                Begun::Put(put) => {
                    if put.value.part != part {
                        // Another one had to go first.
                        later.push((room, part));
                    }
                    found = Some(put);
                }
                Begun::Nothing => {}
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
        for (_, room, part) in candidates {
            if let Begun::Put(put) = self.begin(&room, part) {
                self.ledger.spend();
                return Some(put);
            }
        }
        None
    }

    fn begin(&mut self, room: &RoomId, part: Part) -> Begun {
        let Some(Held::Present(held)) = self.rooms.get_mut(room) else {
            if part == Part::Tail && !self.rooms.contains_key(room) {
                self.want(Load::Room(room.clone()));
            }
            return Begun::Nothing;
        };
        let (part, next) = match held.begin_put(room.as_str(), part) {
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
            Next::Load => {
                match part {
                    Part::Page(number) => self.want(Load::Page(room.clone(), number)),
                    Part::Reacts(number) => self.want(Load::Reacts(room.clone(), number)),
                    Part::Tail | Part::Record => {}
                }
                Begun::Later
            }
            Next::InFlight => Begun::Later,
            Next::Nothing | Next::First(_) => Begun::Nothing,
        }
    }

    /// A put was written, under this revision; the version before, when it must be erased.
    pub(crate) fn written(&mut self, value: &Putting, revision: u64) -> Option<u64> {
        let Some(Held::Present(room)) = self.rooms.get_mut(&value.room) else {
            return None;
        };
        let stored = room.stored_mut(value.part)?;
        let before = stored.dirty();
        let settled = stored.written(revision);
        let redacts = stored.holds_redaction();
        if let Some(before) = before {
            self.ledger.unmark(&value.room, value.part, before);
        }
        if let Some(dirty) = settled.dirty {
            self.ledger.mark(&value.room, value.part, dirty);
        }
        if redacts {
            self.ledger.hurry(&value.room, value.part);
        }
        settled.erase
    }

    /// A put was refused, or the store did not answer: it is made again after a while.
    pub(crate) fn not_written(&mut self, value: &Putting, now: Now) {
        self.ledger.hold(now);
        if let Some(Held::Present(room)) = self.rooms.get_mut(&value.room)
            && let Some(stored) = room.stored_mut(value.part)
        {
            stored.not_written();
            if matches!(value.part, Part::Page(_)) || stored.holds_redaction() {
                self.ledger.hurry(&value.room, value.part);
            }
        }
    }

    /// A put met another revision, or nobody knows what became of it; `found` is what the store holds.
    /// Call it only after the log has shown that this process still owns the partition.
    pub(crate) fn resolve(&mut self, value: &Putting, found: Fetched) -> Resolved {
        let Some(Held::Present(room)) = self.rooms.get_mut(&value.room) else {
            return Resolved::Again;
        };
        let Some(stored) = room.stored_mut(value.part) else {
            return Resolved::Again;
        };
        let (applied, revision) = match &found {
            None => (0, 0),
            Some((bytes, revision)) => (applied_of(value.part, bytes), *revision),
        };
        if applied > stored.applied {
            return Resolved::Newer;
        }
        stored.not_written();
        stored.revision = revision;
        if matches!(value.part, Part::Page(_)) || stored.holds_redaction() {
            self.ledger.hurry(&value.room, value.part);
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
        // Names that somebody tried, and damage that may have been mended.
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
}

/// What is folded into a stored value; 0 for one that cannot be read, which is no better than none, and
/// more than anything for one of a newer version.
fn applied_of(part: Part, bytes: &Bytes) -> u64 {
    let applied = match part {
        Part::Tail | Part::Record => {
            let value = codec::open(bytes, |value: &RoomValue| value.format, VALUE_FORMAT);
            value.map(|value| value.applied)
        }
        Part::Page(_) => {
            let value = codec::open(bytes, |value: &PageValue| value.format, VALUE_FORMAT);
            value.map(|value| value.applied)
        }
        Part::Reacts(_) => {
            let value = codec::open(bytes, |value: &ReactValue| value.format, VALUE_FORMAT);
            value.map(|value| value.applied)
        }
    };
    match applied {
        Ok(applied) => applied,
        Err(Damaged::TooNew { .. }) => u64::MAX,
        Err(Damaged::CheckSum | Damaged::Undecodable(_)) => 0,
    }
}
