//! Processes die at any instant: what was acked is there, once and in order.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use broker::testing::NatsServer;
use serde_json::json;
use tests::{Browser, Outbox, PATIENCE, Parlor, Watcher, eventually};
use tokio::sync::watch;

/// Reads the room from its start with a cursor, whatever it takes: cid → seq.
async fn history(gateway: SocketAddr) -> BTreeMap<String, u64> {
    let mut browser = Browser::connect(gateway).await;
    browser
        .say(json!({"op": "hello", "nick": "Reader", "rooms": {"lobby": 0}}))
        .await;
    let joined = browser.expect("joined").await;
    assert!(
        joined.get("gap").is_none(),
        "more than can be read at once: {joined}"
    );
    let head = joined["head"].as_u64().unwrap();
    let mut events = joined["events"].as_array().unwrap().clone();
    let rest = usize::try_from(head).unwrap() - events.len();
    events.extend(browser.events("lobby", rest).await);
    let mut found = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], at as u64 + 1, "a hole or disorder");
        let cid = event["cid"].as_str().unwrap().to_owned();
        assert_eq!(found.insert(cid, at as u64 + 1), None, "doubled: {event}");
    }
    found
}

#[tokio::test]
async fn what_was_acked_is_there_after_kill_9_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked = BTreeMap::new();
    for round in 0..5 {
        let parlor = Parlor::serve(dir.path(), &["--limits", "off"]).await;
        let mut sender = Outbox::new("Ann", "lobby", &[parlor.address("http").await], 0);
        for n in 0..20 {
            sender.send(&format!("r{round}-{n}")).await;
        }
        parlor.kill().await;
        acked.append(&mut sender.acked);
    }
    let parlor = Parlor::serve(dir.path(), &[]).await;
    assert_eq!(history(parlor.address("http").await).await, acked);
}

/// A service, two gateways and their NATS, each of which can be killed and comes back where it was.
struct Whole {
    nats: NatsServer,
    service: Parlor,
    gateways: [Parlor; 2],
    addresses: [SocketAddr; 2],
}

impl Whole {
    async fn start() -> Self {
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
        Self {
            nats,
            service,
            gateways,
            addresses: addresses.try_into().unwrap(),
        }
    }

    /// kill -9, and a start at once.
    async fn kill(&mut self, part: usize) {
        let url = self.nats.url();
        match part {
            0 => {
                let next = Parlor::room_service(&url, &["--limits", "off"]);
                std::mem::replace(&mut self.service, next).kill().await;
            }
            1 | 2 => {
                let listen = self.addresses[part - 1].to_string();
                let mut args = vec!["gateway", "--nats", &url, "--listen", &listen];
                args.extend(["--limits", "off", "--metrics-listen", "off"]);
                let place = &mut self.gateways[part - 1];
                // Its address is free once it is dead.
                std::mem::replace(place, Parlor::spawn(&["--version"], &[]))
                    .kill()
                    .await;
                *place = Parlor::spawn(&args, &[]);
            }
            _ => self.nats.restart().await,
        }
    }
}

