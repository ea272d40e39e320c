//! Whatever anybody read is the fold of the log: histories of the log up to the head that they name, screens
//! and what is read at the end of the whole of it.

use std::collections::BTreeMap;

use proto::{bus::v1::history::Place, log::v1::Event};

use super::{
    Rooms,
    fold::{Fold, as_read, differences},
};
use crate::seen::{Everything, History, View};

/// Checks all readings.
pub(super) fn check(seen: &Everything, rooms: &Rooms) -> Vec<String> {
    let mut broken = Vec::new();
    let mut histories: BTreeMap<&str, Vec<&History>> = BTreeMap::new();
    for history in &seen.histories {
        histories
            .entry(history.room.as_str())
            .or_default()
            .push(history);
    }
    let mut whole = BTreeMap::new();
    for (room, events) in rooms {
        let asked = histories.remove(room.as_str()).unwrap_or_default();
        whole.insert(room.as_str(), fold(events, asked, &mut broken));
    }
    for history in histories.into_values().flatten() {
        // Of a room without events.
        broken.extend(is_right(history, &View::new()));
    }
    let none = View::new();
    for screen in &seen.screens {
        let expected = whole.get(screen.room.as_str()).unwrap_or(&none);
        let who = format!("GAP: {} in {}", screen.client, screen.room);
        broken.extend(differences(&who, expected, &screen.events));
    }
    for (room, read) in &seen.read {
        let expected = whole.get(room.as_str()).unwrap_or(&none);
        broken.extend(differences(
            &format!("REBUILD: {room}"),
            expected,
            &as_read(read),
        ));
    }
    broken
}

/// Folds a room's events, and checks on the way what was read of it then; the room at the end.
fn fold(events: &[Event], mut asked: Vec<&History>, broken: &mut Vec<String>) -> View {
    asked.sort_by_key(|history| history.head);
    let mut asked = asked.into_iter().peekable();
    let mut fold = Fold::default();
    while let Some(history) = asked.next_if(|history| history.head == 0) {
        broken.extend(is_right(history, &fold.view));
    }
    for event in events {
        fold.push(event);
        while let Some(history) = asked.next_if(|history| history.head == event.seq) {
            broken.extend(is_right(history, &fold.view));
        }
    }
    for history in asked {
        broken.push(format!(
            "REBUILD: {} was told of a head {} that never was",
            history.client, history.head
        ));
    }
    fold.view
}

/// A history has the events that were asked for, as they were at its head, and knows of all that the client
/// had.
fn is_right(history: &History, room: &View) -> Vec<String> {
    let head = room.keys().next_back().copied().unwrap_or(0);
    let what = format!(
        "READERS: {} in {}, {:?} as of {head}",
        history.client, history.room, history.place
    );
    if history.head < history.had {
        return vec![format!("{what}: it had {} before", history.had)];
    }
    let limit = history.limit;
    let range = match history.place {
        Place::Before(seq) => {
            let end = seq.min(head + 1);
            end.saturating_sub(limit).max(1)..end
        }
        Place::After(seq) => seq + 1..(seq + limit + 1).min(head + 1),
        // Some on both sides, as many as there are.
        Place::Around(_) | Place::AtMs(_) => {
            let first = history.events.keys().next().copied().unwrap_or(1);
            first..first + limit.min(head)
        }
    };
    let expected = room.iter().filter(|(seq, _)| range.contains(seq));
    let expected = expected.map(|(seq, shown)| (*seq, shown.clone())).collect();
    let mut broken = differences(&what, &expected, &history.events);
    if let Place::Around(seq) = history.place
        && (1..=head).contains(&seq)
        && !history.events.contains_key(&seq)
    {
        broken.push(format!("{what}: it is not there"));
    }
    broken
}
