//! Changes of the logs, and how those who asked for them hear what became of them.

use bytes::Bytes;
use redb::Database;
use tokio::sync::oneshot;

use super::bounds;
use crate::{Append, StoreError, TrimError, embedded::transaction};

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
    /// Of the file, not of a log: done after the transaction.
    Scrub {
        done: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// What became of a change, once the transaction is on disk.
pub(super) enum Outcome {
    Written(u64),
    Conflict(u64),
    Trimmed(Result<(), TrimError>),
    Scrubbed(Result<(), StoreError>),
}

impl Change {
    /// Whoever asked may have gone; that is theirs to know.
    pub(super) fn tell(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Append { done, .. }, Outcome::Written(seq)) => {
                let _ = done.send(Append::Written(seq));
            }
            (Self::Append { done, .. }, Outcome::Conflict(last)) => {
                let _ = done.send(Append::Conflict { last });
            }
            (Self::Trim { done, .. }, Outcome::Trimmed(result)) => {
                let _ = done.send(result);
            }
            (Self::Scrub { done, .. }, Outcome::Scrubbed(result)) => {
                let _ = done.send(result);
            }
            // An outcome is made from its change, so there is no other pair.
            _ => {}
        }
    }
}

impl transaction::Change for Change {
    fn is_absent(&self, database: &Database) -> bool {
        match self {
            Self::Append {
                pp, expected_last, ..
            } => bounds(database, *pp).is_ok_and(|(last, _)| last <= *expected_last),
            Self::Trim { .. } | Self::Scrub { .. } => false,
        }
    }

    fn fail(self, why: &str, may_be_written: bool) {
        let why = why.to_owned();
        match self {
            Self::Append { done, .. } if may_be_written => {
                let _ = done.send(Append::Unclear);
            }
            Self::Append { done, .. } => {
                let _ = done.send(Append::Refused { why });
            }
            Self::Trim { done, .. } => {
                let _ = done.send(Err(TrimError::Unavailable(why)));
            }
            Self::Scrub { done } => {
                let _ = done.send(Err(StoreError::Unavailable(why)));
            }
        }
    }
}
