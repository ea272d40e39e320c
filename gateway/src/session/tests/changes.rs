//! Edits, deletions and reactions: sends like any other.

use proto::bus::v1::send;

use super::*;

#[tokio::test(start_paused = true)]
async fn edits_reactions_and_deletions_are_acked_and_come_to_everybody() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    let ben = Browser::joined(&core, 2, "lobby").await;
    ann.sends("lobby", "c1", "frist");
    ann.says(json!({
        "op": "edit", "room": "Lobby", "cid": "c2", "target": 1, "text": "first", "since": 0,
    }));
    ann.says(json!({
        "op": "react", "room": "lobby", "cid": "c3", "target": 1, "emoji": "👍", "on": true,
    }));
    ann.says(json!({"op": "delete", "room": "lobby", "cid": "c4", "target": 1}));
    let mine = ann.hears(8).await;
    let acks: Vec<_> = mine.iter().filter(|frame| frame["op"] == "ack").collect();
    for (seq, ack) in (1..).zip(&acks) {
        assert_eq!(
            (&ack["cid"], &ack["seq"]),
            (&json!(format!("c{seq}")), &json!(seq))
        );
    }
    assert_eq!(acks.len(), 4);
    assert!(acks.iter().all(|ack| ack["room"] == "lobby"));
    let theirs = ben.hears(4).await;
    let parts: Vec<_> = theirs
        .iter()
        .map(|event| {
            let mut event = event.clone();
            for varying in ["ts", "from", "op", "room", "gen"] {
                event.as_object_mut().unwrap().remove(varying);
            }
            event
        })
        .collect();
    assert_eq!(
        parts[1..],
        [
            json!({"seq": 2, "kind": "edit", "cid": "c2", "target": 1, "text": "first"}),
            json!({"seq": 3, "kind": "reaction", "cid": "c3", "target": 1, "emoji": "👍",
                "on": true, "count": 1}),
            json!({"seq": 4, "kind": "delete", "cid": "c4", "target": 1}),
        ]
    );
    assert_eq!(owner.sends()[1].since, Some(0), "the client's");
    let redacts = |send: &proto::bus::v1::Send| match &send.body {
        Some(send::Body::Delete(delete)) => delete.redact,
        _ => false,
    };
    assert!(!owner.sends().iter().any(redacts), "no browser redacts");
}

#[tokio::test(start_paused = true)]
async fn changes_are_checked_like_sends() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    for (frame, code) in [
        (
            json!({"op": "edit", "room": "lobby", "cid": "c", "text": "x"}),
            "MALFORMED",
        ),
        (
            json!({"op": "delete", "room": "lobby", "cid": "c", "target": -1}),
            "MALFORMED",
        ),
        (
            json!({"op": "react", "room": "lobby", "cid": "c", "target": 1, "emoji": "x", "on": 1}),
            "MALFORMED",
        ),
        (
            json!({"op": "delete", "room": "a b", "cid": "c", "target": 1}),
            "ROOM_INVALID",
        ),
        (
            json!({"op": "delete", "room": "other", "cid": "?", "target": 1}),
            "NOT_JOINED",
        ),
        (
            json!({"op": "delete", "room": "lobby", "cid": "?", "target": 1}),
            "CID_INVALID",
        ),
        (
            json!({"op": "delete", "room": "lobby", "target": 1}),
            "CID_INVALID",
        ),
    ] {
        let (room, cid) = (frame["room"].clone(), frame["cid"].clone());
        ann.says(frame);
        let refused = ann.hears(1).await.remove(0);
        assert_eq!(refused["code"], code);
        assert_eq!((&refused["room"], &refused["cid"]), (&room, &cid));
    }
    assert!(owner.sends().is_empty());
    for code in [
        "TARGET_UNKNOWN",
        "NOT_YOURS",
        "EDIT_TOO_LATE",
        "CID_EXPIRED",
    ] {
        owner.answer_next(reply::Result::Refused(Refused {
            code: code.to_owned(),
            retry_after_ms: 0,
        }));
        ann.says(json!({"op": "edit", "room": "lobby", "cid": "c", "target": 1, "text": "x"}));
        let refused = ann.hears(1).await.remove(0);
        assert_eq!(
            (&refused["code"], &refused["cid"]),
            (&json!(code), &json!("c"))
        );
        assert_eq!(refused.get("retry_after_ms"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_the_same_cid_and_since() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "1").await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    owner.shut();
    ann.sends("lobby", "c1", "x");
    owner.has_seen(2).await;
    owner.say("lobby", "2").await;
    // Longer than the first deadline.
    tokio::time::sleep(Duration::from_millis(400)).await;
    owner.say("lobby", "3").await;
    owner.open();
    settle().await;
    let acks = taken(&ann.session);
    let acks: Vec<_> = acks.iter().filter(|frame| frame["op"] == "ack").collect();
    assert_eq!(acks.len(), 1, "{acks:?}");
    let sends = owner.sends();
    assert!(sends.len() >= 2, "{sends:?}");
    for send in &sends {
        assert_eq!((send.cid.as_str(), send.since), ("c1", Some(1)));
    }
    assert_eq!(owner.head("lobby"), 4, "it is there once");
}

#[tokio::test(start_paused = true)]
async fn classic_members_see_neither_edits_nor_reactions_nor_deletions() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    let session = session(2, Form::Classic);
    Protocol::new(&core.shared, &session, None).classic(Ok(&asked("lobby", 0)));
    settle().await;
    ann.sends("lobby", "c1", "gone soon");
    ann.says(json!({"op": "edit", "room": "lobby", "cid": "c2", "target": 1, "text": "x"}));
    ann.says(
        json!({"op": "react", "room": "lobby", "cid": "c3", "target": 1, "emoji": "x", "on": true}),
    );
    ann.says(json!({"op": "delete", "room": "lobby", "cid": "c4", "target": 1}));
    ann.sends("lobby", "c5", "stays");
    ann.hears(10).await;
    let said = |text| json!({"message": format!("2026-11-23 07:00:00:{text}")});
    assert_eq!(taken(&session), [said("gone soon"), said("stays")]);
    let later = self::session(3, Form::Classic);
    Protocol::new(&core.shared, &later, None).classic(Ok(&asked("lobby", 50)));
    assert_eq!(
        frames(&later, 1).await,
        [said("stays")],
        "what was deleted is not shown"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_event_0_is_to_no_event() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    ann.says(json!({"op": "send", "room": "lobby", "cid": "c", "text": "x", "reply_to": 0}));
    assert_eq!(ann.hears(1).await[0]["code"], "TARGET_UNKNOWN");
    assert!(owner.sends().is_empty());
}
