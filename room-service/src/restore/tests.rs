use broker::{Log as _, Store as _, embedded::Embedded};
use proto::log::v1::{Event, Message, RoomEvents, event::Kind};

use super::*;

const PP: PartitionId = PartitionId::Rooms(0);

fn events(from: u64, to: u64) -> Vec<Event> {
    let event = |seq| Event {
        seq,
        kind: Some(Kind::Message(Message::default())),
        ..Event::default()
    };
    (from..=to).map(event).collect()
}

fn record(head: u64, applied: u64) -> Bytes {
    record_of("a", head, applied)
}

fn record_of(room: &str, head: u64, applied: u64) -> Bytes {
    codec::seal(&RoomValue {
        format: VALUE_FORMAT,
        applied,
        room: room.to_owned(),
        r#gen: "old".to_owned(),
        head,
        oldest: 1,
        open: events(head / 64 * 64 + 1, head),
        ..RoomValue::default()
    })
}

fn page(number: u64, applied: u64) -> Bytes {
    codec::seal(&PageValue {
        format: VALUE_FORMAT,
        applied,
        r#gen: "old".to_owned(),
        number,
        events: events(number * 64 + 1, number * 64 + 64),
        ..PageValue::default()
    })
}

async fn broker(values: Vec<(&str, Bytes)>, records: u64) -> Embedded {
    let broker = Embedded::in_memory().unwrap();
    broker.provision(&[PP]).await.unwrap();
    for (key, value) in values {
        let put = broker.put(PP, key, value, Revision::NONE).await;
        assert!(matches!(put, Put::Written(_)));
    }
    for at in 0..records {
        let commit = Commit {
            format: COMMIT_FORMAT,
            epoch: 4,
            ..Commit::default()
        };
        broker.append(PP, at, encode(&commit)).await;
    }
    broker
}

async fn room(broker: &Embedded) -> RoomValue {
    let value = broker.get(PP, "room.a").await.unwrap().unwrap();
    codec::open(&value.bytes, |v: &RoomValue| v.format, VALUE_FORMAT).unwrap()
}

async fn checkpoint(broker: &Embedded) -> Checkpoint {
    let value = broker.get(PP, "ckpt").await.unwrap().unwrap();
    codec::open(&value.bytes, |v: &Checkpoint| v.format, VALUE_FORMAT).unwrap()
}

