//! Retries of an outbox, late and through whichever server: the first `seq`, or `CID_EXPIRED`, and never a
//! second copy.

#![expect(
    clippy::unwrap_used,
    clippy::large_stack_frames,
    reason = "a test may panic, and have many values at hand"
)]

use std::net::SocketAddr;

use broker::testing::NatsServer;
use serde_json::{Value, json};
use tests::{Browser, Installation, Parlor};

/// How far back a retry is recognised (DESIGN section 10).
const REACH: u64 = 4_096;

/// Somebody's socket, by the token of an earlier one.
async fn again(gateway: SocketAddr, token: &Option<String>) -> Browser {
    let mut browser = Browser::connect(gateway).await;
    let hello = json!({"op": "hello", "token": token, "rooms": {"lobby": null}});
    browser.say(hello).await;
    browser.expect("joined").await;
    browser
}

/// Sends with this `since`, and awaits the answer.
async fn send(browser: &mut Browser, cid: &str, since: u64) -> Value {
    let text = format!("text {cid}");
    let frame = json!({"op": "send", "room": "lobby", "cid": cid, "text": text, "since": since});
    browser.say(frame).await;
    let is_answer =
        |frame: &Value| frame["cid"] == cid && (frame["op"] == "ack" || frame["op"] == "error");
    browser.find(&format!("answer to {cid}"), is_answer).await
}

/// Others talk until the room's last message is `head`, each some messages at a time.
async fn talk(gateway: SocketAddr, from: u64, head: u64) {
    let mut bo = Browser::enter(gateway, "Bo", &["lobby"]).await;
    for first in (from + 1..=head).step_by(200) {
        let some = first..=(first + 199).min(head);
        for n in some.clone() {
            let frame = json!({"op": "send", "room": "lobby", "cid": format!("b{n}"), "text": "x"});
            bo.say(frame).await;
        }
        for n in some {
            let cid = format!("b{n}");
            let is_ack = |frame: &Value| frame["op"] == "ack" && frame["cid"] == cid;
            assert_eq!(bo.find(&cid, is_ack).await["seq"], n);
        }
    }
    bo.leave().await;
}

/// A retry gets the first `seq`, and the room does not grow by it.
async fn assert_repeats(browser: &mut Browser, cid: &str, first: &Value) {
    let since = first["seq"].as_u64().unwrap() - 1;
    let answer = send(browser, cid, since).await;
    assert_eq!(answer["dup"], true, "{cid}: {answer}");
    assert_eq!(
        (&answer["seq"], &answer["ts"]),
        (&first["seq"], &first["ts"])
    );
}

async fn a_retry_in_a_busy_room(mut installation: Installation) {
    let mut ann = Browser::enter(installation.gateway, "Ann", &["lobby"]).await;
    let old = send(&mut ann, "old", 0).await;
    talk(installation.gateway, 1, 200).await;
    let young = send(&mut ann, "young", 200).await;
    talk(installation.gateway, 201, REACH + 20).await;
    // As its owner remembers it, and as one finds it in the pages that has just begun.
    for restart in [false, true] {
        if restart {
            installation = installation.restart().await;
        }
        let mut ann = again(installation.gateway, &ann.token).await;
        assert_repeats(&mut ann, "young", &young).await;
        assert_eq!(old["seq"], 1);
        let expired = send(&mut ann, "old", 0).await;
        assert_eq!(expired["code"], "CID_EXPIRED", "{expired}");
        // One that was never sent cannot be told from one that was: no copy of it either.
        let expired = send(&mut ann, "never", 0).await;
        assert_eq!(expired["code"], "CID_EXPIRED", "{expired}");
        let question = json!({"op": "history", "id": 1, "room": "lobby", "before": REACH * 2});
        ann.say(question).await;
        assert_eq!(ann.expect("history").await["head"], REACH + 20);
    }
}

#[tokio::test]
async fn a_retry_in_a_busy_room_repeats_or_is_expired_embedded() {
    a_retry_in_a_busy_room(Installation::embedded(&["--limits", "off"]).await).await;
}

#[tokio::test]
async fn a_retry_in_a_busy_room_repeats_or_is_expired_on_nats() {
    a_retry_in_a_busy_room(Installation::on_nats(&["--limits", "off"]).await).await;
}

#[tokio::test]
async fn a_retry_through_another_gateway_to_the_next_owner_repeats() {
    let nats = NatsServer::start().await;
    let off = ["--limits", "off"];
    let first = Parlor::room_service(&nats.url(), &off);
    let here = Parlor::gateway(&nats.url(), &off);
    let there = Parlor::gateway(&nats.url(), &off);
    for process in [&first, &here, &there] {
        process.ready().await;
    }
    let gateway = here.address("http").await;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let sent = send(&mut ann, "c", 0).await;
    assert_eq!(sent["seq"], 1);
    // Several pages, of which the next owner has no more than the newest at first.
    talk(gateway, 1, 300).await;
    // All at once, so that whoever owns the room afterwards has never seen it.
    let second = Parlor::room_service(&nats.url(), &off);
    second.ready().await;
    first.kill().await;
    here.kill().await;
    let mut ann = again(there.address("http").await, &ann.token).await;
    assert_repeats(&mut ann, "c", &sent).await;
    let next = send(&mut ann, "d", 300).await;
    assert_eq!(next["seq"], 301, "{next}");
}
