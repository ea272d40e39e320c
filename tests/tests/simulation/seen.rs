//! What the clients did and saw: all that the checker knows besides the logs. Nothing here judges.

use std::sync::Arc;

use parking_lot::Mutex;
use proto::{RoomId, bus::v1::send::Body, log::v1::Event};

/// All that was seen; clients write, the checker reads.
pub(crate) type Seen = Arc<Mutex<Everything>>;

/// What all clients saw and did.
#[derive(Default)]
pub(crate) struct Everything {
    /// Every operation that left an outbox, once, in the order of its answer.
    pub(crate) sent: Vec<Sent>,
    /// What each client's screen shows.
    pub(crate) screens: Vec<Screen>,
    /// What was read of each room after all was well again.
    pub(crate) read: Vec<(RoomId, Vec<Event>)>,
    /// What clients met that no client may meet.
    pub(crate) wrong: Vec<String>,
}

/// An operation and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) user: String,
    pub(crate) room: RoomId,
    pub(crate) cid: String,
    pub(crate) body: Body,
    pub(crate) answer: Answer,
}

/// What an owner said to it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Acked { seq: u64, ts_ms: u64 },
    Refused { code: String },
}

/// A client's view of one room: the events in the order in which they were delivered.
pub(crate) struct Screen {
    pub(crate) client: String,
    pub(crate) room: RoomId,
    pub(crate) events: Vec<Event>,
}
