//! A member of a room: one session, and how far it has come.

use std::{collections::VecDeque, sync::Arc};

use super::{super::delivery::Encoded, Behind};
use crate::{
    metrics::Metrics,
    session::{Session, socket::Text},
};

/// Events held for a joining member; with more, its next reading fetches them.
const MAX_HELD: usize = 256;
/// Bytes of them.
const MAX_HELD_BYTES: usize = 1024 * 1024;

/// A session in a room.
pub(super) struct Member {
    pub(super) session: Arc<Session>,
    /// The last seq the session has, or has queued.
    from: u64,
    /// `Some` while the session is being sent what comes before.
    held: Option<Held>,
}

#[derive(Default)]
struct Held {
    events: VecDeque<(u64, Text)>,
    bytes: usize,
    /// Events were let go: they have to be read.
    is_cut: bool,
}

impl Member {
    pub(super) fn holding(session: Arc<Session>) -> Self {
        Self {
            session,
            from: 0,
            held: Some(Held::default()),
        }
    }

    /// The last seq the session has, or has queued.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// From now on events are held.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// The session has everything up to `sent`; the room is at `last`.
    pub(super) fn release(&mut self, sent: u64, last: Option<u64>) -> Result<(), Behind> {
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        while held.events.pop_front_if(|(seq, _)| *seq <= sent).is_some() {}
        let behind = match held.events.front() {
            Some((seq, _)) if *seq > sent + 1 => Some(*seq - 1),
            None if last.is_some_and(|last| last > sent) => last,
            Some(_) | None => None,
        };
        if held.is_cut {
            *held = Held::default();
            return Err(Behind {
                min_seq: last.unwrap_or(sent),
            });
        }
        if let Some(min_seq) = behind {
            return Err(Behind { min_seq });
        }
        let held = self.held.take().unwrap_or_default();
        self.from = held.events.back().map_or(sent, |(seq, _)| *seq);
        let texts = held.events.into_iter().map(|(_, text)| text);
        // An overflow closes the socket, which is all there is to do.
        let _ = self.session.outbox.events(texts);
        Ok(())
    }

    /// Takes events that follow what came before.
    pub(super) fn deliver(&mut self, metrics: &Metrics, events: &[Encoded]) {
        let new = events.iter().filter(|event| event.seq > self.from);
        let form = self.session.form;
        let texts = new.filter_map(|event| Some((event.seq, event.text(form)?.clone())));
        if let Some(held) = &mut self.held {
            held.extend(texts);
            return;
        }
        let mut count = 0;
        let texts = texts.map(|(_, text)| {
            count += 1;
            text
        });
        if self.session.outbox.events(texts).is_err() {
            metrics.outbox_overflows.inc();
        }
        metrics.deliveries.inc_by(count);
        if let Some(last) = events.last() {
            self.from = self.from.max(last.seq);
        }
    }
}

impl Held {
    fn extend(&mut self, texts: impl Iterator<Item = (u64, Text)>) {
        if self.is_cut {
            return;
        }
        for (seq, text) in texts {
            self.bytes += text.len();
            self.events.push_back((seq, text));
        }
        if self.events.len() > MAX_HELD || self.bytes > MAX_HELD_BYTES {
            *self = Self {
                is_cut: true,
                ..Self::default()
            };
        }
    }
}
