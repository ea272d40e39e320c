//! What has to be read from the owner, and what it answered. A room has one reading under way at a time,
//! whoever needs it: those who join a room that nobody knows yet, and those who miss something.

use std::time::Duration;

use proto::{bus::v1::Room as View, frame::Cursor};
use tokio::time::Instant;

use super::{super::Refusal, Cx, Effects, State, is_blank};

/// What an owner has said is good for so long for those who join. It is as old as the count of those
/// online may be anyway.
const FRESH: Duration = Duration::from_secs(10);
/// How far behind a room, or one of its members, may be and still be read on; beyond is a gap.
pub(super) const CATCH_UP: u32 = 4_096;
/// Events that a room is read back when nobody says how far.
const READ_BACK: u32 = 100;
/// Events that a room is read back at most for the cursor of whoever joins first.
const READ_BACK_TO_CURSOR: u32 = 600;

/// The readings of a room.
#[derive(Default)]
pub(super) struct Readings {
    is_under_way: bool,
    /// How many were begun; the number of the last one.
    begun: u64,
    /// The number of the last one that was answered whole, and when.
    taken: u64,
    taken_at: Option<Instant>,
    /// How many came to nothing, and why the last one did.
    failures: u64,
    refusal: Option<Refusal>,
    /// What the next one must reach.
    min_seq: u64,
    /// How far back the next one of a room that is not known should begin.
    cursor: Option<Cursor>,
}

/// What has to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub) struct Missing {
    /// `None` for the last ones.
    pub(in crate::hub) after: Option<u64>,
    pub(in crate::hub) generation: String,
    pub(in crate::hub) min_seq: u64,
    /// Events, when `after` is further back than `catch_up`.
    pub(in crate::hub) limit: u32,
    pub(in crate::hub) catch_up: u32,
}

/// What somebody who joins must know.
#[derive(Debug)]
pub(in crate::hub) struct Need {
    /// Readings up to this one had begun before.
    begun: u64,
    failures: u64,
    /// One that begins later is needed.
    is_anew: bool,
    cursor: Option<Cursor>,
}

/// Whether somebody who joins knows enough.
pub(in crate::hub) enum Known {
    Yes,
    Refused(Refusal),
    /// When the reading under way has ended, which is to be started first.
    Later(Effects),
}

/// What comes after a reading.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hub) enum Next {
    Done,
    Another,
    /// Another after a pause: this one was of no use.
    Later,
}

/// An owner's view is older than what is known here.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hub) struct Stale;

impl Readings {
    /// `true` when whoever asks has to see to it.
    pub(super) fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.is_under_way, true)
    }

    pub(super) fn forget(&mut self) {
        self.taken_at = None;
    }
}

impl State {
    /// Somebody is about to join.
    pub(in crate::hub) fn expect(&mut self, cursor: Option<&Cursor>) -> Need {
        self.joiners += 1;
        Need {
            begun: self.readings.begun,
            failures: self.readings.failures,
            is_anew: false,
            cursor: cursor.cloned(),
        }
    }

    /// What was known was not enough for somebody: an owner has to be asked from now on.
    pub(in crate::hub) fn need_anew(&self, need: &Need) -> Need {
        Need {
            begun: self.readings.begun,
            failures: self.readings.failures,
            is_anew: true,
            cursor: need.cursor.clone(),
        }
    }

    /// Somebody who was about to join has, or will not.
    pub(in crate::hub) fn expect_no_more(&mut self) {
        self.joiners = self.joiners.saturating_sub(1);
    }

    /// Whether enough is known for somebody to join.
    pub(in crate::hub) fn known(&mut self, need: &Need, now: Instant) -> Known {
        let readings = &self.readings;
        if self.last.is_some() {
            let is_recent = |at| now.duration_since(at) < FRESH;
            let is_fresh = readings.taken_at.is_some_and(is_recent) && !self.is_unnamed();
            if readings.taken > need.begun || (is_fresh && !need.is_anew) {
                return Known::Yes;
            }
        }
        if let (true, Some(refusal)) = (readings.failures > need.failures, readings.refusal) {
            return Known::Refused(refusal);
        }
        if let Some(cursor) = &need.cursor {
            let is_of_here = cursor.generation.is_empty() || cursor.generation == self.generation;
            if need.is_anew && is_of_here {
                self.readings.min_seq = self.readings.min_seq.max(cursor.seq);
            }
            self.readings.cursor.get_or_insert_with(|| cursor.clone());
        }
        // One that is under way will do for those who need none that begins later.
        self.is_unsure |= need.is_anew || !self.readings.is_under_way;
        Known::Later(Effects {
            reads: self.readings.start(),
            ..Effects::default()
        })
    }

