//! Which cids a room has seen lately, and where their events are.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

use proto::log::v1::Event;

use super::body_tag::ANY_BODY;

/// Events back from the head within which a repeated cid is always recognised (DESIGN section 5).
pub(super) const DEDUPE_EVENTS: u64 = 4_096;

/// Where a cid's event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) seq: u64,
    pub(super) ts_ms: u64,
    pub(super) body_tag: u64,
}

impl Seen {
    /// Whether a body with this tag is that event's.
    pub(super) fn is_of(self, body_tag: u64) -> bool {
        self.body_tag == body_tag || self.body_tag == ANY_BODY
    }
}

/// A map `(user, cid) → event` over the events after [`from`](Self::from), at most [`DEDUPE_EVENTS`].
///
/// Keys are 64-bit hashes under a random key of this map: nobody can choose two that meet, and chance
/// needs some 2^51 messages.
pub(super) struct Dedupe {
    hasher: RandomState,
    seen: HashMap<u64, Seen>,
    /// Keys of the events after `from`, in their order.
    order: VecDeque<u64>,
    from: u64,
}

impl Dedupe {
    /// Knows nothing up to and with `from`, and nothing above it yet.
    pub(super) fn after(from: u64) -> Self {
        Self {
            hasher: RandomState::new(),
            seen: HashMap::new(),
            order: VecDeque::new(),
            from,
        }
    }

    pub(super) fn get(&self, user: &str, cid: &str) -> Option<Seen> {
        self.seen.get(&self.key(user, cid)).copied()
    }

    /// The last seq whose cid the map does not know.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// Takes the event that comes next.
    pub(super) fn push(&mut self, event: &Event) {
        if self.order.len() as u64 >= DEDUPE_EVENTS {
            self.forget_oldest();
        }
        let (key, seen) = self.entry(event);
        self.seen.insert(key, seen);
        self.order.push_back(key);
    }

    /// Takes the event before all that are known.
    pub(super) fn push_back_in_time(&mut self, event: &Event) {
        let (key, seen) = self.entry(event);
        // A later event of the same cid is the one that a repeat is of.
        self.seen.entry(key).or_insert(seen);
        self.order.push_front(key);
        self.from -= 1;
    }

    /// Lets a repeat of the event at `seq` pass whatever its body.
    pub(super) fn redact(&mut self, seq: u64) {
        let at = seq
            .checked_sub(self.from + 1)
            .and_then(|at| usize::try_from(at).ok());
        let key = at.and_then(|at| self.order.get(at));
        if let Some(seen) = key.and_then(|key| self.seen.get_mut(key))
            && seen.seq == seq
        {
            seen.body_tag = ANY_BODY;
        }
    }

    /// Forgets the events up to and with `seq`.
    pub(super) fn forget(&mut self, seq: u64) {
        while self.from < seq && !self.order.is_empty() {
            self.forget_oldest();
        }
        self.seen.shrink_to_fit();
        self.order.shrink_to_fit();
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.seen.capacity() * 40 + self.order.capacity() * 8
    }

    fn forget_oldest(&mut self) {
        if let Some(key) = self.order.pop_front() {
            self.from += 1;
            // A later event may have taken the key, after a retry that was too late to be recognised.
            if self
                .seen
                .get(&key)
                .is_some_and(|seen| seen.seq == self.from)
            {
                self.seen.remove(&key);
            }
        }
    }

    fn entry(&self, event: &Event) -> (u64, Seen) {
        let user = event.from.as_ref().map_or("", |from| from.id.as_str());
        let key = self.key(user, &event.cid);
        let seen = Seen {
            seq: event.seq,
            ts_ms: event.ts_ms,
            body_tag: event.body_tag,
        };
        (key, seen)
    }

    fn key(&self, user: &str, cid: &str) -> u64 {
        self.hasher.hash_one((user, cid))
    }
}

#[cfg(test)]
mod tests {
    use proto::log::v1::Author;

    use super::*;

    fn event(seq: u64) -> Event {
        Event {
            seq,
            cid: format!("c{seq}"),
            body_tag: 5,
            from: Some(Author {
                id: "u".to_owned(),
                ..Author::default()
            }),
            ..Event::default()
        }
    }

    #[test]
    fn the_oldest_cid_is_forgotten_first() {
        let mut dedupe = Dedupe::after(0);
        for seq in 1..=DEDUPE_EVENTS + 1 {
            dedupe.push(&event(seq));
        }
        assert_eq!(dedupe.get("u", "c1"), None);
        assert_eq!(dedupe.from(), 1);
        assert_eq!(dedupe.get("u", "c2").map(|seen| seen.seq), Some(2));
        assert_eq!(dedupe.get("v", "c2"), None);
        dedupe.forget(100);
        assert_eq!((dedupe.get("u", "c100"), dedupe.from()), (None, 100));
        assert_eq!(dedupe.seen.len() as u64, DEDUPE_EVENTS + 1 - 100);
    }

    #[test]
    fn what_lies_before_can_be_learnt_and_a_redacted_body_is_any() {
        let mut dedupe = Dedupe::after(2);
        dedupe.push(&event(3));
        dedupe.push_back_in_time(&event(2));
        assert_eq!(dedupe.from(), 1);
        let again = Event {
            cid: "c3".to_owned(),
            ..event(1)
        };
        dedupe.push_back_in_time(&again);
        assert_eq!(dedupe.get("u", "c3").map(|seen| seen.seq), Some(3));
        dedupe.redact(2);
        let seen = dedupe.get("u", "c2").unwrap();
        assert!(seen.is_of(77));
        assert!(!dedupe.get("u", "c3").unwrap().is_of(77));
    }
}
