//! People talking: one process, and two gateways on a real nats-server.

use broker::testing::NatsServer;
use serde_json::json;
use tests::{Browser, Parlor};

#[tokio::test]
async fn two_windows_talk_and_a_third_in_another_room_sees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let mut ann = Browser::enter(gateway, "Ann", &["聊天室"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["聊天室"]).await;
    let mut other = Browser::enter(gateway, "Cy", &["other"]).await;

    let ack = ann.send("聊天室", "c1", "大家好").await;
    assert_eq!(
        (ack["op"].as_str(), ack["seq"].as_u64()),
        (Some("ack"), Some(1))
    );
    for browser in [&mut ann, &mut bo] {
        let event = browser.events("聊天室", 1).await.remove(0);
        assert_eq!(event["text"], "大家好");
        assert_eq!(event["seq"], 1);
        assert_eq!(event["ts"], ack["ts"]);
        assert_eq!(event["from"]["nick"], "Ann");
        assert_eq!(event["cid"], "c1");
    }
    assert!(other.settle().await.is_empty());
}

#[tokio::test]
async fn after_kill_9_and_a_restart_the_last_fifty_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--limits", "off"]).await;
    let mut ann = Browser::enter(parlor.address("http").await, "Ann", &["lobby"]).await;
    for n in 1..=60 {
        let ack = ann
            .send("lobby", &format!("c{n}"), &format!("text {n}"))
            .await;
        assert_eq!(ack["seq"], n);
    }
    parlor.kill().await;

    let parlor = Parlor::serve(dir.path(), &[]).await;
    let mut bo = Browser::enter(parlor.address("http").await, "Bo", &[]).await;
    bo.say(json!({"op": "join", "room": "lobby"})).await;
    let joined = bo.expect("joined").await;
    let seqs: Vec<_> = joined["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["seq"])
        .collect();
    assert_eq!(seqs, (11..=60).collect::<Vec<u64>>());
    assert_eq!(joined["events"][49]["text"], "text 60");
    assert_eq!(
        (joined["head"].as_u64(), joined["oldest"].as_u64()),
        (Some(60), Some(1))
    );
}

