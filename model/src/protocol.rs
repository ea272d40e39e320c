//! Which protocol is explored: the proposed one, or one that differs in a point.

use crate::state::Counts;

/// What says which commits a value has folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Every page and the record say it for themselves.
    PerValue,
    /// Only the record says it.
    PerRecord,
}

/// Who answers reads of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The leader, always fresh.
    Leader,
    /// Any replica, each read fresh or as stale as it likes.
    Follower,
    /// A leader that may have been deposed without knowing, but that has applied what this owner put
    /// when it claimed.
    OldLeader,
}

/// What the dedupe map of a room holds after a load, besides the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// The cids of every page.
    AllPages,
    /// Those of the newest page.
    NewestPage,
    /// Nothing, not even the tail's.
    MemoryOnly,
}

/// A protocol, and how much may happen while it is explored. The rules come first, then what is done
/// wrong on purpose.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// What says which commits a value has folded.
    pub applied: Applied,
    /// Who answers reads of the store.
    pub reads: Reads,
    /// What the dedupe map holds after a load.
    pub dedupe: Dedupe,
    /// A claimer first puts its claim on `ckpt`.
    pub claim_cas: bool,
    /// `ckpt` remembers the epoch when the log has forgotten it.
    pub epoch_in_ckpt: bool,
    /// A read below the log's first record fails instead of skipping.
    pub check_trim: bool,
    /// A load that finds a value ahead of what was folded looks at the log first.
    pub check_future: bool,
    /// Record and open page are one value; a page gets a key of its own when it is full.
    pub merged: bool,

    /// A page below the open one that is not there is taken for empty, not for a stale read.
    pub missing_is_empty: bool,
    /// The record is put though a full page that it no longer holds is not stored yet.
    pub open_unguarded: bool,
    /// A load reads the pages before the record.
    pub pages_first: bool,
    /// The log takes an append whatever it expects.
    pub no_fence: bool,
    /// A send is acked before its append is known to be written.
    pub ack_early: bool,
    /// A checkpoint trims the log before it puts anything.
    pub trim_early: bool,
    /// A checkpoint puts the record before the pages.
    pub record_first: bool,
    /// A second append goes out before the first one's outcome is known.
    pub pipelined: bool,
    /// A cid is looked up when it arrives, and not again when its commit is built.
    pub dedupe_at_arrival: bool,
    /// The last sequence that a conflict tells is the next expectation, without folding what lies between.
    pub last_without_fold: bool,
    /// A room is evicted though its values are not all put.
    pub evict_dirty: bool,
    /// A put that meets a conflict is made again whatever it met.
    pub blind_overwrite: bool,
    /// Values of the room are put whatever is there.
    pub no_page_cas: bool,
    /// `ckpt` is put whatever is there.
    pub no_ckpt_cas: bool,

    /// How often each thing may happen.
    pub max: Counts,
}

impl Protocol {
    /// The protocol with every rule and no mistake, each page under a key of its own.
    pub fn proposed(max: Counts) -> Self {
        Protocol {
            applied: Applied::PerValue,
            reads: Reads::Leader,
            dedupe: Dedupe::AllPages,
            claim_cas: true,
            epoch_in_ckpt: true,
            check_trim: true,
            check_future: true,
            merged: false,
            missing_is_empty: false,
            open_unguarded: false,
            pages_first: false,
            no_fence: false,
            ack_early: false,
            trim_early: false,
            record_first: false,
            pipelined: false,
            dedupe_at_arrival: false,
            last_without_fold: false,
            evict_dirty: false,
            blind_overwrite: false,
            no_page_cas: false,
            no_ckpt_cas: false,
            max,
        }
    }
}
