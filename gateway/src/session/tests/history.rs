//! Readings at any depth, and cursors.

use proto::bus::v1::history::Place;

use super::*;

/// A room of so many events, and somebody in it.
async fn in_a_room_of(count: usize) -> (Core, Owner, Browser) {
    let (core, owner) = core_with_owner().await;
    for number in 1..=count {
        owner.append("lobby", &format!("text {number}"));
    }
    let ann = Browser::joined(&core, 1, "lobby").await;
    (core, owner, ann)
}

fn seqs_in(frame: &Value) -> Vec<u64> {
    let events = frame["events"].as_array().unwrap();
    events
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn history_is_read_at_any_depth() {
    let (_core, owner, mut ann) = in_a_room_of(300).await;
    ann.says(json!({"op": "history", "id": "h1", "room": "LOBBY", "before": 101, "limit": 3}));
    let answer = ann.hears(1).await.remove(0);
    assert_eq!(answer["events"][0]["text"], "text 98");
    for absent in ["op", "room", "gen"] {
        assert_eq!(answer["events"][0].get(absent), None);
    }
    assert_eq!(seqs_in(&answer), [98, 99, 100]);
    let mut rest = answer.clone();
    rest.as_object_mut().unwrap().remove("events");
    assert_eq!(
        rest,
        json!({"op": "history", "id": "h1", "room": "lobby", "oldest": 1, "head": 300, "more": true})
    );
    ann.says(json!({"op": "history", "id": 2, "room": "lobby", "after": 298}));
    let answer = ann.hears(1).await.remove(0);
    assert_eq!((&answer["id"], &answer["more"]), (&json!(2), &json!(false)));
    assert_eq!(seqs_in(&answer), [299, 300]);
    ann.says(json!({"op": "history", "id": 3, "room": "lobby", "around": 7, "limit": 1_000}));
    ann.says(json!({
        "op": "history", "id": 4, "room": "lobby", "at": "2026-11-23T07:00:00.050Z", "limit": 1,
    }));
    let answers = ann.hears(2).await;
    assert_eq!(seqs_in(&answers[1]), [50]);
    let asked = owner.histories();
    assert_eq!(
        asked
            .iter()
            .map(|history| history.limit)
            .collect::<Vec<_>>(),
        [3, 50, 100, 1]
    );
    assert_eq!(asked[0].place, Some(Place::Before(101)));
    assert_eq!(asked[2].place, Some(Place::Around(7)));
    assert_eq!(asked[3].place, Some(Place::AtMs(1_795_417_200_050)));
    assert!(
        asked.iter().all(|history| history.min_seq == 300),
        "what was shown is known"
    );
}

#[tokio::test(start_paused = true)]
async fn history_shows_the_present_state_of_messages() {
    let (_core, _owner, mut ann) = in_a_room_of(3).await;
    ann.says(json!({"op": "edit", "room": "lobby", "cid": "a", "target": 1, "text": "better"}));
    ann.says(
        json!({"op": "react", "room": "lobby", "cid": "b", "target": 1, "emoji": "👍", "on": true}),
    );
    ann.says(json!({"op": "delete", "room": "lobby", "cid": "c", "target": 2}));
    ann.hears(6).await;
    ann.says(json!({"op": "history", "id": 1, "room": "lobby", "before": 4}));
    let answer = ann.hears(1).await.remove(0);
    let [first, second, third] = answer["events"].as_array().unwrap().as_slice() else {
        panic!("{answer}");
    };
    assert_eq!(
        (&first["text"], &first["reactions"]),
        (&json!("better"), &json!({"👍": 1}))
    );
    assert!(first["edited_at"].is_string());
    assert_eq!(
        (second.get("text"), &second["deleted"]),
        (None, &json!(true))
    );
    assert_eq!(third["text"], "text 3");
    for absent in ["edited_at", "deleted", "reactions"] {
        assert_eq!(third.get(absent), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_is_refused_says_which_one_it_was() {
    let (_core, owner, mut ann) = in_a_room_of(1).await;
    for (frame, code) in [
        (
            json!({"op": "history", "room": "lobby", "before": 1}),
            "MALFORMED",
        ),
        (
            json!({"op": "history", "id": 1, "room": "lobby"}),
            "MALFORMED",
        ),
        (
            json!({"op": "history", "id": 1, "room": "lobby", "before": 1, "after": 1}),
            "MALFORMED",
        ),
        (
            json!({"op": "history", "id": 1, "room": "lobby", "after": 1, "limit": 0}),
            "MALFORMED",
        ),
        (
            json!({"op": "history", "id": 1, "room": "a b", "before": 1}),
            "ROOM_INVALID",
        ),
        (
            json!({"op": "history", "id": "x", "room": "Other", "before": 1}),
            "NOT_JOINED",
        ),
    ] {
        let (id, room) = (frame["id"].clone(), frame["room"].clone());
        ann.says(frame);
        let refused = ann.hears(1).await.remove(0);
        assert_eq!(
            (&refused["code"], &refused["id"], &refused["room"]),
            (&json!(code), &id, &room)
        );
    }
    assert!(owner.histories().is_empty());
    owner.answer_next(reply::Result::Refused(Refused {
        code: "UNAVAILABLE".to_owned(),
        retry_after_ms: 400,
    }));
    ann.says(json!({"op": "history", "id": 9, "room": "lobby", "before": 1}));
    let refused = ann.hears(1).await.remove(0);
    assert_eq!(
        (&refused["id"], &refused["retry_after_ms"]),
        (&json!(9), &json!(400))
    );
}

#[tokio::test(start_paused = true)]
async fn a_reading_without_an_owner_fails_with_what_waits_behind_it() {
    let (_core, owner, mut ann) = in_a_room_of(1).await;
    owner.stop();
    ann.says(json!({"op": "history", "id": 1, "room": "lobby", "before": 1}));
    ann.sends("lobby", "c1", "x");
    ann.says(json!({"op": "history", "id": 2, "room": "lobby", "before": 1}));
    tokio::time::sleep(Duration::from_millis(14_900)).await;
    assert!(taken(&ann.session).is_empty());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let heard = taken(&ann.session);
    let which: Vec<_> = heard
        .iter()
        .map(|frame| (&frame["id"], &frame["cid"]))
        .collect();
    let null = Value::Null;
    assert_eq!(
        which,
        [
            (&json!(1), &null),
            (&null, &json!("c1")),
            (&json!(2), &null)
        ]
    );
    assert!(heard.iter().all(|frame| frame["code"] == "UNAVAILABLE"));
    assert!(heard.iter().all(|frame| frame["retry_after_ms"].is_u64()));
}

#[tokio::test(start_paused = true)]
async fn a_reading_waits_for_the_join_before_it() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let mut ann = Browser::greeted(&core, 1);
    ann.says(json!({"op": "join", "room": "lobby"}));
    ann.says(json!({"op": "history", "id": 1, "room": "lobby", "after": 0}));
    let heard = ann.hears(2).await;
    assert_eq!(
        (&heard[0]["op"], &heard[1]["op"]),
        (&json!("joined"), &json!("history"))
    );
    assert_eq!(seqs_in(&heard[1]), [1]);
    for frame in &heard {
        assert_eq!(
            frame["events"][0]["gen"], "gen1",
            "the first event has the numbering"
        );
        assert_eq!(frame["events"][0].get("room"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_read_only_for_a_socket_that_takes_it() {
    let (_core, owner, mut ann) = in_a_room_of(1).await;
    for _ in 0..100 {
        owner.say("lobby", "x").await;
    }
    settle().await;
    ann.says(json!({"op": "history", "id": 1, "room": "lobby", "after": 0, "limit": 100}));
    settle().await;
    assert!(
        owner.histories().is_empty(),
        "a hundred events wait for the socket"
    );
    ann.hears(100).await;
    assert_eq!(ann.hears(1).await[0]["op"], "history");
}

/// PROTOCOL section 4 rule 4.
#[tokio::test(start_paused = true)]
async fn a_cursor_gets_what_it_lacks_or_is_told_of_the_gap() {
    let (core, owner) = core_with_owner().await;
    for number in 1..=600 {
        owner.append("lobby", &format!("text {number}"));
    }
    let none = Value::Null;
    let reset = json!({"reset": true});
    let cases = [
        (json!(null), 551..601, none.clone()),
        (json!("gen1.100"), 101..601, none.clone()),
        (json!("gen1.99"), 551..601, json!({"from": 100, "to": 550})),
        (json!(599), 600..601, none.clone()),
        (json!(600), 601..601, none.clone()),
        (json!(601), 551..601, reset.clone()),
        (json!("other.10"), 551..601, reset),
        (json!("other.0"), 551..601, json!({"from": 1, "to": 550})),
    ];
    for (id, (after, seqs, gap)) in (1..).zip(cases) {
        let mut ann = Browser::greeted(&core, id);
        ann.says(json!({"op": "join", "room": "lobby", "after": after}));
        let joined = ann.hears(1).await.remove(0);
        assert_eq!(seqs_in(&joined), seqs.collect::<Vec<_>>(), "{after}");
        assert_eq!(joined["gap"], gap, "{after}");
        assert_eq!(
            joined.as_object().unwrap().contains_key("gap"),
            !gap.is_null()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_kept_is_a_gap() {
    for (after, gap) in [
        (json!(588), json!({"from": 589, "to": 589})),
        (json!(0), json!({"from": 1, "to": 589})),
        (json!(589), Value::Null),
    ] {
        let (core, owner) = core_with_owner().await;
        for number in 1..=600 {
            owner.append("lobby", &format!("text {number}"));
        }
        owner.forget_below(590);
        let mut ann = Browser::greeted(&core, 1);
        ann.says(json!({"op": "join", "room": "lobby", "after": after}));
        let joined = ann.hears(1).await.remove(0);
        assert_eq!(
            (&joined["gap"], &joined["oldest"]),
            (&gap, &json!(590)),
            "{after}"
        );
        assert_eq!(seqs_in(&joined), (590..=600).collect::<Vec<_>>());
    }
}
