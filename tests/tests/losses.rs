//! One in ten messages between room service and gateway is lost, and no browser notices.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use broker::testing::NatsServer;
use tests::{
    Journal, Outbox, Parlor, Reader,
    checker::{Phase, check},
    http::get,
    proxy::Lossy,
    reader::Habit,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

/// Between sends in a busy room; and in a quiet one, where nothing follows at once that shows the loss.
const BUSY: Duration = Duration::from_millis(20);
const QUIET: Duration = Duration::from_millis(1_300);
const ROOMS: usize = 8;
/// How soon a loss is made good (promise GAP).
const WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn one_in_ten_messages_is_lost_and_every_event_is_there_within_two_seconds() {
    let nats = NatsServer::start().await;
    let seed: u64 = rand::random();
    let lossy = Lossy::before(&nats.url(), "parlor.out.", 10, seed).await;
    let service = Parlor::room_service(&nats.url(), &["--limits", "off"]);
    let sound = Parlor::gateway(&nats.url(), &["--limits", "off"]);
    let deaf = Parlor::gateway(&lossy.url, &["--limits", "off"]);
    for process in [&service, &sound, &deaf] {
        process.ready().await;
    }
    let [sound, listened] = [sound.address("http").await, deaf.address("http").await];

    let journal = Journal::default();
    let rooms: Vec<_> = (0..ROOMS).map(|n| format!("hall-{n}")).collect();
    let until = watch::Sender::new(None);
    let mut readers = JoinSet::new();
    for name in ["Bo", "Cy"] {
        let at = [listened];
        let reader = Reader::new(&journal, name, &rooms, &at, 0, Habit::Steady, seed);
        readers.spawn(reader.run(until.subscribe()));
    }
    let stop = watch::Sender::new(false);
    let mut writers = JoinSet::new();
    for (n, room) in rooms.iter().enumerate() {
        let writer = Outbox::new(&format!("w{n}"), room, &[sound], 0).writing(&journal);
        let pause = if n % 2 == 0 { BUSY } else { QUIET };
        writers.spawn(writer.run(pause, Arc::default(), stop.subscribe()));
    }
    let from = Instant::now();
    // Not to wait for something: this is how long it goes on.
    let long = if tests::full() { 60 } else { 10 };
    sleep(Duration::from_secs(long)).await;
    stop.send_replace(true);
    let mut heads = BTreeMap::new();
    for writer in writers.join_all().await {
        let head = writer.acked.values().max().copied().unwrap();
        heads.insert(writer.room().to_owned(), head);
    }
    until.send_replace(Some(heads));
    let readers = readers.join_all().await;

    let name = format!("one in ten lost, seed {seed:x}");
    let account = check(&journal.record(), &[Phase { name, from }]);
    let (passed, lost) = lossy.counted();
    println!("{account}{lost} messages lost, {passed} passed on");
    account.insist();
    assert!(lost > 50, "{lost} messages lost, {passed} passed on");
    for reader in readers {
        assert_eq!((reader.broken, reader.gaps), (vec![], 0));
    }
    let metrics = get(deaf.address("metrics").await, "/metrics").await;
    let holes = metrics
        .lines()
        .find_map(|line| line.strip_prefix("parlor_gateway_holes_total "));
    assert!(holes.is_some_and(|holes| holes != "0"), "{metrics}");
    let latest = account.total().latest;
    assert!(latest <= WITHIN, "shown {latest:?} after the ack");
}
