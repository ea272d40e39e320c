//! Changes of log and store, and how those who asked for them hear what became of them.

use bytes::Bytes;
use redb::Database;
use tokio::sync::oneshot;

use super::storage::{bounds, revision};
use crate::{Append, Put, Revision, StoreError, TrimError};

/// One change, and whom to tell its outcome.
pub(super) enum Change {
    Append {
        pp: u32,
        expected_last: u64,
        record: Bytes,
        done: oneshot::Sender<Append>,
    },
    Trim {
        pp: u32,
        up_to: u64,
        done: oneshot::Sender<Result<(), TrimError>>,
    },
    Put {
        pp: u32,
        key: String,
        value: Bytes,
        expected: Revision,
        done: oneshot::Sender<Put>,
    },
    Purge {
        pp: u32,
        prefix: String,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// What became of a change, once the transaction is on disk.
pub(super) enum Outcome {
    Written(u64),
    Conflict(u64),
    Trimmed(Result<(), TrimError>),
    Purged,
}

impl Change {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append { record, .. } => record.len(),
            Self::Put { value, .. } => value.len(),
            Self::Trim { .. } | Self::Purge { .. } => 0,
        }
    }

    /// Whether a file that was opened after the change failed shows that it was not made.
    pub(super) fn is_absent(&self, database: &Database) -> bool {
        match self {
            Self::Append {
                pp, expected_last, ..
            } => bounds(database, *pp).is_ok_and(|(last, _)| last <= *expected_last),
            Self::Put {
                pp, key, expected, ..
            } => revision(database, *pp, key).is_ok_and(|found| found == *expected),
            Self::Trim { .. } | Self::Purge { .. } => false,
        }
    }

    /// Whoever asked may have gone; that is theirs to know.
    pub(super) fn tell(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Append { done, .. }, Outcome::Written(seq)) => {
                let _ = done.send(Append::Written(seq));
            }
            (Self::Append { done, .. }, Outcome::Conflict(last)) => {
                let _ = done.send(Append::Conflict { last });
            }
            (Self::Put { done, .. }, Outcome::Written(revision)) => {
                let _ = done.send(Put::Written(Revision(revision)));
            }
            (Self::Put { done, .. }, Outcome::Conflict(revision)) => {
                let _ = done.send(Put::Conflict {
                    revision: Revision(revision),
                });
            }
            (Self::Trim { done, .. }, Outcome::Trimmed(result)) => {
                let _ = done.send(result);
            }
            (Self::Purge { done, .. }, Outcome::Purged) => {
                let _ = done.send(Ok(()));
            }
            // An outcome is made from its change, so there is no other pair.
            _ => {}
        }
    }

    pub(super) fn fail(self, why: &str, may_be_written: bool) {
        let why = why.to_owned();
        match self {
            Self::Append { done, .. } if may_be_written => {
                let _ = done.send(Append::Unclear);
            }
            Self::Append { done, .. } => {
                let _ = done.send(Append::Refused { why });
            }
            Self::Put { done, .. } if may_be_written => {
                let _ = done.send(Put::Unclear);
            }
            Self::Put { done, .. } => {
                let _ = done.send(Put::Refused { why });
            }
            Self::Trim { done, .. } => {
                let _ = done.send(Err(TrimError::Unavailable(why)));
            }
            Self::Purge { done, .. } => {
                let _ = done.send(Err(StoreError::Unavailable(why)));
            }
        }
    }
}
