//! Putting a room's values, and its way out of memory.

use bytes::Bytes;
use proto::log::v1::{RoomValue, VALUE_FORMAT};

use super::{Part, Room, Slot, Stored};
use crate::domain::codec;

/// Strings, marks and table entries of a room, about.
const OUTSIDE_BYTES: usize = 512;

/// A value that is to be put, as it is now.
#[derive(Debug)]
pub(in crate::domain) struct Encoded {
    pub(in crate::domain) bytes: Bytes,
    pub(in crate::domain) expected: u64,
}

/// What comes next for a value whose turn it is.
#[derive(Debug)]
pub(in crate::domain) enum Next {
    Put(Encoded),
    /// It is as stored.
    Nothing,
    /// A put of it is under way.
    InFlight,
    /// Another value goes first.
    First(Part),
    /// It has to be loaded.
    Load,
}

impl Room {
    /// Begins a put of a value.
    pub(in crate::domain) fn begin_put(&mut self, room: &str, part: Part) -> Next {
        if part == Part::Record
            && let Some(number) = self.unstored_page()
        {
            // The record, once put, no longer holds that page: it has to be in the store before. Looked
            // at here, at the moment of the put, since pages fill all the time.
            return Next::First(Part::Page(number));
        }
        let is_awaited = match part {
            Part::Tail => return Next::Load,
            Part::Record => false,
            Part::Page(number) => self.pages.get(&number).is_some_and(Slot::is_awaited),
            Part::Reacts(number) => self.reacts.get(&number).is_some_and(Slot::is_awaited),
        };
        if is_awaited {
            return Next::Load;
        }
        let Some(stored) = self.stored_mut(part) else {
            return Next::Nothing;
        };
        if stored.is_in_flight() {
            return Next::InFlight;
        }
        if stored.dirty().is_none() {
            return Next::Nothing;
        }
        stored.begin();
        let (expected, applied, erase) = (stored.revision, stored.applied, stored.supersedes());
        let bytes = self.encode(room, part, applied, erase);
        Next::Put(Encoded { bytes, expected })
    }

    fn encode(&self, room: &str, part: Part, applied: u64, erase: u64) -> Bytes {
        let generation = &self.summary.generation;
        match part {
            Part::Tail => Bytes::new(),
            Part::Record => codec::seal(&self.value(room, applied, erase)),
            Part::Page(number) => {
                let page = self.pages.get(&number).and_then(Slot::get);
                page.map_or_else(Bytes::new, |page| {
                    codec::seal(&page.value(generation, applied, erase))
                })
            }
            Part::Reacts(number) => {
                let reactors = self.reacts.get(&number).and_then(Slot::get);
                reactors.map_or_else(Bytes::new, |reactors| {
                    codec::seal(&reactors.value(generation, number, applied))
                })
            }
        }
    }

    fn value(&self, room: &str, applied: u64, erase: u64) -> RoomValue {
        RoomValue {
            format: VALUE_FORMAT,
            applied,
            room: room.to_owned(),
            r#gen: self.summary.generation.clone(),
            display_name: self.summary.display_name.clone(),
            head: self.summary.head,
            last_ts_ms: self.last_ts_ms,
            messages: self.summary.messages,
            bytes: self.summary.bytes,
            create_ms: self.summary.create_ms,
            last_message_ms: self.summary.last_message_ms,
            oldest: self.oldest,
            open: self.open.events().to_vec(),
            erase,
        }
    }

    /// A full page in memory that is not in the store as it is.
    fn unstored_page(&self) -> Option<u64> {
        let mut loaded = self
            .pages
            .iter()
            .filter_map(|(number, slot)| Some((*number, slot.stored()?)));
        loaded
            .find(|(_, stored)| !stored.is_clean())
            .map(|(number, _)| number)
    }

    pub(in crate::domain) fn stored_mut(&mut self, part: Part) -> Option<&mut Stored> {
        match part {
            Part::Tail => None,
            Part::Record => Some(&mut self.record),
            Part::Page(number) => self.pages.get_mut(&number)?.stored_mut(),
            Part::Reacts(number) => self.reacts.get_mut(&number)?.stored_mut(),
        }
    }

    /// Lets pages go that are as stored and were not used since then; what is left takes how many bytes
    /// of memory, about.
    pub(in crate::domain) fn shrink(&mut self, since_us: u64) -> usize {
        self.pages.retain(|_, slot| !slot.is_idle(since_us));
        self.reacts.retain(|_, slot| !slot.is_idle(since_us));
        if self.used_us <= since_us {
            let first = self.pages.keys().next().copied();
            let kept = first.unwrap_or(self.open.number);
            self.dedupe.forget(crate::domain::page::first_of(kept) - 1);
        }
        let pages: usize = self
            .pages
            .values()
            .filter_map(Slot::get)
            .map(crate::domain::page::Page::bytes)
            .sum();
        let reacts: usize = self
            .reacts
            .values()
            .filter_map(Slot::get)
            .map(super::Reactors::bytes)
            .sum();
        size_of::<Self>() + OUTSIDE_BYTES + pages + reacts + self.open.bytes() + self.dedupe.bytes()
    }

    /// Whether everything of it is stored and nobody wanted it since then.
    pub(in crate::domain) fn is_idle(&self, since_us: u64) -> bool {
        self.used_us <= since_us
            && self.record.is_clean()
            && self.pages.values().all(|slot| slot.is_idle(u64::MAX))
            && self.reacts.values().all(|slot| slot.is_idle(u64::MAX))
    }

    /// When somebody last wanted something of it.
    pub(in crate::domain) fn used_us(&self) -> u64 {
        self.used_us
    }
}
