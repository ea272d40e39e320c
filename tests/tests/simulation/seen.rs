//! What the clients did and saw: all that the checker knows besides the logs and what the stores hold at the
//! end. Nothing here judges.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use proto::{
    RoomId,
    bus::v1::{history::Place, send::Body},
    log::v1::Event,
};

/// All that was seen; clients write, the checker reads.
pub(crate) type Seen = Arc<Mutex<Everything>>;
/// Events by their seq, as somebody sees them.
pub(crate) type View = BTreeMap<u64, Shown>;

/// What all clients saw and did.
#[derive(Default)]
pub(crate) struct Everything {
    /// Every operation that left an outbox, in the order of the answers; repeats too.
    pub(crate) sent: Vec<Sent>,
    /// What each client's screen shows of each of its rooms.
    pub(crate) screens: Vec<Screen>,
    /// What histories were answered.
    pub(crate) histories: Vec<History>,
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
    /// Its cid was acked before, with another body.
    pub(crate) is_other_body: bool,
    pub(crate) answer: Answer,
}

/// What an owner said to it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Durable, as this seq at this time (RFC 3339).
    Acked {
        seq: u64,
        ts: String,
    },
    Refused {
        code: String,
    },
}

/// A client's view of one room.
#[derive(Clone)]
pub(crate) struct Screen {
    pub(crate) client: String,
    pub(crate) room: RoomId,
    pub(crate) events: View,
}

/// A question about a room's past, and its answer.
pub(crate) struct History {
    pub(crate) client: String,
    pub(crate) room: RoomId,
    pub(crate) place: Place,
    pub(crate) limit: u64,
    /// The last event that the client had when it asked.
    pub(crate) had: u64,
    /// The room's head as of the answer.
    pub(crate) head: u64,
    pub(crate) events: View,
}

/// What is to be seen of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// RFC 3339.
    pub(crate) ts: String,
    pub(crate) user: String,
    pub(crate) cid: String,
    pub(crate) kind: Kind,
    /// The event that it changes; 0 for none.
    pub(crate) target: u64,
    /// Of a message its present text, of an edit its own, of a reaction the emoji; empty when it is gone.
    pub(crate) text: String,
    pub(crate) deleted: bool,
    /// Never of what is deleted: clients need not know.
    pub(crate) edited: bool,
    /// Of a reaction: how many have given it then.
    pub(crate) count: u64,
    /// Of a message: how many have given each emoji.
    pub(crate) reactions: BTreeMap<String, u64>,
}

/// What an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Edit,
    Delete,
    Reaction,
    #[default]
    Unknown,
}

impl Shown {
    /// Its text is gone for good.
    pub(crate) fn blank(&mut self) {
        self.text.clear();
        self.reactions.clear();
        self.deleted = true;
        self.edited = false;
    }
}
