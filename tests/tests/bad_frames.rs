//! Frames that no client should send: each gets a clear error, nothing is stored, and the socket stays
//! open unless the protocol says close.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::{Browser, Parlor};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

async fn running() -> (tempfile::TempDir, Parlor, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--limits", "off"]).await;
    let gateway = parlor.address("http").await;
    (dir, parlor, gateway)
}

async fn error(browser: &mut Browser, raw: &str) -> Value {
    browser.say_raw(Message::text(raw.to_owned())).await;
    let error = browser.expect("error").await;
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|words| words.len() > 5),
        "{error}"
    );
    error
}

#[tokio::test]
async fn malformed_frames_are_answered_and_the_socket_stays_open() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &["lobby"]).await;
    for raw in [
        "not json",
        "[]",
        "42",
        "null",
        r#"{"room":"lobby"}"#,
        r#"{"op":7}"#,
    ] {
        assert_eq!(error(&mut browser, raw).await["code"], "MALFORMED", "{raw}");
    }
    let surrogate = r#"{"op":"send","room":"lobby","cid":"s","text":"\ud800"}"#;
    assert_eq!(error(&mut browser, surrogate).await["code"], "MALFORMED");
    browser.say_raw(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(browser.expect("error").await["code"], "MALFORMED");
    assert_eq!(
        error(&mut browser, r#"{"op":"wave","id":"7"}"#).await["code"],
        "UNKNOWN_OP"
    );
    assert_eq!(
        error(&mut browser, r#"{"op":"hello"}"#).await["code"],
        "HELLO_TWICE"
    );
    assert_eq!(browser.send("lobby", "c", "still here").await["seq"], 1);
}

#[tokio::test]
async fn ten_malformed_frames_in_a_minute_close_4002() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &[]).await;
    for _ in 0..10 {
        if !browser.try_say(json!([])).await {
            break;
        }
    }
    assert_eq!(browser.closed().await, 4002);
}

#[tokio::test]
async fn an_op_before_hello_closes_4001() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::connect(gateway).await;
    browser.say(json!({"op": "join", "room": "lobby"})).await;
    assert_eq!(browser.closed().await, 4001);
    for raw in [
        r#"{"op":"ping"}"#,
        r#"{"op":"join"}"#,
        r#"{"op":"send","room":"a"}"#,
        r#"{"op":"wave"}"#,
    ] {
        let mut browser = Browser::connect(gateway).await;
        browser.say_raw(Message::text(raw)).await;
        assert_eq!(browser.closed().await, 4001, "{raw}");
    }
}

#[tokio::test]
async fn frames_up_to_16384_bytes_pass_and_larger_ones_close_1009() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let frame = |bytes: usize| {
        let empty = json!({"op": "ping", "t": 1, "pad": ""}).to_string();
        json!({"op": "ping", "t": 1, "pad": "x".repeat(bytes - empty.len())}).to_string()
    };
    assert_eq!(frame(16_384).len(), 16_384);
    browser.say_raw(Message::text(frame(16_384))).await;
    browser.expect("pong").await;
    browser.say_raw(Message::text(frame(16_385))).await;
    assert_eq!(browser.closed().await, 1009);
}

#[tokio::test]
async fn invalid_utf_8_closes_1007() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &[]).await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    browser.say_raw(Message::Frame(frame)).await;
    assert_eq!(browser.closed().await, 1007);
}

