//! History at any depth and gaps, through the whole, on either broker.

#![expect(
    clippy::unwrap_used,
    clippy::large_stack_frames,
    reason = "a test may panic, and have many values at hand"
)]

use serde_json::{Value, json};
use tests::{Browser, Installation};

const UNLIMITED: &[&str] = &["--limits", "off"];

/// Each test once on the embedded broker and once on NATS.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            use super::*;
            $(#[tokio::test] async fn $test() {
                super::$test(Installation::embedded(UNLIMITED).await).await;
            })*
        }
        mod nats {
            use super::*;
            $(#[tokio::test] async fn $test() {
                super::$test(Installation::on_nats(UNLIMITED).await).await;
            })*
        }
    };
}

on_both!(
    every_event_is_found_from_any_place,
    a_gap_is_filled_by_history,
    large_answers_come_in_parts,
    readings_that_make_no_sense_are_refused_or_empty,
);

/// Sends messages `1..=count`, many at a time.
async fn fill(browser: &mut Browser, count: u64, text: impl Fn(u64) -> String) {
    for first in (1..=count).step_by(100) {
        let some = first..=(first + 99).min(count);
        for n in some.clone() {
            let frame =
                json!({"op": "send", "room": "lobby", "cid": format!("c{n}"), "text": text(n)});
            browser.say(frame).await;
        }
        for n in some {
            let cid = format!("c{n}");
            let ack = browser
                .find(&cid, |frame| frame["op"] == "ack" && frame["cid"] == cid)
                .await;
            assert_eq!(ack["seq"], n);
        }
    }
}

async fn read(browser: &mut Browser, place: Value) -> Value {
    let id: u32 = rand::random();
    let mut frame = json!({"op": "history", "id": id, "room": "lobby"});
    frame
        .as_object_mut()
        .unwrap()
        .extend(place.as_object().unwrap().clone());
    browser.say(frame).await;
    browser.find("history", |frame| frame["id"] == id).await
}

