//! One room: its head, its newest events, and what operators see of it.

use std::collections::VecDeque;

use proto::{
    bus::v1::{Read, Room as View},
    log::v1::{Event, RoomEvents, event::Kind},
};

use super::dedupe::{Dedupe, Seen};

/// Newest events kept in memory: what a cursor may be behind (500) and some for those on their way.
const RECENT_EVENTS: usize = 512;
/// Most encoded bytes of events in one answer (DESIGN section 6, Join).
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// `gen` of a room without events (PROTOCOL section 2).
pub(super) const NO_GEN: &str = "0";

/// What an operator sees of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The numbering of its events.
    pub generation: String,
    /// The form in which the sender of its first event had asked for it.
    pub display_name: String,
    /// The seq of the last event.
    pub head: u64,
    /// Messages ever sent.
    pub messages: u64,
    /// Bytes of text ever sent, UTF-8.
    pub bytes: u64,
    /// Time of the first event, milliseconds since 1970-01-01 UTC.
    pub create_ms: u64,
    /// Time of the last message, milliseconds since 1970-01-01 UTC.
    pub last_message_ms: u64,
}

/// A room that has events.
pub(super) struct Room {
    pub(super) summary: Summary,
    pub(super) dedupe: Dedupe,
    /// Time of the last event: no later one is stamped earlier.
    pub(super) last_ts_ms: u64,
    recent: VecDeque<Event>,
}

/// An event that does not continue its room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Discontinuous {
    pub(super) expected: u64,
    pub(super) found: u64,
}

impl Room {
    /// A room before its first event.
    pub(super) fn new(events: &RoomEvents) -> Self {
        let summary = Summary {
            generation: events.r#gen.clone(),
            display_name: events.display_name.clone(),
            head: 0,
            messages: 0,
            bytes: 0,
            create_ms: events.events.first().map_or(0, |event| event.ts_ms),
            last_message_ms: 0,
        };
        Self {
            summary,
            dedupe: Dedupe::default(),
            last_ts_ms: 0,
            recent: VecDeque::new(),
        }
    }

    /// Takes durable events in. An event that the room has already changes nothing.
    pub(super) fn fold(&mut self, events: Vec<Event>) -> Result<(), Discontinuous> {
        for event in events {
            if event.seq <= self.summary.head {
                continue;
            }
            let expected = self.summary.head + 1;
            if event.seq != expected {
                return Err(Discontinuous {
                    expected,
                    found: event.seq,
                });
            }
            self.push(event);
        }
        Ok(())
    }

    fn push(&mut self, event: Event) {
        self.summary.head = event.seq;
        self.last_ts_ms = self.last_ts_ms.max(event.ts_ms);
        if let Some(Kind::Message(message)) = &event.kind {
            self.summary.messages += 1;
            self.summary.bytes += message.text.len() as u64;
            self.summary.last_message_ms = event.ts_ms;
        }
        let seen = Seen {
            seq: event.seq,
            ts_ms: event.ts_ms,
            body_tag: event.body_tag,
        };
        let author = event.from.as_ref().map_or("", |from| from.id.as_str());
        self.dedupe.insert(author, &event.cid, seen);
        if self.recent.len() == RECENT_EVENTS {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
    }

    /// The room with the events a reader lacks: above its cursor when that is near enough, else the
    /// last `limit` with `gap` or `reset` set.
    pub(super) fn view(&self, read: &Read) -> View {
        let head = self.summary.head;
        let last_few = head.saturating_sub(u64::from(read.limit));
        let (after, gap, reset) = match read.after {
            None => (last_few, false, false),
            Some(after) if after > 0 && !self.is_numbering(&read.after_gen) => {
                (last_few, false, true)
            }
            Some(after) if after > head => (last_few, false, true),
            Some(after) if head - after > u64::from(read.catch_up) || after < self.forgotten() => {
                (last_few, true, false)
            }
            Some(after) => (after, false, false),
        };
        let (events, more) = self.above(after.max(self.forgotten()));
        View {
            r#gen: self.summary.generation.clone(),
            head,
            oldest: 1,
            name: self.summary.display_name.clone(),
            events,
            gap,
            reset,
            more,
            online: 0,
        }
    }

    /// Whether a send first tried at `since` may have been stored further back than the dedupe map
    /// reaches. (Pages will tell for sure; until then nobody can, so it must not be stored again.)
    pub(super) fn may_have_forgotten(&self, since: Option<u64>) -> bool {
        since.is_some_and(|since| since < self.summary.head - self.dedupe.reach())
    }

    fn is_numbering(&self, named: &str) -> bool {
        named.is_empty() || named == self.summary.generation
    }

    /// The last seq that is no longer in memory.
    fn forgotten(&self) -> u64 {
        self.summary.head - self.recent.len() as u64
    }

    /// Events above `after`, as many as one answer holds, and whether there are more.
    fn above(&self, after: u64) -> (Vec<Event>, bool) {
        let skip = usize::try_from(after - self.forgotten()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut events = Vec::new();
        for event in self.recent.iter().skip(skip) {
            bytes += size(event);
            if bytes > MAX_ANSWER_BYTES && !events.is_empty() {
                return (events, true);
            }
            events.push(event.clone());
        }
        (events, false)
    }
}

/// What an event takes in a record or an answer, at most; JSON makes it larger by escaping, and the
/// protocol counts that.
pub(super) fn size(event: &Event) -> usize {
    const FIXED: usize = 192;
    let text = match &event.kind {
        Some(Kind::Message(message)) => message.text.len(),
        None => 0,
    };
    let author = event
        .from
        .as_ref()
        .map_or(0, |from| from.id.len() + from.nick.len());
    FIXED + text + author + event.cid.len()
}

/// A room that has no event yet, as a reader sees it.
pub(super) fn view_of_none(read: &Read) -> View {
    View {
        r#gen: NO_GEN.to_owned(),
        oldest: 1,
        reset: read.after.is_some_and(|after| after > 0),
        ..View::default()
    }
}
