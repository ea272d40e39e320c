use broker::{Log as _, Store as _, embedded::Embedded};
use proto::log::v1::{Event, Message, event::Kind};

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
    codec::seal(&RoomValue {
        format: VALUE_FORMAT,
        applied,
        room: "a".to_owned(),
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
    assert_eq!(checkpoint(&broker).await.epoch, 5);
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
    assert_eq!((restored.rooms, restored.raised), (1, 0));
    let checkpoint = checkpoint(&broker).await;
    assert_eq!((checkpoint.log, checkpoint.epoch), (9, 5));
}
