//! Changes of the store, and how those who asked for them hear what became of them.

use bytes::Bytes;
use redb::Database;
use tokio::sync::oneshot;

use super::index;
use crate::{Put, Revision, StoreError, embedded::transaction};

/// One change, and whom to tell its outcome.
pub(super) enum Change {
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
    /// Makes durable that what is superseded is overwritten.
    Erase {
        done: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Overwrites all that is no current value.
    Scrub {
        done: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// What became of a change, once the transaction is on disk.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Written(Revision),
    Conflict(Revision),
    Purged,
    /// What is superseded is to be overwritten on disk before it is told.
    Erased,
    /// All that is no value is to be.
    Scrubbed,
}

impl Change {
    /// Whoever asked may have gone; that is theirs to know.
    pub(super) fn tell(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Put { done, .. }, Outcome::Written(revision)) => {
                let _ = done.send(Put::Written(revision));
            }
            (Self::Put { done, .. }, Outcome::Conflict(revision)) => {
                let _ = done.send(Put::Conflict { revision });
            }
            (Self::Purge { done, .. } | Self::Erase { done } | Self::Scrub { done }, _) => {
                let _ = done.send(Ok(()));
            }
            // An outcome is made from its change, so there is no other pair.
            (Self::Put { .. }, _) => {}
        }
    }
}

impl transaction::Change for Change {
    fn is_absent(&self, database: &Database) -> bool {
        match self {
            Self::Put {
                pp, key, expected, ..
            } => index::entry(database, *pp, key).is_ok_and(|found| {
                found.map_or(Revision::NONE, |found| found.revision) == *expected
            }),
            Self::Purge { .. } | Self::Erase { .. } | Self::Scrub { .. } => false,
        }
    }

    fn fail(self, why: &str, may_be_written: bool) {
        let why = why.to_owned();
        match self {
            Self::Put { done, .. } if may_be_written => {
                let _ = done.send(Put::Unclear);
            }
            Self::Put { done, .. } => {
                let _ = done.send(Put::Refused { why });
            }
            Self::Purge { done, .. } | Self::Erase { done } | Self::Scrub { done } => {
                let _ = done.send(Err(StoreError::Unavailable(why)));
            }
        }
    }
}
