//! The room service over the embedded broker, by the messages that gateways send.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use broker::{
    Append, Bus as _, Delivery, Log as _, ReadError, Reader as _, Store as _, Subscription as _,
    embedded::Embedded,
};
use prometheus_client::registry::Registry;
use prost::Message as _;
use proto::{
    PartitionCount, PartitionId, RoomId,
    bus::v1::{Announcement, Fanout, Heads, History, Meta, Read, history::Place, reply, request},
    subject::Subjects,
};
use room_service::{Options, RoomService};
use tokio_util::sync::CancellationToken;

mod records;
mod running;

use records::{claim, record};
use running::{SECOND, bytes, options, start};

fn seq(result: &reply::Result) -> (u64, bool) {
    match result {
        reply::Result::Acked(acked) => (acked.seq, acked.dup),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_send_is_acked_after_it_is_durable_and_then_published() {
    let running = start(Embedded::in_memory().unwrap(), "a", true).await;
    let room = RoomId::parse("lobby").unwrap();
    let subject = Subjects::default().outbound(PartitionId::Rooms(0), &room);
    let mut out = running.broker.subscribe(&subject).await.unwrap();
    assert_eq!(seq(&running.send("c1").await), (1, false));
    let Some(Delivery::Message(message)) = out.next().await else {
        panic!("nothing published")
    };
    let fanout = Fanout::decode(message.payload).unwrap();
    assert_eq!((fanout.room.as_str(), fanout.events[0].seq), ("lobby", 1));
    assert_eq!(fanout.r#gen.len(), 8);
    assert_eq!(running.head().await, 1);
    assert!(running.broker.last(PartitionId::Rooms(0)).await.unwrap() >= 2);
    running.stop().await;
}

#[tokio::test]
async fn a_restarted_service_folds_the_log_and_raises_the_epoch() {
    let broker = Embedded::in_memory().unwrap();
    let first = start(broker.clone(), "a", true).await;
    let before = first.epoch().await;
    first.send("c1").await;
    first.stop().await;
    let second = start(broker, "a", true).await;
    assert_eq!(second.epoch().await, before + 1);
    assert_eq!(seq(&second.send("c1").await), (1, true));
    assert_eq!(seq(&second.send("c2").await), (2, false));
    second.stop().await;
}

#[tokio::test]
async fn an_owner_that_meets_a_higher_epoch_in_the_log_writes_nothing_more() {
    let broker = Embedded::in_memory().unwrap();
    let running = start(broker.clone(), "a", true).await;
    running.send("c1").await;
    let pp = PartitionId::Rooms(0);
    let epoch = running.epoch().await;
    let last = broker.last(pp).await.unwrap();
    let claimed = broker.append(pp, last, claim(epoch + 1)).await;
    assert_eq!(claimed, Append::Written(last + 1));
    match running.send("c2").await {
        reply::Result::NotOwner(not_owner) => assert_eq!(not_owner.epoch, epoch + 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(broker.last(pp).await.unwrap(), last + 1);
    running.stop().await;
}

#[tokio::test]
async fn an_owner_that_meets_a_record_it_cannot_read_answers_everybody_at_once() {
    let broker = Embedded::in_memory().unwrap();
    let running = start(broker.clone(), "a", true).await;
    running.send("c1").await;
    let pp = PartitionId::Rooms(0);
    let mut damaged = claim(9).to_vec();
    damaged[20] ^= 1;
    let last = broker.last(pp).await.unwrap();
    broker.append(pp, last, damaged.into()).await;
    match running.send("c2").await {
        reply::Result::Refused(refused) => assert_eq!(refused.code, "UNAVAILABLE"),
        other => panic!("{other:?}"),
    }
    // Whoever asks for the owner is told that there is none.
    let subject = Subjects::default().who(pp);
    let asked = broker.request(&subject, bytes(), None, SECOND).await;
    let answer = Announcement::decode(asked.unwrap()).unwrap();
    assert_eq!(
        (answer.partitions.len(), answer.cannot_own),
        (0, vec!["0".to_owned()])
    );
    running.stop().await;
}

#[tokio::test]
async fn damage_in_a_record_refuses_the_room_it_is_of() {
    let broker = Embedded::in_memory().unwrap();
    start(broker.clone(), "a", true).await.stop().await;
    let pp = PartitionId::Rooms(0);
    let last = broker.last(pp).await.unwrap();
    let mut damaged = record(5, &["other", "lobby"]);
    *damaged.last_mut().unwrap() ^= 1;
    broker.append(pp, last, damaged.into()).await;
    let running = start(broker, "a", true).await;
    for cid in ["c1", "c2"] {
        match running.send(cid).await {
            reply::Result::Refused(refused) => assert_eq!(refused.code, "INTERNAL"),
            other => panic!("{other:?}"),
        }
    }
    let read = Read {
        limit: 50,
        ..Read::default()
    };
    match running.ask_in("other", request::Op::Read(read)).await {
        reply::Result::Room(room) => assert_eq!((room.head, room.r#gen.as_str()), (1, "other")),
        other => panic!("{other:?}"),
    }
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &running.registry).unwrap();
    assert!(metrics.contains("parlor_room_service_broken_rooms_total 1"));
    running.stop().await;
}

#[tokio::test]
async fn a_second_service_stands_by_and_claims_when_the_first_ends() {
    let broker = Embedded::in_memory().unwrap();
    let first = start(broker.clone(), "a", true).await;
    first.send("c1").await;
    let epoch = first.epoch().await;
    let second = start(broker, "b", false).await;
    assert_eq!(second.epoch().await, epoch, "it is the first's still");
    first.stop().await;
    let claimed = async {
        while second.try_epoch().await != Some(epoch + 1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SECOND, claimed)
        .await
        .expect("it claims");
    assert_eq!(seq(&second.send("c1").await), (1, true));
    second.stop().await;
}

#[tokio::test]
async fn an_idle_partition_is_stored_in_pages_and_its_log_trimmed_to_the_end() {
    let broker = Embedded::in_memory().unwrap();
    let running = start(broker.clone(), "a", true).await;
    for n in 1..=150 {
        running.send(&format!("c{n}")).await;
    }
    let pp = PartitionId::Rooms(0);
    let last = broker.last(pp).await.unwrap();
    let trimmed = async {
        while !matches!(
            broker.read(pp, last, last).next().await,
            Err(ReadError::Trimmed { first }) if first == last + 1
        ) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), trimmed)
        .await
        .expect("the log is trimmed to its end");
    for key in ["page.lobby.0", "page.lobby.1", "room.lobby", "ckpt"] {
        assert!(broker.get(pp, key).await.unwrap().is_some(), "{key}");
    }
    running.stop().await;
    let running = start(broker.clone(), "a", true).await;
    assert_eq!(seq(&running.send("c3").await), (3, true));
    assert_eq!(seq(&running.send("new").await), (151, false));
    let history = History {
        place: Some(Place::Before(70)),
        limit: 10,
        min_seq: 151,
    };
    let room = running.room(request::Op::History(history)).await;
    let seqs: Vec<_> = room.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (60..70).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test]
async fn heads_are_told_each_second_also_when_there_are_none() {
    let running = start(Embedded::in_memory().unwrap(), "a", true).await;
    let subject = Subjects::default().heads(PartitionId::Rooms(0));
    let mut told = running.broker.subscribe(&subject).await.unwrap();
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let Some(Delivery::Message(message)) = told.next().await else {
            panic!("no heads")
        };
        let heads = Heads::decode(message.payload).unwrap();
        assert_eq!(heads.epoch, running.epoch().await);
        rooms.push(heads.rooms.len());
        running.send("c").await;
    }
    assert_eq!(rooms, [0, 1, 1]);
    running.stop().await;
}

#[tokio::test]
async fn the_installation_is_made_once_and_told_to_gateways() {
    let broker = Embedded::in_memory().unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let running = start(broker.clone(), "a", true).await;
        let subject = Subjects::default().meta_get();
        let answer = broker
            .request(&subject, bytes(), None, SECOND)
            .await
            .unwrap();
        let meta = Meta::decode(answer).unwrap();
        assert_eq!((meta.partitions, meta.guest_key.len()), (1, 32));
        keys.push(meta.guest_key);
        running.stop().await;
    }
    assert_eq!(keys[0], keys[1]);
    let wrong = Options {
        partitions: PartitionCount::new(2).ok(),
        ..options("a", true)
    };
    let service = RoomService::bind(wrong, broker, &mut Registry::default())
        .await
        .unwrap();
    let error = service.run(CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("--partitions 2"), "{error}");
}
