//! Edits, deletions and reactions through the whole, on either broker.

#![expect(
    clippy::unwrap_used,
    clippy::large_stack_frames,
    reason = "a test may panic, and have many values at hand"
)]

use serde_json::{Value, json};
use tests::{Browser, Installation, eventually};

const UNLIMITED: &[&str] = &["--limits", "off"];

/// Each test once on the embedded broker and once on NATS.
macro_rules! on_both {
    ($flags:expr, $($test:ident),* $(,)?) => {
        mod embedded {
            use super::*;
            $(#[tokio::test] async fn $test() {
                super::$test(Installation::embedded($flags).await).await;
            })*
        }
        mod nats {
            use super::*;
            $(#[tokio::test] async fn $test() {
                super::$test(Installation::on_nats($flags).await).await;
            })*
        }
    };
}

on_both!(
    UNLIMITED,
    changes_come_to_everybody_in_order_and_show_in_the_message,
    who_was_away_gets_the_changes_too,
    what_is_not_allowed_changes_nothing,
    a_change_that_is_sent_again_is_made_once,
    an_edit_comes_too_late_when_the_window_is_over,
);

/// Sends an edit, a deletion or a reaction, and awaits its `ack` or `error`.
async fn change(browser: &mut Browser, op: &str, cid: &str, fields: Value) -> Value {
    let mut frame = json!({"op": op, "room": "lobby", "cid": cid});
    frame
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    browser.say(frame).await;
    browser
        .find(&format!("answer to {cid}"), |frame| {
            frame["cid"] == cid && (frame["op"] == "ack" || frame["op"] == "error")
        })
        .await
}

async fn edit(browser: &mut Browser, cid: &str, target: u64, text: &str) -> Value {
    change(
        browser,
        "edit",
        cid,
        json!({"target": target, "text": text}),
    )
    .await
}

async fn delete(browser: &mut Browser, cid: &str, target: u64) -> Value {
    change(browser, "delete", cid, json!({"target": target})).await
}

async fn react(browser: &mut Browser, cid: &str, target: u64, emoji: &str, on: bool) -> Value {
    let fields = json!({"target": target, "emoji": emoji, "on": on});
    change(browser, "react", cid, fields).await
}

/// The events of a room from its first, as history shows them.
async fn history(browser: &mut Browser) -> Vec<Value> {
    let question = json!({"op": "history", "id": "h", "room": "lobby", "after": 0, "limit": 100});
    browser.say(question).await;
    let answer = browser.find("history", |frame| frame["id"] == "h").await;
    assert_eq!(answer["op"], "history", "{answer}");
    answer["events"].as_array().unwrap().clone()
}

async fn changes_come_to_everybody_in_order_and_show_in_the_message(installation: Installation) {
    let gateway = installation.gateway;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["lobby"]).await;
    ann.send("lobby", "c1", "frist").await;
    ann.send("lobby", "c2", "a secret").await;
    assert_eq!(edit(&mut ann, "c3", 1, "first").await["seq"], 3);
    assert_eq!(react(&mut bo, "c4", 1, "👍", true).await["seq"], 4);
    assert_eq!(react(&mut ann, "c5", 1, "👍", true).await["seq"], 5);
    assert_eq!(react(&mut bo, "c6", 1, "👍", false).await["seq"], 6);
    assert_eq!(delete(&mut ann, "c7", 2).await["seq"], 7);
    for browser in [&mut ann, &mut bo] {
        let events = browser.events("lobby", 7).await;
        let shown: Vec<_> = events
            .iter()
            .map(|event| {
                let fields = ["kind", "target", "text", "emoji", "on", "count"];
                fields.map(|field| event[field].clone())
            })
            .collect();
        let null = Value::Null;
        let thumb = |on: bool, count: u64| {
            [
                json!("reaction"),
                json!(1),
                null.clone(),
                json!("👍"),
                json!(on),
                json!(count),
            ]
        };
        let [nothing, none, no] = [&null, &null, &null].map(Clone::clone);
        assert_eq!(
            shown[2],
            [json!("edit"), json!(1), json!("first"), nothing, none, no]
        );
        assert_eq!(
            shown[3..6],
            [thumb(true, 1), thumb(true, 2), thumb(false, 1)]
        );
        assert_eq!((&shown[6][0], &shown[6][1]), (&json!("delete"), &json!(2)));
        for (event, cid) in events
            .iter()
            .zip(["c1", "c2", "c3", "c4", "c5", "c6", "c7"])
        {
            assert_eq!(event["cid"], cid);
        }
    }
    let mut cy = Browser::enter(gateway, "Cy", &[]).await;
    cy.say(json!({"op": "join", "room": "lobby"})).await;
    let joined = cy.expect("joined").await;
    for events in [
        joined["events"].as_array().unwrap().clone(),
        history(&mut cy).await,
    ] {
        assert_eq!(
            (&events[0]["text"], &events[0]["reactions"]),
            (&json!("first"), &json!({"👍": 1}))
        );
        assert!(events[0]["edited_at"].is_string());
        assert_eq!(
            (&events[1]["deleted"], events[1].get("text")),
            (&json!(true), None)
        );
        assert_eq!(events.len(), 7, "changes keep their own place");
        assert!(!json!(events).to_string().contains("secret"));
    }
}

