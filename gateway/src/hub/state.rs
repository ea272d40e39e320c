//! What a room knows, without IO: which event comes next, who gets it, and what is missing.
//!
//! Events go to members in strictly rising order without holes. One that is not the next waits until a
//! repair has read what lies between. A member that is joining has its events held until it has been
//! sent everything before them.

mod member;

use std::{collections::BTreeMap, sync::Arc};

use proto::{
    RoomId,
    bus::v1::{Fanout, Room as View},
    log::v1::Event,
};

use super::delivery::{Encoder, Form};
use crate::{close::Close, metrics::Metrics, session::Session};
use member::Member;

/// Events that may wait for a repair; what comes beyond is read by it too.
const MAX_WAITING: usize = 1_024;

/// What handling needs at hand.
#[derive(Clone, Copy)]
pub(super) struct Cx<'a> {
    pub(super) room: &'a RoomId,
    pub(super) time_zone: chrono_tz::Tz,
    pub(super) metrics: &'a Metrics,
}

/// The state of a room here.
#[derive(Default)]
pub(super) struct State {
    /// Memberships, and those on their way.
    holders: usize,
    /// The numbering; empty when unknown, `0` of a room without events.
    generation: String,
    /// The highest epoch of what was taken.
    epoch: u64,
    /// The last seq that members have, or have waiting; `None` until an owner has said where the room
    /// is at.
    last: Option<u64>,
    /// Events that cannot go out yet.
    waiting: BTreeMap<u64, Event>,
    /// Something may be missing after `last`, nobody knows what.
    is_unsure: bool,
    is_repairing: bool,
    members: Vec<Member>,
}

/// What has to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) after: u64,
    pub(super) generation: String,
    pub(super) min_seq: u64,
}

/// An owner's view is older than what is known here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stale {
    /// What the next reading must reach.
    pub(super) min_seq: u64,
}

/// A member was not sent everything before what is held for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Behind {
    /// What the next reading for it must reach.
    pub(super) min_seq: u64,
}

