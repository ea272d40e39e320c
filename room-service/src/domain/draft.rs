//! A commit in the making: rooms with the events of this batch so far.

use std::collections::{HashMap, HashSet};

use proto::{
    RoomId,
    log::v1::{Event, RoomEvents, event::Kind},
};

use super::{
    page::{size, targets},
    partition::Submission,
    room::Room,
};

/// The rooms of a commit in the making.
#[derive(Default)]
pub(super) struct Draft {
    rooms: HashMap<RoomId, DraftRoom>,
    order: Vec<RoomId>,
    pub(super) bytes: usize,
}

struct DraftRoom {
    events: RoomEvents,
    head: u64,
    last_ts_ms: u64,
    cids: HashSet<(String, String)>,
    /// Seqs of earlier events that this batch changes.
    touched: HashSet<u64>,
}

/// What makes an event of a submission.
pub(super) struct Placing {
    pub(super) kind: Kind,
    pub(super) body_tag: u64,
    pub(super) unix_ms: u64,
}

impl Draft {
    /// Whether this batch holds an event of the same user and cid.
    pub(super) fn holds(&self, room: &RoomId, user: &str, cid: &str) -> bool {
        // The pair is owned by the set; a lookup by parts would need a key type of its own.
        self.rooms
            .get(room)
            .is_some_and(|draft| draft.cids.contains(&(user.to_owned(), cid.to_owned())))
    }

    /// Whether this batch makes or changes the event: whoever builds on it waits for the outcome.
    pub(super) fn touches(&self, room: &RoomId, seq: u64) -> bool {
        self.rooms.get(room).is_some_and(|draft| {
            let first = draft.events.events.first().map_or(u64::MAX, |e| e.seq);
            draft.touched.contains(&seq) || (first..=draft.head).contains(&seq)
        })
    }

    /// The head of a room with the events of this batch; `None` when it has none in it.
    pub(super) fn head(&self, room: &RoomId) -> Option<u64> {
        self.rooms.get(room).map(|draft| draft.head)
    }

    /// Gives a submission the next seq of its room, and a time not before the room's last.
    pub(super) fn place<T>(
        &mut self,
        submission: &Submission<T>,
        room: Option<&Room>,
        placing: Placing,
        draw_gen: impl FnOnce() -> String,
    ) -> (u64, u64) {
        let send = &submission.send;
        let draft = self
            .rooms
            .entry(submission.room.clone())
            .or_insert_with(|| {
                self.order.push(submission.room.clone());
                DraftRoom::of(submission, room, draw_gen)
            });
        let from = send.from.clone().unwrap_or_default();
        draft.cids.insert((from.id.clone(), send.cid.clone()));
        draft.head += 1;
        draft.last_ts_ms = draft.last_ts_ms.max(placing.unix_ms);
        let event = Event {
            seq: draft.head,
            ts_ms: draft.last_ts_ms,
            from: Some(from),
            cid: send.cid.clone(),
            body_tag: placing.body_tag,
            kind: Some(placing.kind),
            ..Event::default()
        };
        self.bytes += size(&event);
        draft.touched.extend(targets(&event));
        draft.events.events.push(event);
        (draft.head, draft.last_ts_ms)
    }

    /// The rooms in the order of their first event.
    pub(super) fn into_rooms(mut self) -> Vec<RoomEvents> {
        self.order
            .iter()
            .filter_map(|room| self.rooms.remove(room))
            .map(|room| room.events)
            .collect()
    }
}

impl DraftRoom {
    fn of<T>(
        submission: &Submission<T>,
        room: Option<&Room>,
        draw_gen: impl FnOnce() -> String,
    ) -> Self {
        let mut events = RoomEvents {
            room: submission.room.to_string(),
            ..RoomEvents::default()
        };
        match room {
            Some(room) => events.r#gen.clone_from(&room.summary.generation),
            None => {
                events.r#gen = draw_gen();
                events.display_name.clone_from(&submission.send.asked);
            }
        }
        Self {
            events,
            head: room.map_or(0, |room| room.summary.head),
            last_ts_ms: room.map_or(0, |room| room.last_ts_ms),
            cids: HashSet::new(),
            touched: HashSet::new(),
        }
    }
}