#[tokio::test]
async fn browsers_on_different_gateways_share_a_room() {
    let nats = NatsServer::start().await;
    let service = Parlor::room_service(&nats.url(), &[]);
    let gateways = [
        Parlor::gateway(&nats.url(), &[]),
        Parlor::gateway(&nats.url(), &[]),
    ];
    service.ready().await;
    let mut browsers = Vec::new();
    for gateway in &gateways {
        gateway.ready().await;
        browsers.push(Browser::enter(gateway.address("http").await, "B", &["lobby"]).await);
    }
    for n in 0..4_usize {
        let ack = browsers[n % 2].send("lobby", &format!("c{n}"), "hi").await;
        assert_eq!(ack["seq"], n as u64 + 1);
    }
    for browser in &mut browsers {
        let events = browser.events("lobby", 4).await;
        let seqs: Vec<_> = events
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, [1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_browser_that_was_away_gets_what_it_missed_at_another_gateway() {
    let nats = NatsServer::start().await;
    let service = Parlor::room_service(&nats.url(), &["--limits", "off"]);
    let here = Parlor::gateway(&nats.url(), &["--limits", "off"]);
    let there = Parlor::gateway(&nats.url(), &["--limits", "off"]);
    for process in [&service, &here, &there] {
        process.ready().await;
    }
    let mut ann = Browser::enter(here.address("http").await, "Ann", &["lobby"]).await;
    let mut bo = Browser::enter(here.address("http").await, "Bo", &[]).await;
    bo.say(json!({"op": "join", "room": "lobby"})).await;
    bo.expect("joined").await;
    ann.send("lobby", "c0", "before").await;
    let seen = bo.events("lobby", 1).await.remove(0);
    let numbering = seen["gen"]
        .as_str()
        .expect("the first event carries the gen")
        .to_owned();
    let token = bo.token.clone();
    bo.leave().await;
    for n in 1..=300 {
        ann.send("lobby", &format!("c{n}"), &format!("text {n}"))
            .await;
    }

    let mut bo = Browser::connect(there.address("http").await).await;
    let cursor = format!("{numbering}.1");
    bo.say(json!({"op": "hello", "token": token, "rooms": {"lobby": cursor}}))
        .await;
    let welcome = bo.expect("welcome").await;
    assert_eq!(welcome["user"]["nick"], "Bo");
    let joined = bo.expect("joined").await;
    assert!(joined.get("gap").is_none(), "{joined}");
    let mut seqs: Vec<_> = joined["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["seq"].as_u64().unwrap())
        .collect();
    let missing = 300 - seqs.len();
    seqs.extend(
        bo.events("lobby", missing)
            .await
            .iter()
            .map(|e| e["seq"].as_u64().unwrap()),
    );
    assert_eq!(seqs, (2..=301).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_retry_is_acked_once_and_another_body_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let first = ann.send("lobby", "same", "hi").await;
    let again = ann.send("lobby", "same", "hi").await;
    assert_eq!(again["dup"], true);
    assert_eq!((&again["seq"], &again["ts"]), (&first["seq"], &first["ts"]));
    assert_eq!(ann.send("lobby", "same", "ho").await["code"], "CID_REUSED");
    // The same user through another socket.
    let mut other = Browser::connect(gateway).await;
    other
        .say(json!({"op": "hello", "token": ann.token, "rooms": {"lobby": null}}))
        .await;
    assert_eq!(other.expect("joined").await["head"], 1);
    assert_eq!(other.send("lobby", "same", "hi").await["dup"], true);
}

#[tokio::test]
async fn a_changed_nick_reaches_everybody_in_the_room_once() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let mut ann = Browser::enter(gateway, "Ann", &["a", "b"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["a", "b"]).await;
    let mut cy = Browser::enter(gateway, "Cy", &["c"]).await;
    ann.say(json!({"op": "nick", "nick": "Anna"})).await;
    ann.expect("token").await;
    assert_eq!(ann.expect("user").await["nick"], "Anna");
    assert_eq!(bo.expect("user").await["nick"], "Anna");
    ann.send("a", "c1", "it is me").await;
    assert_eq!(bo.events("a", 1).await[0]["from"]["nick"], "Anna");
    assert!(bo.settle().await.iter().all(|frame| frame["op"] != "user"));
    assert!(cy.settle().await.is_empty());
}

#[tokio::test]
async fn the_tutorial_chat_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--time-zone", "Asia/Shanghai"]).await;
    let gateway = parlor.address("http").await;
    let mut old = Browser::classic(gateway, "%E5%AE%A4/").await;
    let mut new = Browser::enter(gateway, "Ann", &["室"]).await;
    old.say(json!({"message": "hi 你好"})).await;
    let line = old.receive().await.unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let (time, text) = line.split_at("2026-11-23 07:00:00:".len());
    assert_eq!(text, "hi 你好");
    assert!(
        time.starts_with("20") && time.ends_with(':') && time.len() == 20,
        "{time}"
    );
    assert_eq!(new.events("室", 1).await[0]["text"], "hi 你好");
    new.send("室", "c", "from the new").await;
    assert!(
        old.receive().await.unwrap()["message"]
            .as_str()
            .unwrap()
            .ends_with(":from the new")
    );

    let mut late = Browser::classic(gateway, "%E5%AE%A4?history=1").await;
    assert!(
        late.receive().await.unwrap()["message"]
            .as_str()
            .unwrap()
            .ends_with("from the new")
    );
    late.say(json!({"message": "   "})).await;
    assert!(late.receive().await.unwrap()["error"].is_string());
    late.say(json!({"message": "still open"})).await;
    assert!(
        late.receive().await.unwrap()["message"]
            .as_str()
            .unwrap()
            .ends_with(":still open")
    );

    let mut nameless = Browser::classic(gateway, "a%20b/").await;
    assert!(nameless.receive().await.unwrap()["error"].is_string());
    nameless.closed().await;
}
