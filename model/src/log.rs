//! The partition's log, events in it, and appends on their way to it.
//!
//! Trimming forgets nothing here: the properties need the whole history. What an owner may read begins
//! after [`Log::trimmed`].

/// A record's place in the log, from 1; 0 is "nothing yet".
pub type LogSeq = u8;
/// An event's number in its room, from 1; 0 is "none".
pub type Seq = u8;
/// What a client calls its event: an index below [`CIDS`].
pub type Cid = u8;

/// How many events clients want to send: 0 and 1 are messages, 2 is [`REACTION`].
pub const CIDS: usize = 3;
/// The cid that is a reaction to [`TARGET`]. It adds one to a counter, so that applying it twice, or not
/// at all, shows.
pub const REACTION: Cid = 2;
/// The event that the reaction is to.
pub const TARGET: Seq = 1;

/// An event of the room.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Its number in the room.
    pub seq: Seq,
    /// What its sender calls it.
    pub cid: Cid,
}

/// Who writes: a record of a lower epoch than the log has seen must never follow.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ownership {
    /// Counts owners of the partition.
    pub epoch: u8,
    /// Tells two claims of one epoch apart; it stands for the random id of a process.
    pub claim: u8,
}

/// A record of the log.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// Events that become durable together.
    Commit {
        /// Who wrote it.
        by: Ownership,
        /// In the order of their `seq`.
        events: Vec<Event>,
    },
    /// Somebody owns the partition from here on.
    Epoch(Ownership),
}

impl Record {
    /// The events of a commit; none in an epoch record.
    pub fn events(&self) -> &[Event] {
        match self {
            Record::Commit { events, .. } => events,
            Record::Epoch(_) => &[],
        }
    }
}

/// An append on its way to the log.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Append {
    /// The log's last record, as its sender believes; anything else is a conflict.
    pub expected: LogSeq,
    /// What is to be written.
    pub record: Record,
}

/// The log of the partition.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub struct Log {
    /// All that was ever written; record `n` stands at `n - 1`.
    pub records: Vec<Record>,
    /// Records up to this one can no longer be read.
    pub trimmed: LogSeq,
}

impl Log {
    /// The last record's place.
    pub fn last(&self) -> LogSeq {
        self.records.len() as LogSeq
    }

    /// The record at `n`, which must have been written.
    pub fn record(&self, n: LogSeq) -> &Record {
        &self.records[n as usize - 1]
    }

    /// The last epoch record after `after`, up to `upto`.
    pub fn owner_between(&self, after: LogSeq, upto: LogSeq) -> Option<Ownership> {
        (after + 1..=upto).rev().find_map(|n| match self.record(n) {
            Record::Epoch(by) => Some(*by),
            Record::Commit { .. } => None,
        })
    }

    /// Every event ever written, in the order of the log.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().flat_map(Record::events)
    }
}
