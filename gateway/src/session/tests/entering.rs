//! Before and at `hello`, and how many rooms a session has.

use super::*;

/// A gateway for sessions of so many rooms, with operations unlimited.
async fn core_of_rooms(rooms: u32) -> (Core, Owner) {
    let core = Core::start_with(Limits {
        rooms,
        rates: false,
        ..Limits::default()
    })
    .await;
    let owner = Owner::claim(&core.bus, 1).await;
    (core, owner)
}

#[tokio::test(start_paused = true)]
async fn an_op_before_hello_closes_whatever_its_shape() {
    let (core, _owner) = core_with_owner().await;
    for frame in [
        r#"{"op":"ping"}"#,
        r#"{"op":"join"}"#,
        r#"{"op":"send","room":"a"}"#,
        r#"{"op":"send","room":"a","text":"\ud83d"}"#,
        r#"{"op":"history"}"#,
    ] {
        let mut ann = Browser::of(&core, 1);
        ann.protocol.text(frame);
        assert_eq!(
            drain(&ann.session),
            (vec![], Some(Close::NO_HELLO)),
            "{frame}"
        );
    }
    for frame in [
        "{}",
        "x",
        r#"{"op":7}"#,
        r#"{"op":"hello","nick":7}"#,
        r#"{"op":"hello","nick":"\ud83d"}"#,
    ] {
        let mut ann = Browser::of(&core, 1);
        ann.protocol.text(frame);
        assert_eq!(ann.codes(), ["MALFORMED"], "{frame}");
        assert!(!ann.session.outbox.is_closing());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_of_a_hello_repeats_its_id() {
    let (core, _owner) = core_of_rooms(1).await;
    let mut ann = Browser::of(&core, 1);
    ann.says(json!({"op": "hello", "id": "h", "nick": "admin", "rooms": {
        "a b": null, "third": "?", "lobby": null, "other": null,
    }}));
    let heard = ann.hears(6).await;
    let errors: Vec<_> = heard
        .iter()
        .filter(|frame| frame["op"] == "error")
        .map(|error| (&error["code"], &error["id"], &error["room"]))
        .collect();
    let (id, null) = (json!("h"), Value::Null);
    let [taken, invalid, malformed, many] =
        ["NICK_TAKEN", "ROOM_INVALID", "MALFORMED", "TOO_MANY_ROOMS"].map(Value::from);
    let [odd, third, other] = ["a b", "third", "other"].map(Value::from);
    assert_eq!(
        errors,
        [
            (&taken, &id, &null),
            (&invalid, &id, &odd),
            (&malformed, &id, &third),
            (&many, &id, &other)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_51st_room_of_a_hello_is_the_51st_that_was_sent() {
    let (core, _owner) = core_of_rooms(50).await;
    let rooms: serde_json::Map<_, _> = (0..=50)
        .rev()
        .map(|number| (format!("r{number}"), Value::Null))
        .collect();
    let mut ann = Browser::of(&core, 1);
    ann.says(json!({"op": "hello", "rooms": rooms}));
    let heard = ann.hears(52).await;
    let refused: Vec<_> = heard
        .iter()
        .filter(|frame| frame["op"] == "error")
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (&refused[0]["code"], &refused[0]["room"]),
        (&json!("TOO_MANY_ROOMS"), &json!("r0"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_left_and_joined_again_keeps_its_place() {
    let (core, _owner) = core_of_rooms(1).await;
    let mut ann = Browser::joined(&core, 1, "a").await;
    ann.says(json!({"op": "leave", "room": "a"}));
    ann.says(json!({"op": "join", "room": "a"}));
    ann.says(json!({"op": "join", "room": "b"}));
    let heard = ann.hears(2).await;
    assert_eq!(
        (&heard[0]["code"], &heard[0]["room"]),
        (&json!("TOO_MANY_ROOMS"), &json!("b"))
    );
    assert_eq!(
        (&heard[1]["op"], &heard[1]["room"]),
        (&json!("joined"), &json!("a"))
    );
    ann.says(json!({"op": "join", "room": "b"}));
    assert_eq!(ann.hears(1).await[0]["code"], "TOO_MANY_ROOMS");
    assert_eq!(ann.session.rooms(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_fails_gives_its_place_back_unless_another_wants_it() {
    let (core, owner) = core_of_rooms(1).await;
    let unavailable = || {
        reply::Result::Refused(Refused {
            code: "ROOM_UNKNOWN".to_owned(),
            retry_after_ms: 0,
        })
    };
    let mut ann = Browser::greeted(&core, 1);
    owner.answer_next(unavailable());
    ann.says(json!({"op": "join", "room": "a"}));
    ann.says(json!({"op": "join", "room": "a"}));
    let heard = ann.hears(2).await;
    assert_eq!(
        (&heard[0]["code"], &heard[1]["op"]),
        (&json!("ROOM_UNKNOWN"), &json!("joined"))
    );
    ann.says(json!({"op": "join", "room": "b"}));
    assert_eq!(ann.hears(1).await[0]["code"], "TOO_MANY_ROOMS");
    ann.says(json!({"op": "leave", "room": "a"}));
    owner.answer_next(unavailable());
    ann.says(json!({"op": "join", "room": "b"}));
    assert_eq!(ann.hears(1).await[0]["code"], "ROOM_UNKNOWN");
    ann.says(json!({"op": "join", "room": "c"}));
    assert_eq!(ann.hears(1).await[0]["op"], "joined");
}

#[tokio::test(start_paused = true)]
async fn malformed_frames_count_though_the_limit_of_operations_is_reached() {
    let core = Core::start_with(Limits {
        ops_burst: 4,
        ops_per_minute: 60,
        ..Limits::default()
    })
    .await;
    let mut ann = Browser::greeted(&core, 1);
    for _ in 0..3 {
        ann.protocol.text("?");
    }
    ann.protocol.binary();
    ann.protocol.text("?");
    let heard = ann.codes();
    assert_eq!(heard[..3], ["MALFORMED", "MALFORMED", "MALFORMED"]);
    assert_eq!(heard[3..], ["RATE_LIMITED", "RATE_LIMITED"]);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ann.protocol.text("?");
    }
    assert_eq!(drain(&ann.session).1, Some(Close::MALFORMED));
}

#[tokio::test(start_paused = true)]
async fn a_nick_is_told_in_the_rooms_of_all_sockets_of_its_user() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::of(&core, 1);
    ann.says(json!({"op": "hello", "nick": "Ann", "rooms": {"one": null}}));
    let token = ann.hears(2).await[0]["token"].clone();
    let mut phone = Browser::of(&core, 2);
    phone.says(json!({"op": "hello", "token": token, "rooms": {"two": null}}));
    phone.hears(2).await;
    let ben = Browser::joined(&core, 3, "two").await;
    ann.says(json!({"op": "nick", "nick": "Anna"}));
    for session in [&ben.session, &phone.session] {
        let user = frames(session, 1).await;
        assert_eq!(
            user,
            [json!({"op": "user", "id": user[0]["id"], "nick": "Anna"})]
        );
    }
    phone.sends("two", "c1", "me too");
    assert_eq!(ben.hears(1).await[0]["from"]["nick"], "Anna");
    // Both sockets closed, nobody is remembered.
    let id = ann.session.who().id;
    for browser in [&ann, &phone] {
        core.shared.sessions.close(&browser.session);
    }
    assert!(core.shared.sessions.of_user(&id).is_empty());
}
