//! Records of another owner, as the log has them.

use proto::log::v1::{COMMIT_FORMAT, CommitFrame, CommitPart, Event, RoomEvents};

/// A message behind its check sum.
fn sealed(message: &impl prost::Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let mut sealed = vec![0];
    sealed.extend(xxhash_rust::xxh3::xxh3_64(&body).to_le_bytes());
    sealed.extend(body);
    sealed
}

/// A record of another owner, with a first message in each of these rooms.
pub(crate) fn record(epoch: u64, rooms: &[&str]) -> Vec<u8> {
    let events = |room: &&str| RoomEvents {
        room: (*room).to_owned(),
        r#gen: "other".to_owned(),
        events: vec![Event {
            seq: 1,
            ..Event::default()
        }],
        ..RoomEvents::default()
    };
    let parts: Vec<_> = rooms.iter().map(events).collect();
    let place = |events: &RoomEvents| CommitPart {
        room: events.room.clone(),
        bytes: u32::try_from(sealed(events).len()).unwrap(),
    };
    let frame = sealed(&CommitFrame {
        format: COMMIT_FORMAT,
        epoch,
        owner: "other.1".to_owned(),
        ts_ms: 0,
        parts: parts.iter().map(place).collect(),
    });
    let mut record = u32::try_from(frame.len()).unwrap().to_le_bytes().to_vec();
    record.extend(frame);
    record.extend(parts.iter().flat_map(sealed));
    record
}

/// The record of another owner's claim.
pub(crate) fn claim(epoch: u64) -> bytes::Bytes {
    record(epoch, &[]).into()
}
