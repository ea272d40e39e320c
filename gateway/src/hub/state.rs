//! What a room knows, without IO: which event comes next, who gets it, and what is missing.
//!
//! Events go to members in strictly rising order without holes. One that is not the next waits until a
//! reading has brought what lies between ([`events`], [`readings`]). Each member has a feed in its
//! session's outbox, which says how far it has come; one that is behind is filled up from the ring, or
//! by its own reading ([`members`]).

mod events;
mod heads;
mod members;
mod readings;

use std::{collections::BTreeMap, sync::Arc};

use proto::log::v1::Event;
use tokio::time::Instant;

use super::{delivery::Encoder, ring::Ring};
use crate::{metrics::Metrics, outbox::FeedId, session::Session};

pub(super) use heads::Told;
pub(super) use members::{Admitted, Fill, Found, Outdated, Piece, Refill, Wish};
pub(super) use readings::{Known, Missing, Need, Next, Stale};

/// What handling needs at hand.
#[derive(Clone, Copy)]
pub(super) struct Cx<'a> {
    pub(super) room: &'a proto::RoomId,
    pub(super) time_zone: chrono_tz::Tz,
    pub(super) metrics: &'a Metrics,
    pub(super) now: Instant,
}

/// What has to be done outside the lock.
#[derive(Default)]
#[must_use]
pub(super) struct Effects {
    /// The room's reading is to be started.
    pub(super) reads: bool,
    /// Sessions whose refill is to be started.
    pub(super) behind: Vec<Arc<Session>>,
}

/// The state of a room here.
#[derive(Default)]
pub(super) struct State {
    /// Memberships, and those on their way.
    holders: usize,
    /// Of those on their way, the ones that wait to know where the room is at.
    joiners: usize,
    /// The numbering; empty when unknown, `0` of a room without events.
    generation: String,
    /// The highest epoch of what was taken.
    epoch: u64,
    /// The last seq that was given to members; `None` until an owner has said where the room is at.
    last: Option<u64>,
    /// The events up to `last`.
    ring: Ring,
    card: Card,
    /// Events that cannot go out yet.
    waiting: BTreeMap<u64, Event>,
    /// Something may be missing after `last`, nobody knows what.
    is_unsure: bool,
    readings: readings::Readings,
    /// The epoch under which a head below `last` was told.
    below: Option<u64>,
    /// By session.
    members: BTreeMap<u64, Member>,
}

/// A session in the room.
struct Member {
    session: Arc<Session>,
    feed: FeedId,
}

/// What an owner last said of the room besides its events.
#[derive(Default)]
struct Card {
    /// Empty as long as the room has no event.
    name: String,
    oldest: u64,
    /// Sockets at other gateways.
    online: u64,
}

impl State {
    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    pub(super) fn has_member(&self, session: u64) -> bool {
        self.members.contains_key(&session)
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.last
    }

    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        let members = self.members.values();
        members.map(|member| Arc::clone(&member.session)).collect()
    }

    pub(super) fn retain(&mut self) {
        self.holders += 1;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders == 0
    }

    /// `true` when nobody is left.
    pub(super) fn leave(&mut self, session: u64) -> bool {
        if let Some(member) = self.members.remove(&session) {
            member.session.outbox.shut(member.feed);
        }
        self.let_go()
    }

    /// `true` when nobody is left.
    pub(super) fn let_go(&mut self) -> bool {
        self.holders = self.holders.saturating_sub(1);
        self.is_idle()
    }

    /// Gives back memory of which a quiet room has no use.
    pub(super) fn shrink(&mut self, now: Instant) {
        self.ring.shrink(now);
    }

    /// Whether anybody misses anything when something is lost.
    fn is_wanted(&self) -> bool {
        !self.members.is_empty() || self.joiners > 0
    }

    /// Nobody needs to know where the room is at: the next one who does will have it read.
    fn forget(&mut self) {
        self.last = None;
        self.ring.clear();
        self.waiting.clear();
        self.is_unsure = false;
        self.below = None;
        self.readings.forget();
    }

    /// Whether something of this numbering was said before what is known here: by an owner of the past,
    /// or before the room's first event.
    fn is_older(&self, generation: &str, epoch: u64) -> bool {
        let is_before = epoch < self.epoch || (epoch == self.epoch && is_blank(generation));
        is_before && !self.fits(generation)
    }

    /// Whether a numbering goes on with what is known here. A room without events has none yet.
    fn fits(&self, generation: &str) -> bool {
        generation == self.generation
            || is_blank(&self.generation)
            || (is_blank(generation) && self.last.unwrap_or(0) == 0)
    }

    fn encoder<'a>(&'a self, cx: &Cx<'a>) -> Encoder<'a> {
        Encoder {
            room: cx.room,
            generation: &self.generation,
            time_zone: cx.time_zone,
        }
    }
}

/// Not known, or of a room without events.
fn is_blank(generation: &str) -> bool {
    generation.is_empty() || generation == "0"
}
