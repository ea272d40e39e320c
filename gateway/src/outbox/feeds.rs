//! The feeds of a socket: how far each of its rooms has come. A feed is live, and then takes events as
//! they happen, or behind, and then takes none until it has been filled up.

use std::sync::Weak;

use crate::hub::Room;

/// A room's feed into one outbox; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedId(u32);

/// A feed that is behind, claimed by whoever fills it.
pub(crate) struct Behind {
    pub(crate) feed: FeedId,
    pub(crate) room: Weak<Room>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Feeds {
    /// In the order of their ids.
    feeds: Vec<Feed>,
    next: u32,
    /// Where the search for the next one to be filled begins, so that each has its turn.
    turn: u32,
    is_refilling: bool,
}

pub(super) struct Feed {
    id: FeedId,
    room: Weak<Room>,
    /// The last seq that is queued or written.
    pub(super) at: u64,
    pub(super) is_live: bool,
    is_claimed: bool,
    /// Something that was queued of it is being dropped, and with it what comes after.
    is_cut: bool,
}

impl Feeds {
    pub(super) fn open(&mut self, room: Weak<Room>, at: u64) -> FeedId {
        let id = FeedId(self.next);
        self.next += 1;
        self.feeds.push(Feed {
            id,
            room,
            at,
            is_live: false,
            is_claimed: false,
            is_cut: false,
        });
        id
    }

    pub(super) fn shut(&mut self, id: FeedId) {
        self.feeds.retain(|feed| feed.id != id);
    }

    pub(super) fn get(&mut self, id: FeedId) -> Option<&mut Feed> {
        let place = self.feeds.binary_search_by_key(&id.0, |feed| feed.id.0);
        self.feeds.get_mut(place.ok()?)
    }

    /// The event `seq` of a feed is queued no more.
    pub(super) fn dropped(&mut self, id: FeedId, seq: u64) {
        if let Some(feed) = self.get(id) {
            feed.at = feed.at.min(seq - 1);
            feed.is_live = false;
            feed.is_cut = true;
        }
    }

    pub(super) fn is_cut(&mut self, id: FeedId) -> bool {
        self.get(id).is_some_and(|feed| feed.is_cut)
    }

    /// Ends a cut.
    pub(super) fn heal(&mut self) {
        for feed in &mut self.feeds {
            feed.is_cut = false;
        }
    }

    pub(super) fn starts_refill(&mut self) -> bool {
        let starts = !self.is_refilling && self.feeds.iter().any(|feed| !feed.is_live);
        self.is_refilling |= starts;
        starts
    }

    pub(super) fn ends_refill(&mut self, is_closing: bool) -> bool {
        let ends = is_closing || self.feeds.iter().all(|feed| feed.is_live);
        if ends {
            self.is_refilling = false;
        }
        ends
    }

    pub(super) fn claim(&mut self) -> Option<Behind> {
        let is_free = |feed: &&mut Feed| !feed.is_live && !feed.is_claimed;
        let first = self.feeds.partition_point(|feed| feed.id.0 < self.turn);
        let (before, after) = self.feeds.split_at_mut(first);
        let feed = after.iter_mut().chain(before).find(is_free)?;
        feed.is_claimed = true;
        self.turn = feed.id.0 + 1;
        Some(Behind {
            feed: feed.id,
            room: Weak::clone(&feed.room),
        })
    }

    pub(super) fn unclaim(&mut self, id: FeedId) {
        if let Some(feed) = self.get(id) {
            feed.is_claimed = false;
        }
    }
}