    /// What is to be read next; ends the readings when nobody needs any.
    pub(in crate::hub) fn missing(&mut self) -> Option<Missing> {
        if !self.is_wanted() {
            self.forget();
            self.readings.is_under_way = false;
            return None;
        }
        self.is_unsure = false;
        self.readings.begun += 1;
        let cursor = self.readings.cursor.take();
        let waiting = self.waiting.keys().next_back().copied();
        let mut missing = match (self.last, cursor) {
            (Some(last), _) => self.missing_above(last),
            (None, Some(cursor)) => Missing {
                after: Some(cursor.seq.saturating_sub(READ_BACK.into())),
                generation: cursor.generation,
                min_seq: 0,
                limit: READ_BACK,
                catch_up: READ_BACK_TO_CURSOR,
            },
            (None, None) => Missing {
                after: None,
                generation: String::new(),
                min_seq: 0,
                limit: READ_BACK,
                catch_up: CATCH_UP,
            },
        };
        let min_seq = waiting.unwrap_or(0).max(self.readings.min_seq);
        missing.min_seq = missing.min_seq.max(min_seq);
        Some(missing)
    }

    /// The events above a seq of this numbering.
    pub(super) fn missing_above(&self, after: u64) -> Missing {
        Missing {
            after: Some(after),
            // Nothing is of every numbering.
            generation: if after == 0 {
                String::new()
            } else {
                self.generation.clone()
            },
            min_seq: after,
            limit: READ_BACK,
            catch_up: CATCH_UP,
        }
    }

    /// Takes what a reading has brought.
    pub(in crate::hub) fn read(&mut self, cx: &Cx<'_>, view: View, epoch: u64) -> (Effects, Next) {
        if self.heard(&view, epoch).is_err() {
            return (Effects::default(), Next::Later);
        }
        if view.reset && self.last.is_some() {
            self.renumber(&view.r#gen);
        }
        if is_blank(&self.generation) {
            self.generation.clone_from(&view.r#gen);
        }
        let first = view.events.first().map_or(view.head + 1, |event| event.seq);
        let before = self.last;
        if self.last.is_none_or(|last| first > last + 1) {
            // Not known, or too far behind to be read on: those who are here are told of the gap.
            self.ring.clear();
            self.last = Some(first - 1);
        }
        let has_more = view.more;
        self.wait(view.events);
        let mut effects = self.advance(cx);
        // It is under way.
        effects.reads = false;
        let is_progress = self.last != before;
        (effects, self.next(cx.now, has_more, is_progress))
    }

    /// A reading came to nothing.
    pub(in crate::hub) fn unread(&mut self, refusal: Refusal) {
        self.readings.failures += 1;
        self.readings.refusal = Some(refusal);
        self.is_unsure = true;
    }

    /// Takes what an owner says of the room in any answer, but for its events.
    pub(in crate::hub) fn heard(&mut self, view: &View, epoch: u64) -> Result<(), Stale> {
        let is_of_the_past = view.reset && epoch < self.epoch;
        if self.is_older(&view.r#gen, epoch) || is_of_the_past {
            return Err(Stale);
        }
        if !self.fits(&view.r#gen) {
            self.renumber(&view.r#gen);
        }
        self.epoch = self.epoch.max(epoch);
        self.card.name.clone_from(&view.name);
        self.card.oldest = view.oldest;
        self.card.online = view.online;
        Ok(())
    }

    fn next(&mut self, now: Instant, has_more: bool, is_progress: bool) -> Next {
        if !has_more {
            // Whatever waits now came after the question.
            self.readings.taken = self.readings.begun;
            self.readings.taken_at = Some(now);
            self.readings.min_seq = 0;
        }
        if !has_more && !self.has_hole() && !self.is_unsure {
            self.readings.is_under_way = false;
            Next::Done
        } else if is_progress || self.is_unsure {
            Next::Another
        } else {
            Next::Later
        }
    }

    /// The room has its first event, but nobody has said yet how it is called.
    fn is_unnamed(&self) -> bool {
        self.card.name.is_empty() && self.last.is_some_and(|last| last > 0)
    }
}