impl State {
    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.last
    }

    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.members
            .iter()
            .map(|member| Arc::clone(&member.session))
            .collect()
    }

    pub(super) fn retain(&mut self) {
        self.holders += 1;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders == 0
    }

    /// `true` when nobody is left.
    pub(super) fn leave(&mut self, session: u64) -> bool {
        self.members.retain(|member| member.session.id != session);
        self.let_go()
    }

    /// `true` when nobody is left.
    pub(super) fn let_go(&mut self) -> bool {
        self.holders = self.holders.saturating_sub(1);
        self.is_idle()
    }

    /// See [`Room::hold`](super::Room).
    pub(super) fn hold(&mut self, session: &Arc<Session>) -> (u64, bool) {
        let is_first = self.members.is_empty();
        match self.member(session.id) {
            Some(member) => member.hold(),
            None => self.members.push(Member::holding(Arc::clone(session))),
        }
        (self.last.unwrap_or(0), is_first)
    }

    /// See [`Room::release`](super::Room).
    pub(super) fn release(&mut self, session: u64, sent: u64) -> Result<(), Behind> {
        let last = self.last;
        match self.member(session) {
            Some(member) => member.release(sent, last),
            // It has left meanwhile.
            None => Ok(()),
        }
    }

    /// See [`Room::resume`](super::Room).
    pub(super) fn resume(&mut self, session: u64) {
        if let Some(member) = self.member(session) {
            let sent = member.from();
            if member.release(sent, None).is_err() {
                // What was held for it did not fit.
                member.session.outbox.close(Close::TOO_SLOW);
            }
        }
    }

    /// Takes an owner's view; `true` when a repair is to be started.
    pub(super) fn anchor(&mut self, cx: &Cx<'_>, view: &View, epoch: u64) -> Result<bool, Stale> {
        if self.is_older(&view.r#gen, epoch) {
            return Err(Stale {
                min_seq: self.last.unwrap_or(0),
            });
        }
        if !self.fits(&view.r#gen) {
            self.renumber(&view.r#gen);
        }
        self.epoch = self.epoch.max(epoch);
        if self.last.is_some() {
            // What it is ahead by is on its way to us.
            return Ok(false);
        }
        if is_blank(&self.generation) {
            self.generation.clone_from(&view.r#gen);
        }
        self.last = Some(view.head);
        Ok(self.advance(cx))
    }

    /// Takes events; `true` when a repair is to be started.
    pub(super) fn fanout(&mut self, cx: &Cx<'_>, fanout: Fanout) -> bool {
        if self.is_older(&fanout.r#gen, fanout.epoch) {
            return false;
        }
        if !self.fits(&fanout.r#gen) {
            self.renumber(&fanout.r#gen);
        }
        self.generation = fanout.r#gen;
        self.epoch = self.epoch.max(fanout.epoch);
        if self.members.is_empty() {
            // Nobody misses anything.
            let head = fanout.events.last().map_or(0, |event| event.seq);
            self.last = self.last.map(|last| last.max(head));
            return false;
        }
        let is_in_step = self.waiting.is_empty() && !self.is_repairing;
        match (self.last, fanout.events.first()) {
            (Some(last), Some(first)) if is_in_step && first.seq == last + 1 => {
                self.deliver(cx, &fanout.events);
                false
            }
            _ => {
                self.wait(fanout.events);
                self.advance(cx)
            }
        }
    }

    /// Something may be missing; `true` when a repair is to be started.
    pub(super) fn lost(&mut self) -> bool {
        if self.members.is_empty() {
            // The next member's reading says where the room is at.
            self.last = None;
            return false;
        }
        self.is_unsure = true;
        self.start_repair()
    }

    /// What a repair has to read; ends the repair when nothing is.
    pub(super) fn missing(&mut self) -> Option<Missing> {
        let after = match self.last {
            Some(last) if !self.members.is_empty() => last,
            _ => {
                self.last = None;
                self.waiting.clear();
                self.is_repairing = false;
                return None;
            }
        };
        self.is_unsure = false;
        Some(Missing {
            after,
            generation: if after == 0 {
                String::new()
            } else {
                self.generation.clone()
            },
            min_seq: self.waiting.keys().next_back().copied().unwrap_or(after),
        })
    }

    /// Takes what a repair has read; `true` when it must go on.
    pub(super) fn repaired(&mut self, cx: &Cx<'_>, view: View, epoch: u64) -> bool {
        if self.is_older(&view.r#gen, epoch) {
            return true;
        }
        let fits = self.fits(&view.r#gen);
        self.epoch = self.epoch.max(epoch);
        self.is_repairing = false;
        if view.gap || view.reset || !fits {
            // Too far behind to be mended here: everybody resumes, and is told of the gap.
            self.renumber(&view.r#gen);
            return false;
        }
        self.generation = view.r#gen;
        self.wait(view.events);
        let has_hole = self.advance(cx);
        self.is_repairing = has_hole || view.more;
        self.is_repairing
    }

    /// Sends all waiting events that come next; `true` when a repair is to be started for a hole.
    fn advance(&mut self, cx: &Cx<'_>) -> bool {
        let Some(mut last) = self.last else {
            return false;
        };
        if self.is_repairing {
            return false;
        }
        let mut next = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            let seq = *entry.key();
            if seq > last + 1 {
                break;
            }
            let event = entry.remove();
            if seq == last + 1 {
                last = seq;
                next.push(event);
            }
        }
        self.deliver(cx, &next);
        if self.waiting.is_empty() && !self.is_unsure {
            return false;
        }
        if !self.waiting.is_empty() {
            cx.metrics.holes.inc();
        }
        self.start_repair()
    }

    fn start_repair(&mut self) -> bool {
        let starts = self.last.is_some() && !self.is_repairing;
        self.is_repairing |= starts;
        starts
    }

    fn wait(&mut self, events: Vec<Event>) {
        for event in events {
            if self.last.is_some_and(|last| event.seq <= last) {
                continue;
            }
            if self.waiting.len() >= MAX_WAITING {
                self.is_unsure = true;
                return;
            }
            self.waiting.insert(event.seq, event);
        }
    }

    /// Gives every member the events that come next; they follow `last` without a hole.
    fn deliver(&mut self, cx: &Cx<'_>, events: &[Event]) {
        let Some(last) = events.last() else {
            return;
        };
        let wants = |form: Form| {
            self.members
                .iter()
                .any(|member| member.session.form == form)
        };
        let (wants_v1, wants_classic) = (wants(Form::V1), wants(Form::Classic));
        let encoder = Encoder {
            room: cx.room,
            generation: &self.generation,
            time_zone: cx.time_zone,
        };
        let encoded: Vec<_> = events
            .iter()
            .map(|event| {
                encoder.encode_for(event, |form| match form {
                    Form::V1 => wants_v1,
                    Form::Classic => wants_classic,
                })
            })
            .collect();
        for member in &mut self.members {
            member.deliver(cx.metrics, &encoded);
        }
        self.last = Some(last.seq);
    }

    /// The numbering starts anew, or nothing here follows from what was: whoever is here has to resume.
    fn renumber(&mut self, generation: &str) {
        tracing::info!(gen.old = self.generation, gen.new = generation, "a room starts anew");
        for member in &self.members {
            member.session.outbox.close(Close::TOO_SLOW);
        }
        generation.clone_into(&mut self.generation);
        self.last = None;
        self.waiting.clear();
        self.is_unsure = false;
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

    fn member(&mut self, session: u64) -> Option<&mut Member> {
        self.members
            .iter_mut()
            .find(|member| member.session.id == session)
    }
}

/// Not known, or of a room without events.
fn is_blank(generation: &str) -> bool {
    generation.is_empty() || generation == "0"
}
