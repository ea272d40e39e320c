//! The rules of PROTOCOL.md section 4 that other files do not hold, and limits per address.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::{Browser, Parlor};

async fn running(more: &[&str]) -> (tempfile::TempDir, Parlor, SocketAddr) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let parlor = Parlor::serve(dir.path(), more).await;
    let gateway = parlor.address("http").await;
    (dir, parlor, gateway)
}

/// A socket whose limits go by this address: loopback is a trusted proxy.
async fn from(gateway: SocketAddr, address: &str) -> Browser {
    let headers = [
        ("Sec-WebSocket-Protocol", "parlor.v1.json"),
        ("X-Forwarded-For", address),
    ];
    Browser::connect_with(gateway, "/ws", &headers).await
}

fn seqs(joined: &Value) -> Vec<u64> {
    let events = joined["events"].as_array().expect("events");
    events
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect()
}

#[tokio::test]
async fn each_room_of_a_hello_gets_one_answer_after_welcome() {
    let (_dir, _parlor, gateway) = running(&[]).await;
    let mut browser = Browser::connect(gateway).await;
    let mut rooms = serde_json::Map::new();
    for name in ["Lobby", "lobby", "a.b", "聊天"] {
        rooms.insert(name.to_owned(), Value::Null);
    }
    rooms.insert("bad-cursor".to_owned(), json!(true));
    browser.say(json!({"op": "hello", "rooms": rooms})).await;
    assert_eq!(browser.receive().await.expect("a frame")["op"], "welcome");
    let mut joined = Vec::new();
    let mut refused = Vec::new();
    for _ in 0..5 {
        let frame = browser.receive().await.expect("an answer");
        match frame["op"].as_str() {
            Some("joined") => joined.push(frame["asked"].as_str().expect("asked").to_owned()),
            _ => refused.push((frame["room"].to_string(), frame["code"].to_string())),
        }
    }
    joined.sort();
    refused.sort();
    assert_eq!(joined, ["Lobby", "lobby", "聊天"]);
    assert_eq!(
        refused[0],
        ("\"a.b\"".to_owned(), "\"ROOM_INVALID\"".to_owned())
    );
    assert_eq!(
        refused[1],
        ("\"bad-cursor\"".to_owned(), "\"MALFORMED\"".to_owned())
    );
    assert!(browser.settle().await.is_empty());
}

#[tokio::test]
async fn more_than_fifty_rooms_in_a_hello_are_refused_one_by_one() {
    let (_dir, _parlor, gateway) = running(&[]).await;
    let mut browser = Browser::connect(gateway).await;
    // Not in the order of the alphabet: it is the 51st sent that is one too many.
    let rooms: serde_json::Map<_, _> = (0..53)
        .rev()
        .map(|n| (format!("r{n}"), Value::Null))
        .collect();
    browser.say(json!({"op": "hello", "rooms": rooms})).await;
    browser.expect("welcome").await;
    let (mut joined, mut refused) = (0, Vec::new());
    for _ in 0..53 {
        let frame = browser.receive().await.expect("an answer");
        if frame["op"] == "joined" {
            joined += 1;
        } else {
            assert_eq!(frame["code"], "TOO_MANY_ROOMS", "{frame}");
            refused.push(frame["room"].clone());
        }
    }
    assert_eq!(joined, 50);
    assert_eq!(refused, ["r2", "r1", "r0"]);
}

#[tokio::test]
async fn cursors_say_what_was_missed() {
    let (_dir, _parlor, gateway) = running(&["--limits", "off"]).await;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    for n in 1..61 {
        ann.send("lobby", &format!("c{n}"), "hi").await;
    }
    let numbering = ann.events("lobby", 1).await[0]["gen"]
        .as_str()
        .expect("gen")
        .to_owned();
    let mut bo = Browser::enter(gateway, "Bo", &[]).await;
    let cases = [
        (json!(null), 11..61, json!(null)),
        (json!(0), 1..61, json!(null)),
        (json!("othergen.0"), 1..61, json!(null)),
        (json!(58), 59..61, json!(null)),
        (json!(format!("{numbering}.60")), 61..61, json!(null)),
        (json!(61), 11..61, json!({"reset": true})),
        (json!("othergen.5"), 11..61, json!({"reset": true})),
    ];
    for (after, expected, gap) in cases {
        bo.say(json!({"op": "join", "room": "lobby", "after": after}))
            .await;
        let joined = bo.expect("joined").await;
        assert_eq!(seqs(&joined), expected.collect::<Vec<_>>(), "{after}");
        assert_eq!(joined["gap"], gap, "{after}");
        assert_eq!(joined["head"], 60);
    }
    for n in 61..=600 {
        ann.send("lobby", &format!("c{n}"), "hi").await;
    }
    bo.say(json!({"op": "join", "room": "lobby", "after": 20}))
        .await;
    let joined = bo.find("with gap", |frame| frame["op"] == "joined").await;
    assert_eq!(joined["gap"], json!({"from": 21, "to": 550}));
    assert_eq!(seqs(&joined), (551..=600).collect::<Vec<_>>());
    for bad in [json!("x"), json!("a.b.c"), json!(-1), json!({"gen": 1})] {
        bo.say(json!({"op": "join", "room": "lobby", "after": bad}))
            .await;
        let error = bo.expect("error").await;
        assert_eq!(
            (&error["code"], &error["room"]),
            (&json!("MALFORMED"), &json!("lobby"))
        );
    }
}

