//! A value of a room beside its record: in memory, or awaited together with what is to be folded into it.

use proto::log::v1::Event;

use super::{Folding, Page, Part, Reactors, Stored, targets};
use crate::domain::page::page_of;

/// What later events change, absolutely: folding one twice changes nothing.
pub(super) trait Amended {
    /// Makes the event's changes to what is here.
    fn amend_by(&mut self, event: &Event);
}

impl Amended for Page {
    fn amend_by(&mut self, event: &Event) {
        for seq in targets(event) {
            if page_of(seq) == self.number {
                self.amend(seq, event);
            }
        }
    }
}

impl Amended for Reactors {
    fn amend_by(&mut self, event: &Event) {
        self.fold(event);
    }
}

/// A value, or what is to be folded into it once it is loaded.
pub(super) enum Slot<V> {
    Loaded {
        value: V,
        stored: Stored,
        used_us: u64,
    },
    /// Events by the log seq of their commit, in order.
    Awaited {
        events: Vec<(u64, Event)>,
        redacts: bool,
    },
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self::Awaited {
            events: Vec::new(),
            redacts: false,
        }
    }
}

impl<V> Slot<V> {
    pub(super) fn loaded(value: V, stored: Stored, used_us: u64) -> Self {
        Self::Loaded {
            value,
            stored,
            used_us,
        }
    }

    pub(super) fn get(&self) -> Option<&V> {
        match self {
            Self::Loaded { value, .. } => Some(value),
            Self::Awaited { .. } => None,
        }
    }

    /// Whether it has to be loaded, because something is to be folded into it.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited { events, .. } if !events.is_empty())
    }

    pub(super) fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Loaded { stored, .. } => Some(stored),
            Self::Awaited { .. } => None,
        }
    }

    pub(super) fn stored_mut(&mut self) -> Option<&mut Stored> {
        match self {
            Self::Loaded { stored, .. } => Some(stored),
            Self::Awaited { .. } => None,
        }
    }

    pub(super) fn use_at(&mut self, now_us: u64) {
        if let Self::Loaded { used_us, .. } = self {
            *used_us = (*used_us).max(now_us);
        }
    }

    /// Whether it can leave memory: as stored, and not used since.
    pub(super) fn is_idle(&self, since_us: u64) -> bool {
        match self {
            Self::Loaded {
                stored, used_us, ..
            } => stored.is_clean() && *used_us <= since_us,
            Self::Awaited { events, .. } => events.is_empty(),
        }
    }

    /// The version before the next put holds what must be erased.
    pub(super) fn redact(&mut self) {
        match self {
            Self::Loaded { stored, .. } => stored.redact(),
            Self::Awaited { redacts, .. } => *redacts = true,
        }
    }
}

impl<V: Amended> Slot<V> {
    /// Folds an event into the value, now or when it is loaded; `false` when it is in it already.
    pub(super) fn fold(&mut self, cx: &mut Folding<'_>, part: Part, event: &Event) -> bool {
        let log_seq = cx.log_seq;
        match self {
            Self::Loaded { value, stored, .. } => {
                // Not below: a commit's events are folded one after another into the same value.
                if log_seq < stored.applied {
                    return false;
                }
                value.amend_by(event);
                if stored.touch(log_seq) {
                    cx.ledger.mark(cx.room, part, log_seq);
                }
            }
            Self::Awaited { events, .. } => {
                if events.is_empty() {
                    cx.ledger.mark(cx.room, part, log_seq);
                }
                events.push((log_seq, event.clone()));
            }
        }
        true
    }

    /// Takes the value as it was read, and folds into it what it lacks.
    pub(super) fn load(&mut self, cx: &mut Folding<'_>, part: Part, value: V, stored: Stored) {
        let Self::Awaited { events, redacts } = self else {
            // It is here already, and newer.
            return;
        };
        let (events, redacts) = (std::mem::take(events), *redacts);
        let (mut value, mut stored) = (value, stored);
        if let Some((first, _)) = events.first() {
            cx.ledger.unmark(cx.room, part, *first);
        }
        if let Some(before) = stored.erasing() {
            // Whoever put it may not have come to that, and the log is kept until it is done.
            cx.ledger.erase(cx.room, part, before);
            if let Some((first, _)) = events.first()
                && stored.needs(*first)
            {
                cx.ledger.mark(cx.room, part, *first);
            }
        }
        let applied = stored.applied;
        for (log_seq, event) in events.iter().filter(|(log_seq, _)| *log_seq > applied) {
            value.amend_by(event);
            if stored.touch(*log_seq) {
                cx.ledger.mark(cx.room, part, *log_seq);
            }
            if redacts && !stored.holds_redaction() {
                stored.redact();
                cx.ledger.hurry(cx.room, part);
            }
        }
        *self = Self::loaded(value, stored, cx.now_us);
    }
}
