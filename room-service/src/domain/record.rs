//! Records of the log, and why one cannot be folded.

use prost::Message as _;
use proto::log::v1::{COMMIT_FORMAT, Commit};

/// A record that cannot be folded: this process cannot own the partition.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The bytes are no commit.
    #[error("record {log_seq} is no commit: {why}")]
    Undecodable {
        /// Where in the log.
        log_seq: u64,
        /// Why.
        why: String,
    },
    /// A newer version wrote it.
    #[error(
        "record {log_seq} has format {format}, this version knows {COMMIT_FORMAT} (TOO_OLD): \
         start a newer version"
    )]
    TooOld {
        /// Where in the log.
        log_seq: u64,
        /// Its format.
        format: u32,
    },
    /// It does not continue its room.
    #[error("record {log_seq}: room {room:?} goes on with seq {found}, expected {expected}")]
    Discontinuous {
        /// Where in the log.
        log_seq: u64,
        /// The room.
        room: String,
        /// What should have come.
        expected: u64,
        /// What came.
        found: u64,
    },
}

/// Decodes a record of the log.
///
/// # Errors
/// When it is no commit, or one of a newer format.
pub(crate) fn decode(log_seq: u64, record: &[u8]) -> Result<Commit, FoldError> {
    let commit = Commit::decode(record).map_err(|error| FoldError::Undecodable {
        log_seq,
        why: error.to_string(),
    })?;
    match commit.format {
        0 => Err(FoldError::Undecodable {
            log_seq,
            why: "it names no format".to_owned(),
        }),
        format if format > COMMIT_FORMAT => Err(FoldError::TooOld { log_seq, format }),
        _ => Ok(commit),
    }
}