#[tokio::test]
async fn where_log_and_store_fit_nothing_is_done() {
    let broker = broker(vec![("room.a", record(10, 3))], 5).await;
    assert_eq!(restore(&broker, PP).await.unwrap(), None);
    assert_eq!(room(&broker).await.r#gen, "old");
}

#[tokio::test]
async fn a_log_from_before_the_store_is_raised_to_it() {
    let values = vec![("room.a", record(100, 40)), ("page.a.0", page(0, 30))];
    let broker = broker(values, 5).await;
    let restored = restore(&broker, PP).await.unwrap().unwrap();
    let expected = Restored {
        rooms: 1,
        raised: 35,
        cut: 0,
    };
    assert_eq!(restored, expected);
    assert_eq!(broker.last(PP).await.unwrap(), 40);
    let room = room(&broker).await;
    assert_eq!((room.head, room.open.len()), (100, 36));
    assert_ne!(room.r#gen, "old");
    let page = broker.get(PP, "page.a.0").await.unwrap().unwrap();
    let page = codec::open(&page.bytes, |v: &PageValue| v.format, VALUE_FORMAT).unwrap();
    assert_eq!(page.r#gen, room.r#gen);
    assert!(checkpoint(&broker).await.epoch > 4);
    assert_eq!(restore(&broker, PP).await.unwrap(), None, "once is enough");
}

#[tokio::test]
async fn a_room_is_cut_at_a_hole_and_a_page_beats_the_copy_in_the_record() {
    let values = vec![
        ("room.a", record(200, 50)),
        ("page.a.0", page(0, 30)),
        ("page.a.2", page(2, 48)),
    ];
    let cut = broker(values, 5).await;
    assert_eq!(restore(&cut, PP).await.unwrap().unwrap().cut, 136);
    assert_eq!(room(&cut).await.head, 64);
    assert_eq!(cut.get(PP, "page.a.2").await.unwrap(), None);
    let values = vec![("room.a", record(60, 20)), ("page.a.0", page(0, 50))];
    let grown = broker(values, 5).await;
    assert_eq!(restore(&grown, PP).await.unwrap().unwrap().cut, 0);
    let room = room(&grown).await;
    assert_eq!((room.head, room.open.len()), (64, 0));
}

#[tokio::test]
async fn a_log_that_begins_behind_the_checkpoint_is_left_behind() {
    let broker = broker(vec![("room.a", record(10, 2))], 9).await;
    broker.trim(PP, 6).await.unwrap();
    let restored = restore(&broker, PP).await.unwrap().unwrap();
    assert_eq!((restored.rooms, restored.raised), (1, 1));
    assert_eq!(checkpoint(&broker).await.log, 10);
}

fn commit(epoch: u64, rooms: &[(&str, u64, u64)]) -> Bytes {
    let of = |(room, from, to): &(&str, u64, u64)| RoomEvents {
        room: (*room).to_owned(),
        r#gen: "old".to_owned(),
        events: events(*from, *to),
        ..RoomEvents::default()
    };
    encode(&Commit {
        format: COMMIT_FORMAT,
        epoch,
        rooms: rooms.iter().map(of).collect(),
        ..Commit::default()
    })
}

async fn append(broker: &Embedded, record: impl Into<Bytes>) {
    let last = broker.last(PP).await.unwrap();
    let appended = broker.append(PP, last, record.into()).await;
    assert_eq!(appended, Append::Written(last + 1));
}

/// A room as an owner would serve it that claims now: its numbering and its head.
async fn claimed(broker: &Embedded, room: &str) -> (String, u64) {
    let from = checkpoint(broker).await.log + 1;
    let last = broker.last(PP).await.unwrap();
    let mut reader = broker.read(PP, from, last);
    while let Some((log_seq, record)) = reader.next().await.unwrap() {
        let left = crate::domain::open(log_seq, &record).unwrap();
        assert_eq!(left.parts, [], "nothing of the log is left to fold");
    }
    let value = broker.get(PP, &format!("room.{room}")).await.unwrap();
    let Some(value) = value else {
        return (String::new(), 0);
    };
    let value = codec::open(&value.bytes, |v: &RoomValue| v.format, VALUE_FORMAT).unwrap();
    assert!(value.applied <= last);
    (value.r#gen, value.head)
}

#[tokio::test]
async fn an_epoch_that_only_a_trimmed_record_knew_is_not_used_again() {
    let old = Checkpoint {
        format: VALUE_FORMAT,
        log: 3,
        epoch: 2,
        owner: "of the back-up".to_owned(),
    };
    let values = vec![("ckpt", codec::seal(&old)), ("room.a", record(10, 3))];
    let broker = broker(values, 0).await;
    for epoch in 1..=9 {
        append(&broker, commit(epoch, &[])).await;
    }
    broker.trim(PP, 9).await.unwrap();
    restore(&broker, PP).await.unwrap().unwrap();
    assert!(checkpoint(&broker).await.epoch > 9);
    // And so on, whatever was restored before.
    for _ in 0..3 {
        let (last, found) = (broker.last(PP).await.unwrap(), checkpoint(&broker).await);
        assert!(
            found.epoch <= last,
            "a claim's epoch is no higher than its record"
        );
        append(&broker, commit(found.epoch + 1, &[])).await;
        broker.trim(PP, last + 1).await.unwrap();
        let revision = broker.get(PP, "ckpt").await.unwrap().unwrap().revision;
        broker.put(PP, "ckpt", codec::seal(&old), revision).await;
        restore(&broker, PP).await.unwrap().unwrap();
        assert!(checkpoint(&broker).await.epoch > found.epoch + 1);
    }
}

#[tokio::test]
async fn a_log_that_a_cut_room_cannot_go_on_with_is_folded_for_the_others() {
    let values = vec![
        ("room.a", record(200, 50)),
        ("page.a.0", page(0, 30)),
        ("page.a.2", page(2, 48)),
    ];
    let broker = broker(values, 0).await;
    append(&broker, commit(4, &[("a", 201, 205), ("b", 1, 70)])).await;
    append(&broker, commit(4, &[("b", 71, 72), ("a", 206, 206)])).await;
    let restored = restore(&broker, PP).await.unwrap().unwrap();
    assert_eq!((restored.rooms, restored.cut), (2, 206 - 64));
    let (generation, head) = claimed(&broker, "a").await;
    assert_eq!(head, 64);
    assert_ne!(generation, "old");
    assert_eq!(claimed(&broker, "b").await.1, 72);
    assert!(broker.get(PP, "page.b.0").await.unwrap().is_some());
    assert_eq!(restore(&broker, PP).await.unwrap(), None, "once is enough");
}

#[tokio::test]
async fn a_room_that_the_log_is_damaged_for_is_cut_there_and_no_other() {
    let values = vec![("room.a", record(10, 1)), ("room.b", record_of("b", 10, 1))];
    let broker = broker(values, 1).await;
    append(&broker, commit(4, &[("a", 11, 12), ("b", 11, 13)])).await;
    let mut damaged = commit(4, &[("a", 13, 13), ("b", 14, 14)]).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    append(&broker, damaged).await;
    append(&broker, commit(5, &[("a", 14, 14), ("b", 15, 16)])).await;
    let restored = restore(&broker, PP).await.unwrap().unwrap();
    assert_eq!((restored.rooms, restored.cut), (1, 3));
    assert_eq!(claimed(&broker, "a").await, ("old".to_owned(), 14));
    let (generation, head) = claimed(&broker, "b").await;
    assert_eq!(head, 13, "what came before the damage is kept");
    assert_ne!(generation, "old");
    assert_eq!(restore(&broker, PP).await.unwrap(), None, "once is enough");
}

#[tokio::test]
async fn a_record_that_nobody_can_read_concerns_every_room_and_ends_those_that_were_in_it() {
    let values = vec![("room.a", record(10, 1)), ("room.b", record_of("b", 10, 1))];
    let broker = broker(values, 1).await;
    append(&broker, commit(4, &[("a", 11, 12), ("b", 11, 13)])).await;
    let mut damaged = commit(4, &[("b", 14, 14)]).to_vec();
    damaged[16] ^= 1;
    append(&broker, damaged).await;
    append(
        &broker,
        commit(5, &[("a", 13, 14), ("b", 15, 16), ("c", 1, 2)]),
    )
    .await;
    let restored = restore(&broker, PP).await.unwrap().unwrap();
    assert_eq!((restored.rooms, restored.cut), (3, 3));
    for (room, expected) in [("a", 14), ("b", 13), ("c", 2)] {
        let (generation, head) = claimed(&broker, room).await;
        assert_eq!(head, expected, "{room}");
        assert_ne!(generation, "old");
    }
    assert_eq!(restore(&broker, PP).await.unwrap(), None, "once is enough");
}

#[tokio::test]
async fn a_log_of_a_newer_version_is_left_alone() {
    let broker = broker(vec![("room.a", record(10, 9))], 1).await;
    let newer = Commit {
        format: COMMIT_FORMAT + 1,
        ..Commit::default()
    };
    append(&broker, encode(&newer)).await;
    let error = restore(&broker, PP).await.unwrap_err();
    assert!(
        error.to_string().contains("start a newer version"),
        "{error}"
    );
    assert_eq!(room(&broker).await.r#gen, "old");
}
