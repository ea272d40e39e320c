//! Processes die at any instant: what was acked is there, once and in order.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use broker::testing::NatsServer;
use serde_json::{Value, json};
use tests::{Browser, PATIENCE, Parlor};
use tokio::time::Instant;

/// Sends one message until it is acked, through whichever gateway answers, like an outbox does.
struct Sender {
    gateways: Vec<SocketAddr>,
    browser: Option<Browser>,
    token: Option<String>,
    turn: usize,
    acked: BTreeMap<String, u64>,
    doubled: usize,
}

impl Sender {
    fn new(gateways: Vec<SocketAddr>) -> Self {
        let acked = BTreeMap::new();
        Self {
            gateways,
            browser: None,
            token: None,
            turn: 0,
            acked,
            doubled: 0,
        }
    }

    async fn send(&mut self, cid: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(
                Instant::now() < deadline,
                "{cid} was not acked within {PATIENCE:?}"
            );
            if self.browser.is_none() {
                self.browser = self.connect().await;
            }
            let Some(browser) = &mut self.browser else {
                self.turn += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            match attempt(browser, cid).await {
                Some(ack) if ack["op"] == "ack" => {
                    let seq = ack["seq"].as_u64().unwrap();
                    self.doubled += usize::from(self.acked.values().any(|other| *other == seq));
                    self.acked.insert(cid.to_owned(), seq);
                    return;
                }
                Some(error) => {
                    assert_eq!(error["code"], "UNAVAILABLE", "{error}");
                    assert!(error["retry_after_ms"].is_u64(), "{error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                None => {
                    self.token = browser.token.clone();
                    self.browser = None;
                    self.turn += 1;
                }
            }
        }
    }

    async fn connect(&self) -> Option<Browser> {
        let gateway = self.gateways[self.turn % self.gateways.len()];
        // A gateway that was just killed refuses or breaks the handshake.
        tokio::net::TcpStream::connect(gateway).await.ok()?;
        let token = self.token.clone();
        let connect = tokio::spawn(async move {
            let mut browser = Browser::connect(gateway).await;
            let mut hello = json!({"op": "hello", "nick": "Ann", "rooms": {"lobby": null}});
            if let Some(token) = token {
                hello["token"] = token.into();
            }
            browser.say(hello).await;
            browser.expect("welcome").await;
            browser
                .find("joined", |frame| frame["op"] == "joined")
                .await;
            browser
        });
        connect.await.ok()
    }
}

async fn attempt(browser: &mut Browser, cid: &str) -> Option<Value> {
    let frame = json!({"op": "send", "room": "lobby", "cid": cid, "text": format!("text {cid}")});
    if !browser.try_say(frame).await {
        return None;
    }
    loop {
        let frame = browser.receive().await.ok()?;
        if frame["cid"] == cid && frame["op"] != "event" {
            return Some(frame);
        }
    }
}

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
        let mut sender = Sender::new(vec![parlor.address("http").await]);
        for n in 0..20 {
            sender.send(&format!("r{round}-{n}")).await;
        }
        parlor.kill().await;
        acked.append(&mut sender.acked);
    }
    let parlor = Parlor::serve(dir.path(), &[]).await;
    assert_eq!(history(parlor.address("http").await).await, acked);
}

#[tokio::test]
async fn killing_each_process_in_turn_loses_and_doubles_nothing() {
    let mut nats = NatsServer::start().await;
    let url = nats.url();
    let off = ["--limits", "off"];
    let mut service = Parlor::room_service(&url, &off);
    let mut gateways = [Parlor::gateway(&url, &off), Parlor::gateway(&url, &off)];
    let addresses = [
        gateways[0].address("http").await,
        gateways[1].address("http").await,
    ];
    service.ready().await;
    for gateway in &gateways {
        gateway.ready().await;
    }
    let watcher = gateways[1].address("http").await;
    let mut sender = Sender::new(addresses.to_vec());
    let mut sent = 0;
    for fault in 0..4 {
        for _ in 0..40 {
            sender.send(&format!("c{sent}")).await;
            sent += 1;
        }
        match fault {
            0 => {
                let dead = std::mem::replace(&mut service, Parlor::room_service(&url, &off));
                dead.kill().await;
            }
            1 => {
                let listen = addresses[0].to_string();
                let dead = std::mem::replace(&mut gateways[0], Parlor::spawn(&["--version"], &[]));
                dead.kill().await;
                let more = ["--limits", "off", "--listen", &listen];
                let args = [
                    &["gateway", "--nats", &url, "--metrics-listen", "off"][..],
                    &more,
                ]
                .concat();
                gateways[0] = Parlor::spawn(&args, &[]);
            }
            2 => {
                nats.kill().await;
                nats.restart().await;
            }
            _ => {}
        }
    }
    let delivered = history(watcher).await;
    let missing = sender
        .acked
        .keys()
        .filter(|cid| !delivered.contains_key(*cid))
        .count();
    let (acked, seen, doubled) = (sender.acked.len(), delivered.len(), sender.doubled);
    println!("acked {acked}, delivered {seen}, missing {missing}, doubled {doubled}");
    assert_eq!((acked, missing, doubled), (sent, 0, 0));
    assert_eq!(delivered, sender.acked);
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
    let seconds = tokio::time::sleep(Duration::from_secs(2));
    seconds.await;
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
