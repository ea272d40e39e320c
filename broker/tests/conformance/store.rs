//! The store: compare-and-set, and keys by whole tokens.

use broker::{MAX_RECORD, Put, Revision, Scan as _, Store, StoreError};
use bytes::Bytes;
use proto::PartitionId;

use crate::fixture::{Fixture, OTHER, PP, put};

pub(crate) async fn a_key_without_a_value_is_none(fixture: impl Fixture) {
    let broker = fixture.broker();
    assert_eq!(broker.get(PP, "room.hall").await.unwrap(), None);
    assert_eq!(broker.scan(PP, "room").all().await.unwrap(), []);
    assert_eq!(broker.scan(PP, "").all().await.unwrap(), []);
}

pub(crate) async fn a_put_must_expect_the_revision_that_is_there(fixture: impl Fixture) {
    let broker = fixture.broker();
    let unexpected = Revision(1_000_000);
    let put_to_none = broker.put(PP, "k", "x".into(), unexpected).await;
    assert_eq!(
        put_to_none,
        Put::Conflict {
            revision: Revision::NONE
        }
    );
    let first = put(&broker, PP, "k", "one", Revision::NONE).await;
    for wrong in [Revision::NONE, unexpected] {
        let conflict = broker.put(PP, "k", "x".into(), wrong).await;
        assert_eq!(conflict, Put::Conflict { revision: first });
    }
    let second = put(&broker, PP, "k", "two", first).await;
    assert_ne!(first, second);
    let conflict = broker.put(PP, "k", "x".into(), first).await;
    assert_eq!(conflict, Put::Conflict { revision: second });
    let stored = broker.get(PP, "k").await.unwrap().unwrap();
    assert_eq!(
        (stored.bytes, stored.revision),
        (Bytes::from("two"), second)
    );
}

pub(crate) async fn of_competing_puts_one_wins(fixture: impl Fixture) {
    let brokers = [fixture.broker(), fixture.another().await];
    let mut revision = Revision::NONE;
    for _ in 0..50 {
        let (a, b) = tokio::join!(
            brokers[0].put(PP, "ckpt", "a".into(), revision),
            brokers[1].put(PP, "ckpt", "b".into(), revision),
        );
        let stored = brokers[0].get(PP, "ckpt").await.unwrap().unwrap();
        let (winner, won) = match (a, b) {
            (Put::Written(won), Put::Conflict { .. }) => ("a", won),
            (Put::Conflict { .. }, Put::Written(won)) => ("b", won),
            other => panic!("{other:?}"),
        };
        assert_eq!((stored.bytes, stored.revision), (Bytes::from(winner), won));
        revision = stored.revision;
    }
}

pub(crate) async fn another_process_sees_a_put_at_once(fixture: impl Fixture) {
    let (broker, another) = (fixture.broker(), fixture.another().await);
    let mut revision = Revision::NONE;
    for _ in 0..50 {
        revision = put(&broker, PP, "ckpt", "x", revision).await;
        assert_eq!(
            another.get(PP, "ckpt").await.unwrap().unwrap().revision,
            revision
        );
    }
}

pub(crate) async fn a_purge_takes_whole_tokens(fixture: impl Fixture) {
    let broker = fixture.broker();
    for key in [
        "page.a",
        "page.a.1",
        "page.a.2.x",
        "page.ab",
        "page.ab.1",
        "page.a-",
        "pag",
    ] {
        put(&broker, PP, key, "x", Revision::NONE).await;
    }
    put(&broker, OTHER, "page.a", "x", Revision::NONE).await;
    broker.purge(PP, "page.a").await.unwrap();
    broker.purge(PP, "page.a").await.unwrap();
    broker.purge(PP, "nothing.here").await.unwrap();
    assert_eq!(
        keys(&broker, "").await,
        ["pag", "page.a-", "page.ab", "page.ab.1"]
    );
    assert_eq!(broker.get(PP, "page.a.1").await.unwrap(), None);
    assert!(broker.get(OTHER, "page.a").await.unwrap().is_some());
}

pub(crate) async fn a_purged_key_begins_anew_with_another_revision(fixture: impl Fixture) {
    let broker = fixture.broker();
    let first = put(&broker, PP, "room.hall", "one", Revision::NONE).await;
    broker.purge(PP, "room.hall").await.unwrap();
    assert_eq!(broker.get(PP, "room.hall").await.unwrap(), None);
    let stale = broker.put(PP, "room.hall", "x".into(), first).await;
    assert_eq!(
        stale,
        Put::Conflict {
            revision: Revision::NONE
        }
    );
    let second = put(&broker, PP, "room.hall", "two", Revision::NONE).await;
    assert_ne!(first, second);
    let stale = broker.put(PP, "room.hall", "x".into(), first).await;
    assert_eq!(stale, Put::Conflict { revision: second });
}

pub(crate) async fn a_scan_gives_what_is_at_and_below_by_whole_tokens(fixture: impl Fixture) {
    let broker = fixture.broker();
    for key in [
        "room.a", "room.b", "room.a.x", "room.ab", "rooms", "page.a.1",
    ] {
        put(&broker, PP, key, "x", Revision::NONE).await;
    }
    put(&broker, OTHER, "room.z", "x", Revision::NONE).await;
    assert_eq!(keys(&broker, "room.a").await, ["room.a", "room.a.x"]);
    assert_eq!(
        keys(&broker, "room").await,
        ["room.a", "room.a.x", "room.ab", "room.b"]
    );
    assert_eq!(keys(&broker, "roo").await, [""; 0]);
    assert_eq!(keys(&broker, "").await.len(), 6);
}

