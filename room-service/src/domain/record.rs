//! Records of the log, and why one cannot be folded.

use bytes::{BufMut as _, Bytes, BytesMut};
use proto::{
    RoomId,
    log::v1::{COMMIT_FORMAT, Commit, CommitFrame, CommitPart, RoomEvents},
};

use super::codec::{self, Damaged};

/// Bytes of the frame's length.
const LENGTH_BYTES: usize = 4;

/// Why a record, or a room's part of it, cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The frame is none that this version knows: which rooms the record changes is not known either, so
    /// this process cannot own the partition.
    #[error("record {log_seq} of the log is not to be folded: {why}")]
    Undecodable {
        /// Where in the log.
        log_seq: u64,
        /// Why.
        why: Damaged,
    },
    /// The events of one room are damaged: this room cannot go on.
    #[error("record {log_seq} of the log, events of room {room:?}: {why}")]
    DamagedPart {
        /// Where in the log.
        log_seq: u64,
        /// The room.
        room: String,
        /// Why.
        why: Damaged,
    },
    /// The events do not continue their room.
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

/// A record of the log whose rooms' events are still encoded.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    /// What stands over them.
    pub(crate) frame: CommitFrame,
    /// Each room's events as [`open_part`] takes them.
    pub(crate) parts: Vec<(RoomId, Bytes)>,
}

/// Encodes a record.
pub(crate) fn encode(commit: &Commit) -> Bytes {
    let parts: Vec<Bytes> = commit.rooms.iter().map(seal_part).collect();
    let place = |(events, part): (&RoomEvents, &Bytes)| CommitPart {
        room: events.room.clone(),
        bytes: length(part),
    };
    let frame = codec::seal(&CommitFrame {
        format: commit.format,
        epoch: commit.epoch,
        owner: commit.owner.clone(),
        ts_ms: commit.ts_ms,
        parts: commit.rooms.iter().zip(&parts).map(place).collect(),
    });
    let bytes = LENGTH_BYTES + frame.len() + parts.iter().map(Bytes::len).sum::<usize>();
    let mut record = BytesMut::with_capacity(bytes);
    record.put_u32_le(length(&frame));
    record.put(frame);
    for part in parts {
        record.put(part);
    }
    record.freeze()
}

/// Decodes the frame of a record and finds its parts.
///
/// # Errors
/// [`FoldError::Undecodable`]; damage to a part shows when that is opened.
pub(crate) fn open(log_seq: u64, record: &Bytes) -> Result<Record, FoldError> {
    split(record).map_err(|why| FoldError::Undecodable { log_seq, why })
}

fn split(record: &Bytes) -> Result<Record, Damaged> {
    let length = record.first_chunk::<LENGTH_BYTES>();
    let length = length.ok_or(Damaged::CheckSum)?;
    let mut at = LENGTH_BYTES;
    let mut take = |bytes: u32| {
        // A record that was cut has its last parts cut: they are damaged, and the others are not.
        let from = at.min(record.len());
        at = at.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
        record.slice(from..at.min(record.len()))
    };
    let frame = codec::open(
        &take(u32::from_le_bytes(*length)),
        |frame: &CommitFrame| frame.format,
        COMMIT_FORMAT,
    )?;
    let part = |part: &CommitPart| match RoomId::parse(&part.room) {
        Ok(room) => Ok((room, take(part.bytes))),
        Err(error) => Err(Damaged::Undecodable(format!("room: {error}"))),
    };
    let parts = frame.parts.iter().map(part).collect::<Result<_, _>>()?;
    Ok(Record { frame, parts })
}

/// Encodes a room's part of a record.
pub(super) fn seal_part(events: &RoomEvents) -> Bytes {
    codec::seal(events)
}

/// Decodes a room's part of a record.
///
/// # Errors
/// [`FoldError::DamagedPart`].
pub(crate) fn open_part(
    log_seq: u64,
    room: &RoomId,
    part: &Bytes,
) -> Result<RoomEvents, FoldError> {
    let damaged = |why| FoldError::DamagedPart {
        log_seq,
        room: room.to_string(),
        why,
    };
    let events: RoomEvents = codec::decode(part).map_err(damaged)?;
    if events.room != room.as_str() {
        let words = "they are of another room".to_owned();
        return Err(damaged(Damaged::Undecodable(words)));
    }
    Ok(events)
}

/// Records are under a mebibyte (the broker port's bound).
fn length(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
