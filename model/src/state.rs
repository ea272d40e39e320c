//! The whole of what is modelled at one moment: log, store, owners, and what clients were told.

use crate::{
    log::{Append, CIDS, Cid, Log, Seq},
    owner::Owner,
    protocol::Protocol,
    store::Store,
};

/// How often each thing has happened, or may happen. Together with the two owners it bounds the
/// exploration.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries of each cid to an owner: the first attempt and its retries.
    pub deliveries: [u8; CIDS],
    /// Claims, besides the first owner's.
    pub claims: u8,
    /// Crashes of an owner.
    pub crashes: u8,
    /// Appends whose sender does not learn what became of them.
    pub unclear_appends: u8,
    /// Checkpoints begun.
    pub checkpoints: u8,
    /// Puts that are written though their sender does not learn it.
    pub unclear_puts: u8,
    /// Evictions of the room from an owner's memory.
    pub evictions: u8,
    /// How often a lagging replica of the store catches up.
    pub follower_syncs: u8,
}

/// One moment.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct State {
    /// The partition's log.
    pub log: Log,
    /// The partition's values, as the store's leader has them.
    pub store: Store,
    /// The same, as a replica that lags behind would answer.
    pub follower: Store,
    /// Two replicas of the room service.
    pub owners: [Owner; 2],
    /// Appends that their sender gave up on; they may still land.
    pub late: Vec<Append>,
    /// The `seq` that each cid's sender was told; 0 while it was told nothing.
    pub acked: [Seq; CIDS],
    /// Whether a sender was told two different ones.
    pub two_acks: bool,
    /// What has happened so far.
    pub used: Counts,
}

/// Whose answer a reader of the store gets.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Read {
    /// The leader's.
    Fresh,
    /// A replica's that lags behind.
    Stale,
}

impl State {
    /// The store as a reader sees it.
    pub fn read(&self, read: Read) -> &Store {
        match read {
            Read::Fresh => &self.store,
            Read::Stale => &self.follower,
        }
    }

    /// Tells the sender of `cid` that its event is stored as `seq`.
    pub(crate) fn ack(&mut self, cid: Cid, seq: Seq) {
        let told = &mut self.acked[cid as usize];
        self.two_acks |= *told != 0 && *told != seq;
        *told = seq;
    }

    /// The owner forgets everything, as after a crash; its appends may still land.
    pub(crate) fn step_down(&mut self, owner: usize) {
        let was = std::mem::take(&mut self.owners[owner]);
        self.late.extend(was.in_flight);
    }

    /// Makes states equal that can do the same: late appends that the fence refuses for ever are dropped,
    /// the others are a sorted set.
    pub(crate) fn normalise(&mut self, protocol: &Protocol) {
        if !protocol.no_fence {
            let last = self.log.last();
            self.late.retain(|append| append.expected >= last);
        }
        self.late.sort();
        self.late.dedup();
    }
}
