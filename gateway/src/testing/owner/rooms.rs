//! The rooms of a scripted owner: events in their present state, and nothing refused.

use std::collections::HashMap;

use proto::{
    bus::v1::{History, Read, Room, Send, history::Place, send},
    log::v1::{Author, Event, ReactionCount, event::Kind},
};

/// When the first event happens, milliseconds since 1970-01-01 UTC; the others a millisecond later each.
const FIRST_MS: u64 = 1_795_417_200_001;

pub(super) struct Rooms {
    rooms: HashMap<String, Vec<Event>>,
    pub(super) generation: String,
    /// Lowest seq kept.
    pub(super) oldest: u64,
    /// Most events of an answer.
    pub(super) max_events: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self::new("gen1")
    }
}

impl Rooms {
    pub(super) fn new(generation: &str) -> Self {
        Self {
            rooms: HashMap::new(),
            generation: generation.to_owned(),
            oldest: 1,
            max_events: usize::MAX,
        }
    }

    pub(super) fn head(&self, room: &str) -> u64 {
        self.rooms.get(room).map_or(0, |events| events.len() as u64)
    }

    pub(super) fn append(&mut self, room: &str, from: Author, kind: Kind) -> Event {
        let events = self.rooms.entry(room.to_owned()).or_default();
        let ts_ms = FIRST_MS + events.len() as u64;
        fold(events, &kind, ts_ms);
        let seq = events.len() as u64 + 1;
        let event = Event {
            seq,
            ts_ms,
            from: Some(from),
            cid: format!("c{seq}"),
            kind: Some(kind),
            ..Event::default()
        };
        events.push(event.clone());
        event
    }

    /// The event that a send made, and whether an earlier one did.
    pub(super) fn send(&mut self, room: &str, send: Send) -> (Event, bool) {
        let from = send.from.unwrap_or_default();
        let known = self.rooms.get(room).and_then(|events| {
            let is_it =
                |event: &&Event| event.cid == send.cid && event.from.as_ref() == Some(&from);
            events.iter().find(is_it)
        });
        if let Some(known) = known {
            return (known.clone(), true);
        }
        let kind = match send.body.expect("a send has a body") {
            send::Body::Message(message) => Kind::Message(message),
            send::Body::Edit(edit) => Kind::Edit(edit),
            send::Body::Delete(delete) => Kind::Delete(delete),
            send::Body::Reaction(mut reaction) => {
                reaction.count = u32::from(reaction.on);
                Kind::Reaction(reaction)
            }
        };
        let mut event = self.append(room, from, kind);
        event.cid = send.cid;
        if let Some(last) = self
            .rooms
            .get_mut(room)
            .and_then(|events| events.last_mut())
        {
            last.cid.clone_from(&event.cid);
        }
        (event, false)
    }

    pub(super) fn read(&self, room: &str, read: &Read) -> Room {
        let Some(events) = self.rooms.get(room) else {
            return Room {
                reset: read.after.is_some_and(|after| after > 0),
                ..empty()
            };
        };
        let head = events.len() as u64;
        let last = head.saturating_sub(u64::from(read.limit));
        let is_numbering = read.after_gen.is_empty() || read.after_gen == self.generation;
        let (after, gap, reset) = match read.after {
            None => (last, false, false),
            Some(after) if after > head || (after > 0 && !is_numbering) => (last, false, true),
            Some(after) if head - after > u64::from(read.catch_up) => (last, true, false),
            Some(after) if after + 1 < self.oldest => (self.oldest - 1, true, false),
            Some(after) => (after, false, false),
        };
        let mut view = self.view(events, |event| event.seq > after);
        view.gap = gap;
        view.reset = reset;
        view.more = view.events.len() > self.max_events;
        view.events.truncate(self.max_events);
        view
    }

    pub(super) fn history(&self, room: &str, history: &History) -> Room {
        let Some(events) = self.rooms.get(room) else {
            return empty();
        };
        let most = usize::try_from(history.limit).unwrap().min(self.max_events);
        let place = history.place.expect("a reading has a place");
        let half = u64::from(history.limit / 2);
        let mut view = self.view(events, |event| match place {
            Place::Before(seq) => event.seq < seq,
            Place::After(seq) => event.seq > seq,
            Place::Around(seq) => event.seq + half >= seq,
            Place::AtMs(unix_ms) => event.ts_ms >= unix_ms,
        });
        let beyond = view.events.len().saturating_sub(most);
        view.more = beyond > 0;
        match place {
            Place::Before(_) => drop(view.events.drain(..beyond)),
            _ => view.events.truncate(most),
        }
        view
    }

    fn view(&self, events: &[Event], wanted: impl Fn(&Event) -> bool) -> Room {
        let kept = events.iter().filter(|event| event.seq >= self.oldest);
        Room {
            r#gen: self.generation.clone(),
            head: events.len() as u64,
            oldest: self.oldest,
            name: "Room".to_owned(),
            events: kept.filter(|event| wanted(event)).cloned().collect(),
            ..Room::default()
        }
    }
}

/// A room without events.
fn empty() -> Room {
    Room {
        r#gen: "0".to_owned(),
        oldest: 1,
        ..Room::default()
    }
}

/// Brings the message that an event is about to its present state.
fn fold(events: &mut [Event], kind: &Kind, ts_ms: u64) {
    let (Kind::Edit(proto::log::v1::Edit { target, .. })
    | Kind::Delete(proto::log::v1::Delete { target, .. })
    | Kind::Reaction(proto::log::v1::Reaction { target, .. })) = kind
    else {
        return;
    };
    let Some(event) = events.iter_mut().find(|event| event.seq == *target) else {
        return;
    };
    match (kind, &mut event.kind) {
        (Kind::Edit(edit), Some(Kind::Message(message))) => {
            message.text.clone_from(&edit.text);
            event.edited_ms = ts_ms;
        }
        (Kind::Delete(_), Some(Kind::Message(message))) => {
            message.text.clear();
            event.deleted = true;
        }
        (Kind::Reaction(reaction), _) => event.reactions.push(ReactionCount {
            emoji: reaction.emoji.clone(),
            count: reaction.count,
        }),
        _ => {}
    }
}
