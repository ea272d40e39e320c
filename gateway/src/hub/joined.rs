//! The `joined` frame, put together from events that are encoded already: thousands may come into one
//! room at once.

use std::sync::Arc;

use proto::frame::{
    ServerFrame,
    server::{Joined, Settings, You},
};

use super::{
    delivery::{Encoder, Entry},
    state::Piece,
};
use crate::session::socket::Text;

/// Most bytes of `joined.events`; the rest follows as `event` frames (PROTOCOL section 4 rule 4).
const MAX_BYTES: usize = 256 * 1024;
/// Where the events go.
const NO_EVENTS: &str = "\"events\":[]";

/// The frame, and the seq of the last event that is in it.
pub(super) fn frame(
    encoder: &Encoder<'_>,
    piece: &Piece,
    asked: &str,
    members: u64,
) -> (Text, u64) {
    let name = if piece.name.is_empty() {
        asked
    } else {
        &piece.name
    };
    let frame = ServerFrame::Joined(Joined {
        room: encoder.room.as_str(),
        asked,
        name,
        r#gen: encoder.generation,
        head: piece.head,
        oldest: piece.oldest,
        events: &[],
        gap: piece.gap,
        settings: Settings::default(),
        you: You { role: "member" },
        online: piece.online + members,
    });
    let mut frame = frame.encode();
    let (events, at) = events(encoder, &piece.entries);
    // In a string of the frame the quotes would stand behind backslashes.
    if let Some(place) = frame.find(NO_EVENTS) {
        frame.insert_str(place + NO_EVENTS.len() - 1, &events);
    }
    (Text::from(frame), at.unwrap_or(piece.after))
}

fn events(encoder: &Encoder<'_>, entries: &[Arc<Entry>]) -> (String, Option<u64>) {
    let mut events = String::new();
    let mut at = None;
    for entry in entries {
        let element = entry.element(encoder);
        if events.len() + element.len() + 2 > MAX_BYTES {
            break;
        }
        events.push_str(if at.is_none() { "{" } else { ",{" });
        events.push_str(element);
        at = Some(entry.seq());
    }
    (events, at)
}