#[tokio::test]
async fn texts_are_checked_and_delivered_verbatim() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let long = "好".repeat(2_001);
    let cases = [
        ("", "TEXT_EMPTY"),
        (" \n\t", "TEXT_EMPTY"),
        ("\u{200b}", "TEXT_EMPTY"),
        (long.as_str(), "TEXT_TOO_LONG"),
        ("bell \u{7}", "TEXT_INVALID"),
        ("nul \0", "TEXT_INVALID"),
    ];
    for (at, (text, code)) in cases.into_iter().enumerate() {
        let answer = browser.send("lobby", &format!("bad{at}"), text).await;
        assert_eq!(answer["code"], code, "{text:?}");
        assert_eq!(answer["room"], "lobby");
    }
    let chinese = "好".repeat(2_000);
    let verbatim = " <img src=x onerror=alert(1)>\n\t& \u{202e}rtl ";
    for (cid, text) in [("c1", chinese.as_str()), ("c2", verbatim)] {
        assert_eq!(browser.send("lobby", cid, text).await["op"], "ack");
        assert_eq!(browser.events("lobby", 1).await[0]["text"], text);
    }
    assert_eq!(browser.send("lobby", "c3", "end").await["seq"], 3);
}

#[tokio::test]
async fn cids_are_checked() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let missing = r#"{"op":"send","room":"lobby","text":"hi"}"#;
    assert_eq!(error(&mut browser, missing).await["code"], "CID_INVALID");
    for cid in [
        String::new(),
        "a b".into(),
        "ä".into(),
        "x".repeat(37),
        "a/b".into(),
    ] {
        let frame = json!({"op": "send", "room": "lobby", "cid": cid, "text": "hi"}).to_string();
        assert_eq!(
            error(&mut browser, &frame).await["code"],
            "CID_INVALID",
            "{cid:?}"
        );
    }
    for cid in ["7", "null", "{}", "[\"c\"]"] {
        let frame = format!(r#"{{"op":"send","room":"lobby","cid":{cid},"text":"hi"}}"#);
        let refused = error(&mut browser, &frame).await;
        assert_eq!(refused["code"], "CID_INVALID", "{cid}");
        assert_eq!(
            refused.get("cid"),
            None,
            "what is no string is not repeated"
        );
    }
    assert_eq!(browser.send("lobby", &"x".repeat(36), "hi").await["seq"], 1);
}

/// Whatever comes with or after a frame that closes the socket is as if it had never been sent.
#[tokio::test]
async fn what_closes_a_socket_stores_nothing() {
    let (_dir, _parlor, gateway) = running().await;
    let send = json!({"op": "send", "room": "lobby", "cid": "c", "text": "hi"}).to_string();
    let large = json!({"op": "send", "room": "lobby", "cid": "c", "text": "hi",
        "pad": "x".repeat(16_384)})
    .to_string();
    let mut broken = send.clone().into_bytes();
    broken[10] = 0xff;
    let broken = Frame::message(broken, OpCode::Data(Data::Text), true);
    let malformed = vec![Message::text("[]"); 10];
    for (bad, code) in [
        (vec![Message::Frame(broken)], 1007),
        (vec![Message::text(large)], 1009),
        (malformed, 4002),
    ] {
        let mut browser = Browser::enter(gateway, "Ann", &["lobby"]).await;
        for message in bad.into_iter().chain([Message::text(send.clone())]) {
            browser.try_say_raw(message).await;
        }
        assert_eq!(browser.closed().await, code);
    }
    let mut early = Browser::connect(gateway).await;
    for _ in 0..2 {
        early.try_say_raw(Message::text(send.clone())).await;
    }
    assert_eq!(early.closed().await, 4001);
    let mut browser = Browser::enter(gateway, "Ann", &["lobby"]).await;
    assert_eq!(browser.send("lobby", "first", "hi").await["seq"], 1);
}

#[tokio::test]
async fn room_names_are_checked() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::enter(gateway, "Ann", &[]).await;
    let long = "a".repeat(65);
    let names = [
        "",
        &long,
        "-",
        "a.b",
        "a*",
        ">",
        "a/b",
        "a b",
        "a\0b",
        "a\u{200d}b",
    ];
    for name in names {
        let frame = json!({"op": "join", "room": name}).to_string();
        assert_eq!(
            error(&mut browser, &frame).await["code"],
            "ROOM_INVALID",
            "{name:?}"
        );
    }
    assert_eq!(
        error(&mut browser, r#"{"op":"join"}"#).await["code"],
        "MALFORMED"
    );
    assert_eq!(browser.send("never", "c", "hi").await["code"], "NOT_JOINED");
}