pub(crate) async fn a_scan_gives_many_values(fixture: impl Fixture) {
    let broker = fixture.broker();
    let mut expected = Vec::new();
    for number in 0..500 {
        let key = format!("room.r{number:03}");
        let value = Bytes::from(number.to_string());
        let Put::Written(revision) = broker.put(PP, &key, value.clone(), Revision::NONE).await
        else {
            panic!("{key} was not written");
        };
        expected.push((key, value, revision));
    }
    let scanned = broker.scan(PP, "room").all().await.unwrap();
    let mut scanned: Vec<_> = scanned
        .into_iter()
        .map(|(key, value)| (key, value.bytes, value.revision))
        .collect();
    scanned.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(scanned, expected);
}

pub(crate) async fn a_scan_shows_what_stays_while_others_come_and_go(fixture: impl Fixture) {
    let broker = fixture.broker();
    let large = Bytes::from(vec![b'x'; 20_000]);
    for number in 0..200 {
        for key in [format!("room.s{number:03}"), format!("room.t{number:03}")] {
            let written = broker.put(PP, &key, large.clone(), Revision::NONE).await;
            assert!(matches!(written, Put::Written(_)), "{written:?}");
        }
    }
    let mut scan = broker.scan(PP, "room");
    let mut stayed = Vec::new();
    for turn in 0.. {
        let Some((key, value)) = scan.next().await.unwrap() else {
            break;
        };
        assert_eq!(value.bytes, large);
        if key.starts_with("room.s") {
            stayed.push(key);
        }
        if turn < 200 {
            let gone = format!("room.t{:03}", (turn * 7) % 200);
            broker.purge(PP, &gone).await.unwrap();
            let new = format!("room.u{turn:03}");
            broker.put(PP, &new, large.clone(), Revision::NONE).await;
        }
    }
    stayed.sort_unstable();
    let expected: Vec<_> = (0..200)
        .map(|number| format!("room.s{number:03}"))
        .collect();
    assert_eq!(stayed, expected);
}

pub(crate) async fn keys_of_rooms_with_any_name_are_kept_apart(fixture: impl Fixture) {
    let broker = fixture.broker();
    let names = [
        "hall",
        "h-a_l1",
        "~5aSn5buz",
        "~5aSn5buy",
        "~5aSn-_bu",
        "~aA",
        "~Aa",
        "-",
        "_",
    ];
    for name in names {
        put(&broker, PP, &format!("room.{name}"), name, Revision::NONE).await;
    }
    for name in names {
        let stored = broker
            .get(PP, &format!("room.{name}"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.bytes, name);
    }
    assert_eq!(keys(&broker, "room").await.len(), names.len());
}

pub(crate) async fn what_is_no_key_is_refused(fixture: impl Fixture) {
    let broker = fixture.broker();
    for wrong in [
        "", ".", "a.", ".a", "a..b", "a.*", "a.>", ">", "*", "a b", "a\n",
    ] {
        let got = broker.get(PP, wrong).await;
        assert!(
            matches!(got, Err(StoreError::Key(_))),
            "get {wrong:?}: {got:?}"
        );
        let put = broker.put(PP, wrong, "x".into(), Revision::NONE).await;
        assert!(matches!(put, Put::Refused { .. }), "put {wrong:?}: {put:?}");
        let purged = broker.purge(PP, wrong).await;
        assert!(
            matches!(purged, Err(StoreError::Key(_))),
            "purge {wrong:?}: {purged:?}"
        );
        if !wrong.is_empty() {
            let scanned = broker.scan(PP, wrong).all().await;
            assert!(
                matches!(scanned, Err(StoreError::Key(_))),
                "scan {wrong:?}: {scanned:?}"
            );
        }
    }
}

pub(crate) async fn the_largest_value_is_stored_and_a_larger_one_is_refused(fixture: impl Fixture) {
    let broker = fixture.broker();
    let larger = broker
        .put(PP, "k", vec![1; MAX_RECORD + 1].into(), Revision::NONE)
        .await;
    assert!(matches!(larger, Put::Refused { .. }), "{larger:?}");
    assert_eq!(broker.get(PP, "k").await.unwrap(), None);
    let largest = Bytes::from(vec![1; MAX_RECORD]);
    let written = broker.put(PP, "k", largest.clone(), Revision::NONE).await;
    assert!(matches!(written, Put::Written(_)), "{written:?}");
    assert!(broker.get(PP, "k").await.unwrap().unwrap().bytes == largest);
}

pub(crate) async fn partitions_are_apart(fixture: impl Fixture) {
    let broker = fixture.broker();
    put(&broker, PP, "ckpt", "rooms", Revision::NONE).await;
    put(&broker, PartitionId::Meta, "ckpt", "meta", Revision::NONE).await;
    assert_eq!(broker.get(OTHER, "ckpt").await.unwrap(), None);
    broker.purge(PP, "ckpt").await.unwrap();
    assert_eq!(
        broker
            .get(PartitionId::Meta, "ckpt")
            .await
            .unwrap()
            .unwrap()
            .bytes,
        "meta"
    );
    assert_eq!(
        broker
            .scan(PartitionId::Meta, "")
            .all()
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn keys(broker: &impl Store, prefix: &str) -> Vec<String> {
    let scanned = broker.scan(PP, prefix).all().await.unwrap();
    let mut keys: Vec<_> = scanned.into_iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys
}
