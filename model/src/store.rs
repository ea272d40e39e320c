//! Values of the partition in the store: the room's record, its pages, and `ckpt`.

use crate::log::{Cid, LogSeq, Seq};

/// Pages of the room; the room is full when they are.
pub const PAGES: usize = 2;
/// Events in a page.
pub const PAGE_SIZE: u8 = 2;
/// The last event that the room has a place for.
pub const LAST_SEQ: Seq = PAGE_SIZE * PAGES as Seq;

/// An event's place in a page.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub struct Slot {
    /// The event that is there, if any.
    pub cid: Option<Cid>,
    /// How often it was reacted to.
    pub reactions: u8,
}

/// A page, materialised: reactions are counted at the event that they are to.
pub type Page = [Slot; PAGE_SIZE as usize];

/// A value as the store holds it.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Value<T> {
    /// Counts the puts; 0 is "never put". A put names the revision that it replaces.
    pub revision: u8,
    /// The last commit that is folded into the value.
    pub applied: LogSeq,
    /// What it holds.
    pub body: T,
}

/// Where a claimer begins to read the log.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Ckpt {
    /// Commits up to this record are in the store.
    pub log: LogSeq,
    /// The epoch of who put it: the log forgets epochs when it is trimmed.
    pub epoch: u8,
}

/// The page that is not full yet, where it travels with the record ([`Protocol::merged`]).
///
/// [`Protocol::merged`]: crate::protocol::Protocol::merged
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct OpenPage {
    /// Which page it is; [`PAGES`] when all are full.
    pub index: u8,
    /// What it holds.
    pub page: Page,
}

/// Which of the room's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The page of this index.
    Page(usize),
    /// The room's record.
    Record,
}

/// What the store holds of the partition.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Store {
    /// The room's record: its head.
    pub record: Value<Seq>,
    /// The room's pages, each under a key of its own.
    pub pages: [Value<Page>; PAGES],
    /// The open page as the record's value holds it.
    pub open: OpenPage,
    /// The checkpoint.
    pub ckpt: Value<Ckpt>,
}

impl Store {
    /// The revision of a value of the room, and what is folded into it.
    pub fn stamp(&self, key: Key) -> (u8, LogSeq) {
        match key {
            Key::Page(p) => (self.pages[p].revision, self.pages[p].applied),
            Key::Record => (self.record.revision, self.record.applied),
        }
    }
}
