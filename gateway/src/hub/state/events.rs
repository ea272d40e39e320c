//! Events as they come: in order to everybody, or into the queue of those that wait for a hole.

use std::sync::Arc;

use proto::{bus::v1::Fanout, log::v1::Event};

use super::{super::delivery::Entry, Cx, Effects, State};
use crate::close::Close;

/// Events that may wait for a reading; what comes beyond is read by it too.
const MAX_WAITING: usize = 2_048;

impl State {
    /// Takes events that have become durable.
    pub(in crate::hub) fn fanout(&mut self, cx: &Cx<'_>, fanout: Fanout) -> Effects {
        if self.is_older(&fanout.r#gen, fanout.epoch) {
            return Effects::default();
        }
        if !self.fits(&fanout.r#gen) {
            self.renumber(&fanout.r#gen);
        }
        self.generation = fanout.r#gen;
        self.epoch = self.epoch.max(fanout.epoch);
        let (Some(first), Some(tail)) = (fanout.events.first(), fanout.events.last()) else {
            return Effects::default();
        };
        if self.waiting.is_empty() && self.last.is_some_and(|last| first.seq == last + 1) {
            return self.deliver(cx, fanout.events);
        }
        if !self.is_wanted() {
            if self.last.is_some_and(|last| tail.seq > last) {
                self.forget();
            }
            return Effects::default();
        }
        self.wait(fanout.events);
        self.advance(cx)
    }

    /// Events may have been lost.
    pub(in crate::hub) fn lost(&mut self) -> Effects {
        if !self.is_wanted() {
            self.forget();
            return Effects::default();
        }
        self.is_unsure = true;
        Effects {
            reads: self.readings.start(),
            ..Effects::default()
        }
    }

    /// Sends all waiting events that come next, and has the hole read that is before the others.
    pub(super) fn advance(&mut self, cx: &Cx<'_>) -> Effects {
        let Some(mut last) = self.last else {
            // Whoever waits to know where the room is at has had it read.
            return Effects::default();
        };
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
        let mut effects = self.deliver(cx, next);
        if self.has_hole() {
            effects.reads = self.readings.start();
            if effects.reads {
                cx.metrics.holes.inc();
            }
        }
        effects
    }

    /// Whether events wait for others before them.
    pub(super) fn has_hole(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn wait(&mut self, events: Vec<Event>) {
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

    /// The numbering starts anew, or nothing here follows from what was: whoever is here has to resume.
    pub(super) fn renumber(&mut self, generation: &str) {
        tracing::info!(
            gen.old = self.generation,
            gen.new = generation,
            "a room starts anew"
        );
        for member in self.members.values() {
            member.session.outbox.close(Close::TOO_SLOW);
        }
        generation.clone_into(&mut self.generation);
        self.forget();
    }

    /// Gives every member the events that come next; they follow `last` without a hole.
    fn deliver(&mut self, cx: &Cx<'_>, events: Vec<Event>) -> Effects {
        let mut effects = Effects::default();
        let entries: Vec<_> = events.into_iter().map(Entry::new).collect();
        let Some(tail) = entries.last() else {
            return effects;
        };
        self.last = Some(tail.seq());
        let encoder = self.encoder(cx);
        let mut queued = 0;
        for member in self.members.values() {
            let (outbox, form) = (&member.session.outbox, member.session.form);
            let shown = entries
                .iter()
                .map(|entry| (entry.seq(), entry.text(form, &encoder).cloned()));
            let fed = outbox.events(member.feed, shown);
            queued += fed.queued;
            if fed.has_overflown {
                cx.metrics.outbox_overflows.inc();
            }
            if fed.starts_refill {
                effects.behind.push(Arc::clone(&member.session));
            }
        }
        cx.metrics.deliveries.inc_by(queued);
        for entry in entries {
            self.ring.push(entry, cx.now);
        }
        effects
    }
}
