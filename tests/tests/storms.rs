//! Everybody comes back at once: the owner is asked a handful of times, and everybody has what was missed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{net::SocketAddr, sync::Arc};

use broker::testing::NatsServer;
use serde_json::json;
use tests::{Browser, Parlor, http::get};
use tokio::{
    sync::{Barrier, Semaphore},
    task::JoinSet,
    time::Instant,
};

/// Messages that were missed, more than are shown at a first join.
const MISSED: u64 = 120;
/// Questions that a storm may cost the owner, whatever its size.
const HANDFUL: u64 = 6;
/// Handshakes under way: those of others wait in the queue of the listener's socket.
const AT_ONCE: usize = 256;

/// Questions that the owner has answered.
async fn asked(service: &Parlor) -> u64 {
    let metrics = get(service.address("metrics").await, "/metrics").await;
    let read = r#"parlor_room_service_answers_total{result="read"} "#;
    let count = metrics.lines().find_map(|line| line.strip_prefix(read));
    count.map_or(0, |count| count.parse().unwrap())
}

/// So many browsers join the room at once with this cursor, and have all up to `head`.
async fn storm(gateway: SocketAddr, size: usize, cursor: String, head: u64) -> Vec<Browser> {
    let (together, handshakes) = (Barrier::new(size), Semaphore::new(AT_ONCE));
    let (together, handshakes) = (Arc::new(together), Arc::new(handshakes));
    let mut browsers = JoinSet::new();
    for _ in 0..size {
        let (together, handshakes) = (Arc::clone(&together), Arc::clone(&handshakes));
        let cursor = cursor.clone();
        browsers.spawn(async move {
            let permit = handshakes.acquire().await.unwrap();
            let mut browser = Browser::connect(gateway).await;
            drop(permit);
            together.wait().await;
            browser
                .say(json!({"op": "hello", "nick": "Ann", "rooms": {"lobby": cursor}}))
                .await;
            let joined = browser.expect("joined").await;
            let mut seqs: Vec<_> = joined["events"].as_array().unwrap().clone();
            let missing = usize::try_from(head).unwrap() - seqs.len();
            assert!(joined.get("gap").is_none(), "{joined}");
            seqs.extend(browser.events("lobby", missing).await);
            let seqs: Vec<_> = seqs.iter().map(|event| event["seq"].as_u64()).collect();
            assert_eq!(seqs, (1..=head).map(Some).collect::<Vec<_>>());
            browser
        });
    }
    browsers.join_all().await
}

#[tokio::test]
async fn everybody_comes_back_at_once_and_the_owner_is_asked_a_handful_of_times() {
    let size = if tests::full() { 5_000 } else { 1_000 };
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(
        descriptors > size as u64 + 100,
        "{size} connections need more file descriptors than the hard limit, {descriptors}: raise it \
         (ulimit -Hn)"
    );
    let nats = NatsServer::start().await;
    let off = ["--limits", "off"];
    let service = Parlor::room_service(&nats.url(), &off);
    let gateways = [(); 2].map(|()| Parlor::gateway(&nats.url(), &off));
    service.ready().await;
    let mut addresses = Vec::new();
    for gateway in &gateways {
        gateway.ready().await;
        addresses.push(gateway.address("http").await);
    }
    let [left, other] = gateways;
    let mut bo = Browser::enter(addresses[1], "Bo", &["lobby"]).await;
    bo.send("lobby", "c0", "hi").await;
    let cursor = bo.events("lobby", 1).await[0]["gen"]
        .as_str()
        .unwrap()
        .to_owned()
        + ".0";
    let before = storm(addresses[0], size, cursor.clone(), 1).await;
    for n in 1..MISSED {
        bo.send("lobby", &format!("c{n}"), "hi").await;
    }

    // The gateway of all of them dies, and they come to one that knows the room.
    left.kill().await;
    drop(before);
    let (questions, began) = (asked(&service).await, Instant::now());
    let before = storm(addresses[1], size, cursor.clone(), MISSED).await;
    let cost = asked(&service).await - questions;
    let took = began.elapsed();
    println!("{size} come back to a gateway that knows the room in {took:?}: {cost} questions");
    assert!(cost <= HANDFUL, "{cost} questions");

    // That one dies as well, and they come to one that knows nothing.
    other.kill().await;
    drop(before);
    let fresh = Parlor::gateway(&nats.url(), &off);
    fresh.ready().await;
    let gateway = fresh.address("http").await;
    let (questions, began) = (asked(&service).await, Instant::now());
    let all = storm(gateway, size, cursor, MISSED).await;
    let cost = asked(&service).await - questions;
    let took = began.elapsed();
    println!("{size} come back to a gateway that is new in {took:?}: {cost} questions");
    assert!((1..=HANDFUL).contains(&cost), "{cost} questions");
    assert_eq!(all.len(), size);
}