#[tokio::test]
async fn who_left_hears_nothing_more_and_may_come_back() {
    let (_dir, _parlor, gateway) = running(&[]).await;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["lobby"]).await;
    bo.say(json!({"op": "leave", "room": "lobby"})).await;
    bo.settle().await;
    ann.send("lobby", "c1", "hi").await;
    assert!(bo.settle().await.is_empty());
    bo.say(json!({"op": "join", "room": "lobby"})).await;
    assert_eq!(seqs(&bo.expect("joined").await), [1]);
    ann.send("lobby", "c2", "ho").await;
    assert_eq!(bo.events("lobby", 1).await[0]["seq"], 2);
}

#[tokio::test]
async fn ops_on_one_room_are_handled_in_their_order() {
    let (_dir, _parlor, gateway) = running(&[]).await;
    let mut ann = Browser::enter(gateway, "Ann", &[]).await;
    ann.say(json!({"op": "join", "room": "lobby"})).await;
    for n in 1..=4 {
        ann.say(json!({"op": "send", "room": "lobby", "cid": format!("c{n}"), "text": "hi"}))
            .await;
    }
    ann.say(json!({"op": "leave", "room": "lobby"})).await;
    ann.say(json!({"op": "send", "room": "lobby", "cid": "late", "text": "hi"}))
        .await;
    assert_eq!(ann.receive().await.expect("a frame")["op"], "joined");
    for n in 1..=4 {
        let answer = ann.find("ack", |frame| frame["op"] == "ack").await;
        assert_eq!(
            (&answer["cid"], &answer["seq"]),
            (&json!(format!("c{n}")), &json!(n))
        );
    }
    assert_eq!(ann.expect("error").await["code"], "NOT_JOINED");
}

#[tokio::test]
async fn without_auto_create_an_unknown_room_is_unknown() {
    let (_dir, _parlor, gateway) = running(&["--auto-create", "off"]).await;
    let mut ann = Browser::enter(gateway, "Ann", &[]).await;
    ann.say(json!({"op": "join", "room": "lobby"})).await;
    let error = ann.expect("error").await;
    assert_eq!(
        (&error["code"], &error["room"]),
        (&json!("ROOM_UNKNOWN"), &json!("lobby"))
    );
}

#[tokio::test]
async fn three_breaches_of_the_ops_limit_close_4008() {
    let (_dir, _parlor, gateway) = running(&[]).await;
    let mut ann = Browser::enter(gateway, "Ann", &[]).await;
    for t in 0..40 {
        if !ann.try_say(json!({"op": "ping", "t": t})).await {
            break;
        }
    }
    let refused = ann.expect("error").await;
    assert_eq!(refused["code"], "RATE_LIMITED");
    assert!(refused["retry_after_ms"].is_u64());
    assert_eq!(ann.closed().await, 4008);
}

#[tokio::test]
async fn who_says_no_hello_is_closed_4003() {
    let (_dir, _parlor, gateway) = running(&[]).await;
    let mut silent = Browser::connect(gateway).await;
    assert_eq!(silent.closed().await, 4003);
}

#[tokio::test]
async fn one_address_may_not_make_guests_rooms_or_connections_without_end() {
    let (_dir, _parlor, gateway) = running(&["--limit-new-rooms-per-hour", "3"]).await;
    // 10 new guests a minute of one /64, whatever the rest of the address.
    for n in 0..10 {
        let mut browser = from(gateway, &format!("2001:db8::{n}")).await;
        browser.say(json!({"op": "hello"})).await;
        browser.expect("welcome").await;
    }
    let mut eleventh = from(gateway, "2001:db8::ff").await;
    eleventh.say(json!({"op": "hello"})).await;
    assert_eq!(eleventh.closed().await, 4008);
    // 20 new connections in 10 s.
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(from(gateway, "192.0.2.7").await);
    }
    assert_eq!(from(gateway, "192.0.2.7").await.closed().await, 4008);
    // A new room counts with its first message, and other rooms go on.
    let mut ann = from(gateway, "192.0.2.8").await;
    ann.say(json!({"op": "hello"})).await;
    ann.expect("welcome").await;
    for n in 1..=4 {
        let room = format!("made-{n}");
        ann.say(json!({"op": "join", "room": room})).await;
        ann.expect("joined").await;
        let answer = ann.send(&room, "c", "hi").await;
        let expected = if n <= 3 {
            json!(null)
        } else {
            json!("RATE_LIMITED")
        };
        assert_eq!(answer["code"], expected, "{answer}");
    }
    assert_eq!(ann.send("made-1", "c2", "again").await["seq"], 2);
}

#[tokio::test]
async fn one_address_may_hold_so_many_connections_and_no_more() {
    let more = ["--limits", "off", "--limit-connections", "5"];
    let (_dir, _parlor, gateway) = running(&more).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(from(gateway, "192.0.2.9").await);
    }
    assert_eq!(from(gateway, "192.0.2.9").await.closed().await, 4012);
    let mut other = from(gateway, "192.0.2.10").await;
    other.say(json!({"op": "hello"})).await;
    other.expect("welcome").await;
}
