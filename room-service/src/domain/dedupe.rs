//! Which cids a room has seen lately, and where their events are.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Events back from the head within which a repeated cid is always recognised (DESIGN section 5).
pub(super) const DEDUPE_EVENTS: usize = 4_096;

/// Where a cid's event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) seq: u64,
    pub(super) ts_ms: u64,
    pub(super) body_tag: u64,
}

/// A map `(user, cid) → event` over the newest [`DEDUPE_EVENTS`] events.
#[derive(Default)]
pub(super) struct Dedupe {
    seen: HashMap<Arc<str>, Seen>,
    order: VecDeque<Arc<str>>,
}

impl Dedupe {
    pub(super) fn get(&self, user: &str, cid: &str) -> Option<Seen> {
        self.seen.get(key(user, cid).as_str()).copied()
    }

    /// How many of the newest events the map knows.
    pub(super) fn reach(&self) -> u64 {
        self.order.len() as u64
    }

    pub(super) fn insert(&mut self, user: &str, cid: &str, seen: Seen) {
        let key: Arc<str> = key(user, cid).into();
        if self.order.len() == DEDUPE_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(Arc::clone(&key));
        self.seen.insert(key, seen);
    }
}

/// A cid has no NUL, so two pairs never make one key.
pub(super) fn key(user: &str, cid: &str) -> String {
    format!("{cid}\0{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_cid_is_forgotten_first() {
        let mut dedupe = Dedupe::default();
        for seq in 1..=DEDUPE_EVENTS as u64 + 1 {
            dedupe.insert(
                "u",
                &format!("c{seq}"),
                Seen {
                    seq,
                    ts_ms: 0,
                    body_tag: 0,
                },
            );
        }
        assert_eq!(dedupe.get("u", "c1"), None);
        assert_eq!(dedupe.get("u", "c2").map(|seen| seen.seq), Some(2));
        assert_eq!(dedupe.get("v", "c2"), None);
        assert_eq!(dedupe.seen.len(), DEDUPE_EVENTS);
    }
}
