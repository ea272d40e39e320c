//! Records of the log, and why one cannot be folded.

use bytes::Bytes;
use prost::Message as _;
use proto::log::v1::{COMMIT_FORMAT, Commit};

use super::codec::{self, Damaged};

/// The last format without a check sum.
const LAST_BARE_FORMAT: u32 = 1;

/// A record that cannot be folded: this process cannot own the partition.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The bytes are no commit that this version knows.
    #[error("record {log_seq} of the log is not to be folded: {why}")]
    Undecodable {
        /// Where in the log.
        log_seq: u64,
        /// Why.
        why: Damaged,
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
    /// Log and store are not of one time: one of them was restored, lost or exchanged.
    #[error(
        "LOG_STORE_MISMATCH: {0}; nothing is served until they agree: see `parlor doctor restore`"
    )]
    Mismatch(String),
}

/// Encodes a record.
pub(crate) fn encode(commit: &Commit) -> Bytes {
    codec::seal(commit)
}

/// Decodes a record of the log.
///
/// # Errors
/// When it is no commit, or one of a newer format.
pub(crate) fn decode(log_seq: u64, record: &Bytes) -> Result<Commit, FoldError> {
    decode_bytes(record).map_err(|why| FoldError::Undecodable { log_seq, why })
}

fn decode_bytes(record: &Bytes) -> Result<Commit, Damaged> {
    let (body, is_sealed) = codec::unseal(record)?;
    let commit = Commit::decode(body).map_err(|error| Damaged::Undecodable(error.to_string()))?;
    check_format(commit.format, is_sealed)?;
    Ok(commit)
}

/// Whether a record of this format is to be taken.
///
/// # Errors
/// [`Damaged`].
pub(super) fn check_format(format: u32, is_sealed: bool) -> Result<(), Damaged> {
    match format {
        0 => Err(Damaged::Undecodable("it names no format".to_owned())),
        format if format > COMMIT_FORMAT => Err(Damaged::TooNew {
            format,
            known: COMMIT_FORMAT,
        }),
        format if format > LAST_BARE_FORMAT && !is_sealed => Err(Damaged::CheckSum),
        _ => Ok(()),
    }
}