#[tokio::test]
async fn killing_each_process_in_turn_under_load_loses_and_doubles_nothing() {
    const SENDERS: usize = 4;
    /// Messages acked before the next fault.
    const BETWEEN: u64 = 200;
    let mut whole = Whole::start().await;
    let count = Arc::new(AtomicU64::new(0));
    let (stop, stopped) = watch::channel(false);
    let (end, until) = watch::channel(None);
    let watchers = [0, 1].map(|turn| {
        let watcher = Watcher::new("lobby", &whole.addresses, turn);
        tokio::spawn(watcher.run(until.clone()))
    });
    let senders = std::array::from_fn::<_, SENDERS, _>(|n| {
        let outbox = Outbox::new(&format!("s{n}"), "lobby", &whole.addresses, n);
        let pause = Duration::from_millis(5);
        tokio::spawn(outbox.run(pause, Arc::clone(&count), stopped.clone()))
    });
    let progress = async || {
        let enough = count.load(Ordering::Relaxed) + BETWEEN;
        eventually("acks after a fault", || async {
            (count.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    };
    progress().await;
    let rounds = if tests::full() { 8 } else { 1 };
    for fault in 0..rounds * 4 {
        whole.kill(fault % 4).await;
        progress().await;
    }
    stop.send_replace(true);
    let (mut acked, mut longest) = (BTreeMap::new(), Duration::ZERO);
    for sender in senders {
        let mut outbox = sender.await.unwrap();
        longest = longest.max(outbox.longest);
        acked.append(&mut outbox.acked);
    }
    end.send_replace(acked.values().max().copied());
    for watcher in watchers {
        let watcher = tokio::time::timeout(PATIENCE, watcher).await;
        let watcher = watcher.expect("every event arrives").unwrap();
        let missing = acked.keys().filter(|cid| !watcher.seen.contains_key(*cid));
        println!(
            "acked {}, delivered {} ({} live, {} after {} broken connections), missing {}, doubled 0, \
             longest wait for an ack {longest:?}",
            acked.len(),
            watcher.seen.len(),
            watcher.live,
            watcher.caught_up,
            watcher.broken,
            missing.count(),
        );
        assert_eq!(watcher.seen, acked, "each once, under the seq of its ack");
        assert!(watcher.live > 0, "nothing came as it happened");
    }
}

#[tokio::test]
async fn while_nats_is_away_a_send_waits_and_then_succeeds() {
    let mut nats = NatsServer::start().await;
    let service = Parlor::room_service(&nats.url(), &[]);
    let gateway = Parlor::gateway(&nats.url(), &[]);
    service.ready().await;
    gateway.ready().await;
    let mut ann = Browser::enter(gateway.address("http").await, "Ann", &["lobby"]).await;
    assert_eq!(ann.send("lobby", "c1", "hi").await["seq"], 1);
    nats.kill().await;
    ann.say(json!({"op": "send", "room": "lobby", "cid": "c2", "text": "waits"}))
        .await;
    // Not to wait for something: this is how long it is away.
    let away = if tests::full() { 10 } else { 2 };
    tokio::time::sleep(Duration::from_secs(away)).await;
    nats.restart().await;
    let answer = ann
        .find("answer", |frame| {
            frame["cid"] == "c2" && frame["op"] != "event"
        })
        .await;
    assert_eq!(
        (answer["op"].as_str(), answer["seq"].as_u64()),
        (Some("ack"), Some(2)),
        "{answer}"
    );
    assert_eq!(ann.events("lobby", 2).await[1]["text"], "waits");
}

#[tokio::test]
async fn while_no_room_service_lives_a_send_fails_with_a_time_to_retry() {
    let nats = NatsServer::start().await;
    let service = Parlor::room_service(&nats.url(), &[]);
    let gateway = Parlor::gateway(&nats.url(), &[]);
    service.ready().await;
    gateway.ready().await;
    let mut ann = Browser::enter(gateway.address("http").await, "Ann", &["lobby"]).await;
    service.kill().await;
    let refused = ann.send("lobby", "c1", "hi").await;
    assert_eq!(refused["code"], "UNAVAILABLE");
    assert!(refused["retry_after_ms"].as_u64().is_some());
    let service = Parlor::room_service(&nats.url(), &[]);
    service.ready().await;
    assert_eq!(ann.send("lobby", "c1", "hi").await["seq"], 1);
}

#[tokio::test]
async fn sigterm_tells_browsers_when_to_come_back_and_closes_1012() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--drain-window", "500ms"]).await;
    let gateway = parlor.address("http").await;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    ann.send("lobby", "c1", "hi").await;
    let ended = tokio::spawn(parlor.terminate());
    let drain = ann.expect("drain").await;
    assert!(
        drain["delay_ms"].as_u64().is_some_and(|delay| delay <= 500),
        "{drain}"
    );
    assert_eq!(ann.closed().await, 1012);
    assert!(ended.await.unwrap().success());
}