fn seqs(answer: &Value) -> Vec<u64> {
    let events = answer["events"].as_array();
    let events = events.unwrap_or_else(|| panic!("{answer}"));
    events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

async fn every_event_is_found_from_any_place(installation: Installation) {
    let mut ann = Browser::enter(installation.gateway, "Ann", &["lobby"]).await;
    fill(&mut ann, 330, |n| format!("text {n}")).await;
    // After a new start nothing of it is in anybody's memory.
    let installation = installation.restart().await;
    let mut ann = Browser::enter(installation.gateway, "Ann", &["lobby"]).await;
    let mut back = Vec::new();
    let mut before = 331;
    loop {
        let answer = read(&mut ann, json!({"before": before})).await;
        assert_eq!(
            (&answer["oldest"], &answer["head"]),
            (&json!(1), &json!(330))
        );
        let page = seqs(&answer);
        assert!(page.len() == 50 || answer["more"] == false);
        before = page[0];
        back.splice(0..0, page);
        if answer["more"] == false {
            assert!(
                answer["events"][0]["gen"].is_string(),
                "seq 1 has the numbering"
            );
            break;
        }
    }
    assert_eq!(back, (1..=330).collect::<Vec<_>>());
    let (mut forth, mut after) = (Vec::new(), 0);
    loop {
        let answer = read(&mut ann, json!({"after": after, "limit": 64})).await;
        for event in answer["events"].as_array().unwrap() {
            assert_eq!(event["text"], format!("text {}", event["seq"]));
        }
        forth.extend(seqs(&answer));
        after = *forth.last().unwrap();
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(forth, back);
    let around = seqs(&read(&mut ann, json!({"around": 100, "limit": 9})).await);
    assert_eq!(around.len(), 9);
    assert!(
        around.contains(&100) && around[0] < 100 && around[8] > 100,
        "{around:?}"
    );
    let answer = read(&mut ann, json!({"before": 201, "limit": 1})).await;
    let at = read(
        &mut ann,
        json!({"at": answer["events"][0]["ts"], "limit": 10}),
    )
    .await;
    assert!(seqs(&at).len() == 10, "{at}");
    let times: Vec<_> = at["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["ts"])
        .collect();
    assert!(times.contains(&&answer["events"][0]["ts"]), "{times:?}");
    assert_eq!(
        seqs(&read(&mut ann, json!({"after": 0, "limit": 101})).await).len(),
        100
    );
}

async fn a_gap_is_filled_by_history(installation: Installation) {
    let gateway = installation.gateway;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    fill(&mut ann, 700, |n| format!("text {n}")).await;
    let mut bo = Browser::enter(gateway, "Bo", &[]).await;
    bo.say(json!({"op": "join", "room": "lobby", "after": 200}))
        .await;
    let joined = bo.expect("joined").await;
    assert!(joined.get("gap").is_none(), "500 behind is not too far");
    let mut all = seqs(&joined);
    for event in bo.events("lobby", 500 - all.len()).await {
        all.push(event["seq"].as_u64().unwrap());
    }
    assert_eq!(all, (201..=700).collect::<Vec<_>>());
    let mut cy = Browser::enter(gateway, "Cy", &[]).await;
    cy.say(json!({"op": "join", "room": "lobby", "after": 199}))
        .await;
    let joined = cy.expect("joined").await;
    assert_eq!(joined["gap"], json!({"from": 200, "to": 650}));
    assert_eq!(seqs(&joined), (651..=700).collect::<Vec<_>>());
    let (mut filled, mut after) = (Vec::new(), 199);
    while after < 650 {
        let answer = read(&mut cy, json!({"after": after, "limit": 100})).await;
        assert_eq!(answer["more"], true);
        filled.extend(seqs(&answer));
        after = *filled.last().unwrap();
    }
    filled.retain(|seq| *seq <= 650);
    assert_eq!(filled, (200..=650).collect::<Vec<_>>());
    for (cursor, gap) in [
        (json!(701), json!({"reset": true})),
        (json!("othergen.5"), json!({"reset": true})),
        (json!("othergen.0"), json!({"from": 1, "to": 650})),
    ] {
        cy.say(json!({"op": "join", "room": "lobby", "after": cursor}))
            .await;
        let joined = cy.expect("joined").await;
        assert_eq!(joined["gap"], gap, "{cursor}");
        assert_eq!(seqs(&joined), (651..=700).collect::<Vec<_>>());
    }
}

async fn large_answers_come_in_parts(installation: Installation) {
    let mut ann = Browser::enter(installation.gateway, "Ann", &["lobby"]).await;
    // A hundred events of 8 KB are three times what one answer of an owner holds.
    fill(&mut ann, 100, |n| format!("{n:04}{}", "😀".repeat(1_996))).await;
    let (mut found, mut after, mut answers) = (Vec::new(), 0, 0);
    loop {
        let answer = read(&mut ann, json!({"after": after, "limit": 100})).await;
        assert!(answer.to_string().len() < 300 * 1_024);
        found.extend(seqs(&answer));
        after = *found.last().unwrap();
        answers += 1;
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(found, (1..=100).collect::<Vec<_>>());
    assert!((3..=6).contains(&answers), "{answers}");
    let last = read(&mut ann, json!({"before": 101, "limit": 100})).await;
    assert_eq!(
        (seqs(&last).last(), &last["more"]),
        (Some(&100), &json!(true))
    );
    // A join may hold as much at once; what does not fit follows.
    let mut bo = Browser::enter(installation.gateway, "Bo", &[]).await;
    bo.say(json!({"op": "join", "room": "lobby", "after": 0}))
        .await;
    let joined = bo.expect("joined").await;
    assert!(joined.to_string().len() < 300 * 1_024);
    let mut all = seqs(&joined);
    for event in bo.events("lobby", 100 - all.len()).await {
        all.push(event["seq"].as_u64().unwrap());
    }
    assert_eq!(all, found);
}

async fn readings_that_make_no_sense_are_refused_or_empty(installation: Installation) {
    let mut ann = Browser::enter(installation.gateway, "Ann", &["lobby", "empty"]).await;
    fill(&mut ann, 3, |n| format!("text {n}")).await;
    ann.say(json!({"op": "history", "room": "lobby", "before": 3}))
        .await;
    assert_eq!(ann.expect("error").await["code"], "MALFORMED", "without id");
    for place in [
        json!({}),
        json!({"before": 1, "after": 1}),
        json!({"before": -1}),
        json!({"around": "1"}),
        json!({"at": "yesterday"}),
        json!({"after": 0, "limit": 0}),
        json!({"after": 0, "limit": "all"}),
    ] {
        let refused = read(&mut ann, place.clone()).await;
        assert_eq!(
            (&refused["op"], &refused["code"]),
            (&json!("error"), &json!("MALFORMED")),
            "{place}"
        );
        assert_eq!(refused["room"], "lobby");
    }
    for (place, found) in [
        (json!({"before": 0}), vec![]),
        (json!({"before": 1}), vec![]),
        (json!({"after": 3}), vec![]),
        (json!({"after": 1_000_000}), vec![]),
        (json!({"before": 1_000_000}), vec![1, 2, 3]),
        (json!({"after": 0, "limit": 1_000_000}), vec![1, 2, 3]),
        (json!({"around": 2}), vec![1, 2, 3]),
        (json!({"at": "1969-01-01T00:00:00Z"}), vec![1, 2, 3]),
    ] {
        let answer = read(&mut ann, place.clone()).await;
        assert_eq!(seqs(&answer), found, "{place}");
        assert_eq!(answer["more"], false, "{place}: {answer}");
    }
    ann.say(json!({"op": "history", "id": "e", "room": "empty", "before": 9}))
        .await;
    let answer = ann.find("history", |frame| frame["id"] == "e").await;
    assert_eq!(
        answer,
        json!({"op": "history", "id": "e", "room": "empty", "events": [], "oldest": 1, "head": 0,
            "more": false})
    );
    for (room, code) in [("elsewhere", "NOT_JOINED"), ("a b", "ROOM_INVALID")] {
        ann.say(json!({"op": "history", "id": 7, "room": room, "before": 9}))
            .await;
        let refused = ann.find("error", |frame| frame["id"] == 7).await;
        assert_eq!(
            (&refused["code"], &refused["room"]),
            (&json!(code), &json!(room))
        );
    }
}
