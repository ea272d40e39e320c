//! The last events of a room in their present state, so that whoever was away for a moment, or reads too
//! slowly, is caught up without asking the room's owner. It knows no holes: the events are in order, and
//! the last one is the last the room has.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{amend, delivery::Entry};

/// Events that are kept however old they are (DESIGN section 6), unless they are large.
const KEEP: usize = 100;
/// Events that are kept however large they are: as many as a join shows.
const KEEP_LARGE: usize = 50;
/// Events of the last moments, so that in a busy room too a reconnect, and a slow socket of which
/// [256 events](crate::outbox) were dropped, are served from here …
const KEEP_RECENT: usize = 1_024;
/// … which are those that came in this time. After it, browsers that lost a gateway are back.
const RECENT: Duration = Duration::from_secs(10);
/// Bytes of all of them, about.
const MAX_BYTES: usize = 512 * 1024;

#[derive(Default)]
pub(super) struct Ring {
    kept: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    entry: Arc<Entry>,
    came: Instant,
}

impl Ring {
    /// Adds the event that comes next, and makes its changes to those before it.
    pub(super) fn push(&mut self, entry: Arc<Entry>, now: Instant) {
        self.amend(&entry);
        self.bytes += entry.bytes();
        self.kept.push_back(Kept { entry, came: now });
        self.trim(now);
    }

    /// Lets go what need not be kept any longer.
    pub(super) fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.kept.front() {
            let is_recent = now.duration_since(oldest.came) < RECENT;
            let most = match (is_recent, self.bytes > MAX_BYTES) {
                (_, true) => KEEP_LARGE,
                (true, false) => KEEP_RECENT,
                (false, false) => KEEP,
            };
            if self.kept.len() <= most {
                return;
            }
            self.bytes -= oldest.entry.bytes();
            self.kept.pop_front();
        }
    }

    /// Gives back memory of which a quiet room has no use.
    pub(super) fn shrink(&mut self, now: Instant) {
        self.trim(now);
        if self.kept.capacity() > 4 * self.kept.len().max(KEEP) {
            self.kept.shrink_to_fit();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first seq here.
    fn first(&self) -> Option<u64> {
        self.kept.front().map(|kept| kept.entry.seq())
    }

    /// Whether every event above a seq of the room is here. The room has one.
    pub(super) fn reaches(&self, after: u64) -> bool {
        self.first().is_some_and(|first| first <= after + 1)
    }

    /// The events above a seq.
    pub(super) fn above(&self, after: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let from = self.index(after + 1).unwrap_or(0).min(self.kept.len());
        self.kept.range(from..).map(|kept| &kept.entry)
    }

    /// Where a seq is, or would be.
    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first()?)?).ok()
    }

    fn amend(&mut self, entry: &Entry) {
        let by = entry.event();
        let Some(target) = amend::target(by) else {
            return;
        };
        // A deletion is one of the target's edits too, which come after it.
        let most = if amend::is_deletion(by) {
            usize::MAX
        } else {
            1
        };
        let from = match self.index(target) {
            Some(from) => from,
            None if most > 1 => 0,
            None => return,
        };
        for kept in self.kept.iter_mut().skip(from).take(most) {
            if amend::changes(by, kept.entry.event()) {
                self.bytes -= kept.entry.bytes();
                kept.entry = kept.entry.amended(by);
                self.bytes += kept.entry.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests;