async fn who_was_away_gets_the_changes_too(installation: Installation) {
    let gateway = installation.gateway;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    for n in 1..=3 {
        ann.send("lobby", &format!("c{n}"), "text").await;
    }
    edit(&mut ann, "c4", 1, "edited while you were away").await;
    delete(&mut ann, "c5", 3).await;
    let mut bo = Browser::enter(gateway, "Bo", &[]).await;
    bo.say(json!({"op": "join", "room": "lobby", "after": 2}))
        .await;
    let joined = bo.expect("joined").await;
    let events = joined["events"].as_array().unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (&event["seq"], &event["kind"]))
        .collect();
    let [message, edit, delete] = ["message", "edit", "delete"].map(Value::from);
    let [three, four, five] = [3, 4, 5].map(Value::from);
    assert_eq!(
        kinds,
        [(&three, &message), (&four, &edit), (&five, &delete)]
    );
    assert_eq!(
        (&events[0]["deleted"], events[0].get("text")),
        (&json!(true), None)
    );
    assert_eq!(events[1]["text"], "edited while you were away");
    assert!(joined.get("gap").is_none());
}

async fn what_is_not_allowed_changes_nothing(installation: Installation) {
    let gateway = installation.gateway;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    let mut bo = Browser::enter(gateway, "Bo", &["lobby"]).await;
    ann.send("lobby", "a1", "mine").await;
    ann.send("lobby", "a2", "gone").await;
    delete(&mut ann, "a3", 2).await;
    let before = history(&mut ann).await;
    let long = "x".repeat(2_001);
    let emoji_too_long = "👍".repeat(40);
    for (number, (op, fields, code)) in [
        ("edit", json!({"text": "x"}), "MALFORMED"),
        ("edit", json!({"target": 1}), "MALFORMED"),
        ("edit", json!({"target": "1", "text": "x"}), "MALFORMED"),
        ("edit", json!({"target": 1, "text": ""}), "TEXT_EMPTY"),
        ("edit", json!({"target": 1, "text": long}), "TEXT_TOO_LONG"),
        (
            "edit",
            json!({"target": 1, "text": "a\u{0}"}),
            "TEXT_INVALID",
        ),
        ("edit", json!({"target": 0, "text": "x"}), "TARGET_UNKNOWN"),
        ("edit", json!({"target": 99, "text": "x"}), "TARGET_UNKNOWN"),
        ("edit", json!({"target": 2, "text": "x"}), "TARGET_UNKNOWN"),
        (
            "edit",
            json!({"target": 3, "text": "no message"}),
            "TARGET_UNKNOWN",
        ),
        ("delete", json!({}), "MALFORMED"),
        ("delete", json!({"target": 1.5}), "MALFORMED"),
        ("delete", json!({"target": 99}), "TARGET_UNKNOWN"),
        ("delete", json!({"target": 2}), "TARGET_UNKNOWN"),
        ("react", json!({"emoji": "x", "on": true}), "MALFORMED"),
        ("react", json!({"target": 1, "on": true}), "MALFORMED"),
        ("react", json!({"target": 1, "emoji": "x"}), "MALFORMED"),
        (
            "react",
            json!({"target": 1, "emoji": "x", "on": "yes"}),
            "MALFORMED",
        ),
        (
            "react",
            json!({"target": 1, "emoji": "", "on": true}),
            "TEXT_INVALID",
        ),
        (
            "react",
            json!({"target": 1, "emoji": " ", "on": true}),
            "TEXT_INVALID",
        ),
        (
            "react",
            json!({"target": 1, "emoji": "a\nb", "on": true}),
            "TEXT_INVALID",
        ),
        (
            "react",
            json!({"target": 1, "emoji": emoji_too_long, "on": true}),
            "TEXT_INVALID",
        ),
        (
            "react",
            json!({"target": 2, "emoji": "👍", "on": true}),
            "TARGET_UNKNOWN",
        ),
        (
            "react",
            json!({"target": 99, "emoji": "👍", "on": true}),
            "TARGET_UNKNOWN",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let refused = change(&mut ann, op, &format!("bad{number}"), fields.clone()).await;
        assert_eq!(refused["code"], code, "{op} {fields}: {refused}");
        assert_eq!(refused["room"], "lobby", "{refused}");
        if code == "MALFORMED" && number % 8 == 7 {
            // Ten of them in a minute would close the socket.
            ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
        }
    }
    assert_eq!(edit(&mut bo, "b1", 1, "yours").await["code"], "NOT_YOURS");
    assert_eq!(delete(&mut bo, "b2", 1).await["code"], "NOT_YOURS");
    bo.say(json!({"op": "delete", "room": "lobby", "target": 1}))
        .await;
    assert_eq!(bo.expect("error").await["code"], "CID_INVALID");
    bo.say(json!({"op": "delete", "room": "elsewhere", "cid": "b3", "target": 1}))
        .await;
    assert_eq!(bo.expect("error").await["code"], "NOT_JOINED");
    assert_eq!(history(&mut bo).await, before);
}

async fn a_change_that_is_sent_again_is_made_once(installation: Installation) {
    let gateway = installation.gateway;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    ann.send("lobby", "c1", "text").await;
    let first = [
        edit(&mut ann, "e", 1, "better").await,
        react(&mut ann, "r", 1, "👍", true).await,
        delete(&mut ann, "d", 1).await,
    ];
    let installation = installation.restart().await;
    let mut again = Browser::connect(installation.gateway).await;
    again
        .say(json!({"op": "hello", "token": ann.token, "rooms": {"lobby": null}}))
        .await;
    again.expect("joined").await;
    // Whatever became of the message since.
    let second = [
        edit(&mut again, "e", 1, "better").await,
        react(&mut again, "r", 1, "👍", true).await,
        delete(&mut again, "d", 1).await,
    ];
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(
            (&second["op"], &second["dup"]),
            (&json!("ack"), &json!(true)),
            "{second}"
        );
        assert_eq!(
            (&second["seq"], &second["ts"]),
            (&first["seq"], &first["ts"])
        );
    }
    assert_eq!(
        edit(&mut again, "r", 1, "better").await["code"],
        "CID_REUSED"
    );
    assert_eq!(
        react(&mut again, "r", 1, "👍", false).await["code"],
        "CID_REUSED"
    );
    assert_eq!(history(&mut again).await.len(), 4);
}

async fn an_edit_comes_too_late_when_the_window_is_over(installation: Installation) {
    let mut ann = Browser::enter(installation.gateway, "Ann", &["lobby"]).await;
    ann.send("lobby", "c1", "text").await;
    // With the window of 15 minutes.
    assert_eq!(edit(&mut ann, "e1", 1, "in time").await["seq"], 2);
    drop(ann);
    let short = Installation::embedded(&["--limits", "off", "--limit-edit-window-ms", "1"]).await;
    let mut ann = Browser::enter(short.gateway, "Ann", &["lobby"]).await;
    ann.send("lobby", "c1", "text").await;
    let ann = tokio::sync::Mutex::new(ann);
    eventually("EDIT_TOO_LATE", async || {
        let mut ann = ann.lock().await;
        let cid = format!("e{}", rand::random::<u32>());
        let answer = edit(&mut ann, &cid, 1, "too late").await;
        (answer["code"] == "EDIT_TOO_LATE").then_some(())
    })
    .await;
    // It may still be deleted.
    let mut ann = ann.into_inner();
    assert_eq!(delete(&mut ann, "d", 1).await["op"], "ack");
}
