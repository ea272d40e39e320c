//! The classic protocol (PROTOCOL section 5), beyond what the tutorial's page does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::json;
use tests::{Browser, Parlor};
use tokio_tungstenite::tungstenite::Message;

async fn running(more: &[&str]) -> (tempfile::TempDir, Parlor, std::net::SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), more).await;
    let gateway = parlor.address("http").await;
    (dir, parlor, gateway)
}

/// More than a number holds.
const HUGE: &str = "99999999999999999999";

/// The text of the next line, without its time; or the error.
async fn heard(browser: &mut Browser) -> String {
    let frame = browser.receive().await.unwrap();
    match (frame["message"].as_str(), frame["error"].as_str()) {
        (Some(line), None) => line[20..].to_owned(),
        (None, Some(error)) => format!("error: {error}"),
        _ => panic!("{frame}"),
    }
}

#[tokio::test]
async fn only_an_object_with_a_message_is_stored() {
    let (_dir, _parlor, gateway) = running(&["--limits", "off"]).await;
    let mut ann = Browser::classic(gateway, "lobby/").await;
    for bad in [
        r#"["hi"]"#,
        r#"[{"message":"hi"}]"#,
        r#""hi""#,
        "null",
        r#"{"message":["hi"]}"#,
        r#"{"message":"\ud83d"}"#,
        "hi",
    ] {
        ann.say_raw(Message::text(bad)).await;
        assert!(heard(&mut ann).await.starts_with("error: "), "{bad}");
    }
    ann.say(json!({"message": "hi", "more": 1})).await;
    assert_eq!(heard(&mut ann).await, "hi");
    let mut bo = Browser::enter(gateway, "Bo", &[]).await;
    bo.say(json!({"op": "join", "room": "lobby"})).await;
    assert_eq!(bo.expect("joined").await["head"], 1);
}

#[tokio::test]
async fn a_token_brings_the_same_user_and_none_a_new_one() {
    let (_dir, _parlor, gateway) = running(&["--limits", "off"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["lobby"]).await;
    let token = bo.token.clone().unwrap();
    for (query, is_bo) in [
        (format!("?token={token}"), true),
        ("?token=".to_owned(), false),
    ] {
        let mut classic = Browser::classic(gateway, &format!("lobby/{query}")).await;
        classic.say(json!({"message": "hi"})).await;
        assert_eq!(heard(&mut classic).await, "hi");
        let event = bo.events("lobby", 1).await.remove(0);
        assert_eq!(event["from"]["nick"] == "Bo", is_bo, "{event}");
    }
    let mut stranger = Browser::classic(gateway, "lobby/?token=1.made.up").await;
    assert_eq!(heard(&mut stranger).await, "error: token refused");
    assert_eq!(stranger.closed().await, 4004);
}

#[tokio::test]
async fn what_is_wrong_with_the_address_is_said_before_the_close() {
    let (_dir, _parlor, gateway) = running(&["--limits", "off"]).await;
    for path in [
        "",
        "/",
        "a%20b/",
        "%ff/",
        "lobby/?history=x",
        "lobby/?history=-1",
        "lobby/?history=1&history=1",
    ] {
        let mut browser = Browser::classic(gateway, path).await;
        assert!(heard(&mut browser).await.starts_with("error: "), "{path}");
        assert_eq!(browser.closed().await, 1000, "{path}");
    }
}

#[tokio::test]
async fn history_is_what_is_asked_for_and_fifty_at_most() {
    let (_dir, _parlor, gateway) = running(&["--limits", "off"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["lobby"]).await;
    for n in 1..=60 {
        bo.send("lobby", &format!("c{n}"), &n.to_string()).await;
    }
    bo.say(json!({"op": "delete", "room": "lobby", "cid": "d", "target": 60}))
        .await;
    bo.find("ack", |frame| frame["cid"] == "d" && frame["op"] == "ack")
        .await;
    // What was deleted and its deletion take two of the places, and are not shown.
    for (history, first) in [("", 60), ("3", 59), ("50", 12), ("51", 12), (HUGE, 12)] {
        let mut classic = Browser::classic(gateway, &format!("lobby?history={history}")).await;
        for n in first..=59 {
            assert_eq!(heard(&mut classic).await, n.to_string(), "of {history}");
        }
        // Nothing else came.
        classic.say(json!({"message": ""})).await;
        assert_eq!(heard(&mut classic).await, "error: the message is empty");
    }
}
