//! The log of a partition: durable, ordered, appended to by whoever knows its end.

use std::future::Future;

use bytes::Bytes;
use proto::PartitionId;

/// Logs, one per partition. Sequence numbers count from 1; `last` of an empty log is 0.
pub trait Log: Clone + Send + Sync + 'static {
    /// What [`read`](Self::read) returns.
    type Reader: Reader;

    /// Appends one record if the log's last sequence is `expected_last`. Durable when it says so.
    ///
    /// Not cancel-safe: a dropped append may still be written, like [`Append::Unclear`].
    fn append(
        &self,
        pp: PartitionId,
        expected_last: u64,
        record: Bytes,
    ) -> impl Future<Output = Append> + Send;

    /// Streams exactly the records `from ..= to` in order, or fails; it never skips one. Nothing when
    /// `to < from`.
    fn read(&self, pp: PartitionId, from: u64, to: u64) -> Self::Reader;

    /// The last sequence, as the log's leader has it; also of a log that was trimmed to its end.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the log is not reachable.
    fn last(&self, pp: PartitionId) -> impl Future<Output = Result<u64, LogError>> + Send;

    /// Removes the records up to and with `up_to`. `last` stays as it was.
    ///
    /// Cancel-safe: removed or not, and may be repeated.
    ///
    /// # Errors
    /// [`TrimError`].
    fn trim(
        &self,
        pp: PartitionId,
        up_to: u64,
    ) -> impl Future<Output = Result<(), TrimError>> + Send;
}

/// Records of a log, in order without holes.
pub trait Reader: Send {
    /// The next record and its sequence; `None` after the last one asked for.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ReadError`], after which the reader is done.
    fn next(&mut self) -> impl Future<Output = Result<Option<(u64, Bytes)>, ReadError>> + Send;
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// Written and durable, with this sequence.
    Written(u64),
    /// Not written: the log's last sequence is another. `last` is a hint, never an expectation.
    Conflict {
        /// The last sequence, as the refusal told it.
        last: u64,
    },
    /// It may be written, or may still be.
    Unclear,
    /// Not written, and the same append never will be: too large, no space, denied.
    Refused {
        /// Why, for the log.
        why: String,
    },
}

/// The log is not reachable.
#[derive(Debug, thiserror::Error)]
#[error("the log is unavailable: {0}")]
pub struct LogError(pub String);

/// A read ended before its last record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The next record was trimmed; the first one that is left is `first` (last + 1 when none is).
    #[error("the records before {first} were trimmed")]
    Trimmed {
        /// Sequence of the first record left.
        first: u64,
    },
    /// The log is not reachable, or ends before the record asked for.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
}

/// A trim was not done.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// There is no record `up_to` yet.
    #[error("cannot trim to {up_to}: the log ends at {last}")]
    BeyondLast {
        /// What was asked.
        up_to: u64,
        /// Where the log ends.
        last: u64,
    },
    /// The log is not reachable.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
}
