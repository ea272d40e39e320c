//! The logs: every record ever appended, and from where on they are still there.

use std::collections::VecDeque;

use bytes::Bytes;
use proto::PartitionId;

use super::{
    SimBroker,
    link::{Changed, Link},
};
use crate::{Append, Log, LogError, MAX_RECORD, ReadError, Reader, TrimError};

/// Most records that a reader fetches at once.
const MAX_FETCHED: u64 = 64;

/// A partition's log.
#[derive(Default)]
pub(super) struct LogState {
    /// Record `seq` is at `seq - 1`, also when it was trimmed: for whoever checks.
    records: Vec<Bytes>,
    trimmed: u64,
}

impl LogState {
    pub(super) fn last(&self) -> u64 {
        self.records.len() as u64
    }

    /// The last sequence that was trimmed.
    pub(super) fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// All records there ever were.
    pub(super) fn history(&self) -> impl Iterator<Item = (u64, Bytes)> {
        (1..).zip(self.records.iter().cloned())
    }

    fn append(&mut self, expected_last: u64, record: Bytes) -> Append {
        if expected_last != self.last() {
            return Append::Conflict { last: self.last() };
        }
        self.records.push(record);
        Append::Written(self.last())
    }

    fn read(&self, from: u64, to: u64) -> Result<VecDeque<(u64, Bytes)>, ReadError> {
        if from <= self.trimmed {
            let first = self.trimmed + 1;
            return Err(ReadError::Trimmed { first });
        }
        if from > self.last() {
            let why = format!("the log ends at {}, before {from}", self.last());
            return Err(ReadError::Unavailable(why));
        }
        let before = usize::try_from(from - 1).unwrap_or(usize::MAX);
        let records = self.records.iter().skip(before).cloned();
        Ok((from..=to).zip(records).collect())
    }

    fn trim(&mut self, up_to: u64) -> Result<(), TrimError> {
        let last = self.last();
        if up_to > last {
            return Err(TrimError::BeyondLast { up_to, last });
        }
        self.trimmed = self.trimmed.max(up_to);
        Ok(())
    }
}

impl Log for SimBroker {
    type Reader = SimReader;

    async fn append(&self, pp: PartitionId, expected_last: u64, record: Bytes) -> Append {
        if record.len() > MAX_RECORD {
            let why = format!("record of {} bytes is above {MAX_RECORD}", record.len());
            return Append::Refused { why };
        }
        let what = format!("append to {pp} after {expected_last}");
        let append = self.link.change(what, move |world| {
            world.log(pp).append(expected_last, record)
        });
        match append.await {
            Changed::Told(append) => append,
            Changed::Refused(why) => Append::Refused { why },
            Changed::Unclear => Append::Unclear,
        }
    }

    fn read(&self, pp: PartitionId, from: u64, to: u64) -> SimReader {
        SimReader {
            link: self.link.clone(),
            pp,
            next: from,
            to,
            fetched: VecDeque::new(),
        }
    }

    async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        let what = format!("last of {pp}");
        let last = self.link.look(what, |world| world.log(pp).last());
        last.await.map_err(LogError)
    }

    async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        let what = format!("trim of {pp} to {up_to}");
        let trim = self
            .link
            .change(what, move |world| world.log(pp).trim(up_to));
        match trim.await {
            Changed::Told(trimmed) => trimmed,
            Changed::Refused(why) => Err(TrimError::Unavailable(why)),
            Changed::Unclear => Err(TrimError::Unavailable("no answer".to_owned())),
        }
    }
}

/// Records of a simulated log; what it has fetched it gives, also when it was trimmed meanwhile.
pub struct SimReader {
    link: Link,
    pp: PartitionId,
    next: u64,
    to: u64,
    fetched: VecDeque<(u64, Bytes)>,
}

impl Reader for SimReader {
    async fn next(&mut self) -> Result<Option<(u64, Bytes)>, ReadError> {
        if self.next > self.to {
            return Ok(None);
        }
        if self.fetched.is_empty() {
            let (pp, from, to) = (self.pp, self.next, self.to);
            let what = format!("read of {pp} from {from} to {to}");
            let fetch = self.link.look(what, |world| {
                let most = world.count_to(MAX_FETCHED);
                world.log(pp).read(from, to.min(from + most - 1))
            });
            self.fetched = fetch.await.map_err(ReadError::Unavailable)??;
        }
        let Some((seq, record)) = self.fetched.pop_front() else {
            let why = "the log's answer was empty".to_owned();
            return Err(ReadError::Unavailable(why));
        };
        self.next = seq + 1;
        Ok(Some((seq, record)))
    }
}
