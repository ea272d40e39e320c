//! An owner: what one replica of the room service knows of the partition, and, in the modules beside,
//! what it does with what it learns.

mod catch_up;
mod checkpoint;
mod claim;
mod commit;
mod load;

pub(crate) use catch_up::catch_up;
pub(crate) use checkpoint::{Stage, begin as begin_checkpoint, plan, step as step_checkpoint};
pub(crate) use claim::{base, read_tail, send_epoch, stamp};
pub(crate) use commit::{build, deliver, resolve};
pub(crate) use load::{evict, load};

use crate::{
    log::{Append, CIDS, Cid, LogSeq, Ownership, Seq},
    store::{Ckpt, Key, OpenPage, PAGES, Page, Value},
};

/// How far an owner is.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub enum Phase {
    /// It owns nothing and claims nothing.
    #[default]
    Idle,
    /// It has read `ckpt`.
    Based,
    /// It has put its claim on `ckpt`, if the protocol asks for that.
    Stamped,
    /// It has read the log's tail, and may append its epoch record.
    Folded,
    /// Its epoch record was written: it believes that it owns the partition.
    Active,
}

/// Which values in memory the store does not have yet.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Dirty {
    /// The pages.
    pub pages: [bool; PAGES],
    /// The record.
    pub record: bool,
}

impl Dirty {
    /// Whether anything is.
    pub fn any(&self) -> bool {
        self.record || self.pages.contains(&true)
    }

    /// Whether this value is.
    pub fn has(&self, key: Key) -> bool {
        match key {
            Key::Page(p) => self.pages[p],
            Key::Record => self.record,
        }
    }
}

/// The room in an owner's memory.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Memory {
    /// The record: the room's head.
    pub record: Value<Seq>,
    /// The pages.
    pub pages: [Value<Page>; PAGES],
    /// The open page as the record's value held it, until it is in its place.
    pub open: OpenPage,
    /// What is to be put.
    pub dirty: Dirty,
    /// The dedupe map: the `seq` of each cid; 0 if it was not seen.
    pub seen: [Seq; CIDS],
}

/// A room on its way into memory, value by value.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Loading {
    /// Values read so far.
    pub values_read: u8,
    /// What they hold.
    pub memory: Memory,
}

/// Commits that are kept for a room that is not in memory.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Tail {
    /// The record before the first of them.
    pub after: LogSeq,
    /// The last of them.
    pub upto: LogSeq,
}

/// Revisions that an evicted room had at least: what the directory keeps of it.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Known {
    /// The pages'.
    pub pages: [u8; PAGES],
    /// The record's.
    pub record: u8,
}

/// A checkpoint under way.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Checkpoint {
    /// What `ckpt` will say, and where the log is trimmed to.
    pub upto: LogSeq,
    /// The stage of its plan that is next.
    pub stage: u8,
}

/// What a replica knows of the partition.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Owner {
    /// How far it is.
    pub phase: Phase,
    /// Its claim, and its epoch; before it is active, the epoch it must exceed.
    pub own: Ownership,
    /// The last record that it has folded: what its appends expect.
    pub folded: LogSeq,
    /// Kept for the room while it is not in memory.
    pub tail: Tail,
    /// `ckpt` as it knows it.
    pub ckpt: Value<Ckpt>,
    /// The room, once loaded.
    pub memory: Option<Memory>,
    /// The room on its way into memory.
    pub loading: Option<Loading>,
    /// What it knows of the room since it was evicted.
    pub known: Known,
    /// Cids that wait for their place in a commit.
    pub queue: Vec<Cid>,
    /// Its appends whose outcome it does not know yet.
    pub in_flight: Vec<Append>,
    /// Whether it must look at the log before anything else.
    pub must_look: bool,
    /// Its checkpoint under way.
    pub checkpoint: Option<Checkpoint>,
}