#[tokio::test]
async fn the_51st_room_is_refused_and_the_others_stay() {
    let (_dir, _parlor, gateway) = running().await;
    let names: Vec<_> = (0..50).map(|n| format!("r{n}")).collect();
    let rooms: Vec<_> = names.iter().map(String::as_str).collect();
    let mut browser = Browser::enter(gateway, "Ann", &rooms).await;
    browser.say(json!({"op": "join", "room": "one-more"})).await;
    let refused = browser.expect("error").await;
    assert_eq!(refused["code"], "TOO_MANY_ROOMS");
    assert_eq!(refused["room"], "one-more");
    assert_eq!(browser.send("r49", "c", "hi").await["seq"], 1);
    browser.say(json!({"op": "leave", "room": "r0"})).await;
    browser.say(json!({"op": "join", "room": "one-more"})).await;
    assert_eq!(browser.expect("joined").await["room"], "one-more");
}

#[tokio::test]
async fn rates_are_limited_with_a_time_to_retry() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let mut browser = Browser::enter(parlor.address("http").await, "Ann", &["lobby"]).await;
    for n in 0..5 {
        assert_eq!(
            browser.send("lobby", &format!("c{n}"), "hi").await["op"],
            "ack"
        );
    }
    let refused = browser.send("lobby", "c5", "hi").await;
    assert_eq!(refused["code"], "RATE_LIMITED");
    let retry = refused["retry_after_ms"].as_u64().expect("a time to retry");
    assert!((1..=1_000).contains(&retry), "{retry}");
    assert_eq!(browser.send("lobby", "c4", "hi").await["dup"], true);
}

#[tokio::test]
async fn tokens_that_are_not_ours_close_4004() {
    let (_dir, _parlor, gateway) = running().await;
    let mut browser = Browser::connect(gateway).await;
    browser
        .say(json!({"op": "hello", "token": "v1.made.up"}))
        .await;
    assert_eq!(browser.closed().await, 4004);
}

#[tokio::test]
async fn a_bad_nick_is_not_fatal() {
    let (_dir, _parlor, gateway) = running().await;
    for (nick, code) in [("a\u{202e}b", "NICK_INVALID"), ("Аdmin", "NICK_TAKEN")] {
        let mut browser = Browser::connect(gateway).await;
        browser.say(json!({"op": "hello", "nick": nick})).await;
        let welcome = browser.expect("welcome").await;
        assert_ne!(welcome["user"]["nick"], nick);
        assert_eq!(browser.expect("error").await["code"], code);
    }
}

#[tokio::test]
async fn a_reserved_bit_closes_1002() {
    let (_dir, _parlor, gateway) = running().await;
    let mut stream = tokio::net::TcpStream::connect(gateway).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {gateway}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: parlor.v1.json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    read_until(&mut stream, &mut answer, b"\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    // A masked text frame with RSV1 set, which nothing negotiated.
    stream.write_all(&[0xc1, 0x80, 0, 0, 0, 0]).await.unwrap();
    let mut frames = Vec::new();
    read_until(&mut stream, &mut frames, &[0x03, 0xea]).await;
    assert!(frames.contains(&0x88), "a close frame: {frames:?}");
}

async fn read_until(stream: &mut tokio::net::TcpStream, into: &mut Vec<u8>, end: &[u8]) {
    use tokio::io::AsyncReadExt as _;
    let read = async {
        while !into.windows(end.len()).any(|window| window == end) {
            let mut byte = [0];
            assert_eq!(
                stream.read(&mut byte).await.unwrap(),
                1,
                "ended after {into:?}"
            );
            into.push(byte[0]);
        }
    };
    tokio::time::timeout(tests::PATIENCE, read)
        .await
        .expect("it comes");
}
