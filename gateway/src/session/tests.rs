//! The protocol by hand: frames go in, the outbox is read. No socket is needed for any of it.

mod changes;
mod entering;
mod history;

use std::time::Duration;

use proto::{
    Limits,
    bus::v1::{Refused, reply},
};
use serde_json::{Value, json};

use super::protocol::Protocol;
use super::*;
use crate::testing::{Core, Owner, drain, frames, seqs, session, settle, taken};

/// A browser without a socket.
struct Browser {
    session: Arc<Session>,
    protocol: Protocol<broker::embedded::Embedded>,
}

impl Browser {
    fn of(core: &Core, id: u64) -> Self {
        let session = session(id, Form::V1);
        core.shared.sessions.open(&session);
        Self {
            protocol: Protocol::new(&core.shared, &session, None),
            session,
        }
    }

    /// One that has said hello.
    fn greeted(core: &Core, id: u64) -> Self {
        let mut browser = Self::of(core, id);
        browser.says(json!({"op": "hello", "nick": "Ann"}));
        assert_eq!(taken(&browser.session)[0]["op"], "welcome");
        browser
    }

    async fn joined(core: &Core, id: u64, room: &str) -> Self {
        let mut browser = Self::greeted(core, id);
        browser.says(json!({"op": "join", "room": room}));
        assert_eq!(browser.hears(1).await[0]["op"], "joined");
        browser
    }

    fn says(&mut self, frame: Value) {
        self.protocol.text(&frame.to_string());
    }

    fn sends(&mut self, room: &str, cid: &str, text: &str) {
        self.says(json!({"op": "send", "room": room, "cid": cid, "text": text}));
    }

    async fn hears(&self, count: usize) -> Vec<Value> {
        frames(&self.session, count).await
    }

    /// The codes of the errors heard at once.
    fn codes(&self) -> Vec<Value> {
        let frames = taken(&self.session).into_iter();
        frames.map(|mut frame| frame["code"].take()).collect()
    }
}

/// What the address of a classic socket asks for.
fn asked(room: &str, history: u32) -> Classic {
    Classic {
        room: room.to_owned(),
        history,
        token: None,
    }
}

async fn core_with_owner() -> (Core, Owner) {
    let core = Core::start().await;
    let owner = Owner::claim(&core.bus, 1).await;
    (core, owner)
}

#[tokio::test(start_paused = true)]
async fn welcome_comes_first_and_then_every_room() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::of(&core, 7);
    ann.says(json!({"op": "hello", "nick": "admin", "rooms": {
        "Lobby": null, "lobby": null, "other": "gen.0", "a b": null, "third": "?",
    }}));
    let heard = ann.hears(7).await;
    let welcome = &heard[0];
    assert_eq!(welcome["op"], "welcome");
    assert_eq!(welcome["v"], 1);
    assert_eq!(welcome["user"]["guest"], true);
    assert_eq!(welcome["limits"]["frame"], 16_384);
    assert_eq!(heard[1]["code"], "NICK_TAKEN");
    let of = |asked: &str| {
        let is_about = |frame: &&Value| frame["asked"] == asked || frame["room"] == asked;
        heard[2..].iter().find(is_about).unwrap().clone()
    };
    assert_eq!(of("Lobby")["op"], "joined");
    assert_eq!(of("other")["op"], "joined");
    assert_eq!(of("a b")["code"], "ROOM_INVALID");
    assert_eq!(of("third")["code"], "MALFORMED");
    let asked: Vec<_> = heard
        .iter()
        .filter(|frame| frame["room"] == "lobby")
        .collect();
    assert_eq!(asked.len(), 2, "each spelling gets an answer");
}

#[tokio::test(start_paused = true)]
async fn the_token_brings_back_the_same_user() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::of(&core, 1);
    ann.says(json!({"op": "hello", "nick": "Ann"}));
    let first = taken(&ann.session).remove(0);
    let mut again = Browser::of(&core, 2);
    again.says(json!({"op": "hello", "token": first["token"]}));
    let second = taken(&again.session).remove(0);
    assert_eq!(second["user"], first["user"]);
    let mut other = Browser::of(&core, 3);
    other.says(json!({"op": "hello", "token": "1.x.y"}));
    assert_eq!(drain(&other.session), (vec![], Some(Close::TOKEN_REFUSED)));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acked_and_comes_to_everybody() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "Lobby").await;
    let ben = Browser::joined(&core, 2, "lobby").await;
    ann.sends("LOBBY", "c1", "好");
    let mut mine = ann.hears(2).await;
    mine.sort_by_key(|frame| frame["op"].to_string());
    assert_eq!(mine[0]["op"], "ack");
    assert_eq!(mine[0]["room"], "lobby");
    assert_eq!(mine[1]["from"]["nick"], "Ann");
    assert_eq!(
        (&mine[0]["seq"], &mine[0]["ts"]),
        (&mine[1]["seq"], &mine[1]["ts"])
    );
    let theirs = ben.hears(1).await;
    assert_eq!(theirs[0], mine[1]);
}

#[tokio::test(start_paused = true)]
async fn checks_come_in_their_order() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    ann.says(json!({"op": "send", "room": "a b", "cid": "?"}));
    ann.says(json!({"op": "send", "room": "a b", "cid": "?", "text": ""}));
    assert_eq!(ann.codes(), ["MALFORMED", "ROOM_INVALID"]);
    ann.sends("other", "?", "");
    ann.hears(0).await;
    settle().await;
    assert_eq!(ann.codes(), ["NOT_JOINED"]);
    ann.sends("lobby", "?", "");
    settle().await;
    assert_eq!(ann.codes(), ["CID_INVALID"]);
    owner.answer_next(reply::Result::Refused(Refused {
        code: "RATE_LIMITED".to_owned(),
        retry_after_ms: 700,
    }));
    ann.sends("lobby", "c1", "x");
    let refused = ann.hears(1).await.remove(0);
    assert_eq!(
        (&refused["cid"], &refused["retry_after_ms"]),
        (&json!("c1"), &json!(700))
    );
    for frame in [
        json!({"op": "hello"}),
        json!({"op": "rooms", "id": 1}),
        json!([]),
    ] {
        ann.says(frame);
    }
    assert_eq!(ann.codes(), ["HELLO_TWICE", "UNKNOWN_OP", "MALFORMED"]);
}

#[tokio::test(start_paused = true)]
async fn operations_on_a_room_wait_for_its_join() {
    let (core, owner) = core_with_owner().await;
    owner.shut();
    let mut ann = Browser::greeted(&core, 1);
    ann.says(json!({"op": "join", "room": "lobby"}));
    ann.sends("lobby", "c1", "1");
    ann.sends("lobby", "c2", "2");
    ann.says(json!({"op": "leave", "room": "lobby"}));
    ann.sends("lobby", "c3", "3");
    owner.has_seen(1).await;
    assert!(taken(&ann.session).is_empty());
    owner.open();
    let heard = ann.hears(4).await;
    assert_eq!(heard[0]["op"], "joined");
    let acks: Vec<_> = heard.iter().filter(|frame| frame["op"] == "ack").collect();
    assert_eq!(
        (&acks[0]["cid"], &acks[1]["cid"]),
        (&json!("c1"), &json!("c2"))
    );
    assert!(
        heard
            .iter()
            .any(|frame| frame["cid"] == "c3" && frame["code"] == "NOT_JOINED")
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_an_unavailable_send_fails_with_it() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    owner.shut();
    for cid in ["c1", "c2", "c3"] {
        ann.sends("lobby", cid, "x");
    }
    tokio::time::sleep(Duration::from_millis(14_900)).await;
    assert!(taken(&ann.session).is_empty());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let heard = taken(&ann.session);
    let cids: Vec<_> = heard.iter().map(|frame| &frame["cid"]).collect();
    assert_eq!(cids, ["c1", "c2", "c3"]);
    assert!(heard.iter().all(|frame| frame["code"] == "UNAVAILABLE"));
    assert!(heard.iter().all(|frame| frame["retry_after_ms"].is_u64()));
    owner.open();
    ann.sends("lobby", "c1", "x");
    assert!(ann.hears(2).await.iter().any(|frame| frame["op"] == "ack"));
}

#[tokio::test(start_paused = true)]
async fn the_room_after_the_last_allowed_is_refused() {
    let core = Core::start_with(Limits {
        rooms: 3,
        rates: false,
        ..Limits::default()
    })
    .await;
    let _owner = Owner::claim(&core.bus, 1).await;
    let mut ann = Browser::of(&core, 1);
    ann.says(json!({"op": "hello", "rooms": {"a": null, "b": null, "c": null, "d": null}}));
    let heard = ann.hears(5).await;
    let refused: Vec<_> = heard
        .iter()
        .filter(|frame| frame["op"] == "error")
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (&refused[0]["code"], &refused[0]["room"]),
        (&json!("TOO_MANY_ROOMS"), &json!("d"))
    );
    ann.says(json!({"op": "join", "room": "A"}));
    assert_eq!(ann.hears(1).await[0]["op"], "joined");
    ann.says(json!({"op": "leave", "room": "a"}));
    ann.says(json!({"op": "join", "room": "d"}));
    assert_eq!(ann.hears(1).await[0]["op"], "joined");
}

#[tokio::test(start_paused = true)]
async fn a_nick_is_told_to_all_who_share_a_room() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    let ben = Browser::joined(&core, 2, "lobby").await;
    let cid = Browser::joined(&core, 3, "elsewhere").await;
    ann.says(json!({"op": "nick", "nick": " 伟 "}));
    let mine = ann.hears(2).await;
    assert_eq!(
        (&mine[0]["op"], &mine[1]["op"]),
        (&json!("token"), &json!("user"))
    );
    let theirs = ben.hears(1).await;
    assert_eq!(theirs[0], mine[1]);
    assert_eq!(theirs[0]["nick"], "伟");
    settle().await;
    assert!(taken(&cid.session).is_empty());
    ann.sends("lobby", "c1", "x");
    assert_eq!(ben.hears(1).await[0]["from"]["nick"], "伟");
    ann.says(json!({"op": "nick", "nick": "\u{202e}"}));
    ann.says(json!({"op": "nick", "nick": "5ystem"}));
    settle().await;
    let codes = ann.codes();
    assert!(codes.contains(&json!("NICK_INVALID")) && codes.contains(&json!("NICK_TAKEN")));
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_must_be_hello() {
    let (core, _owner) = core_with_owner().await;
    for frame in [json!({"op": "ping", "t": 1}), json!({"op": "rooms"})] {
        let mut ann = Browser::of(&core, 1);
        ann.says(frame);
        assert_eq!(drain(&ann.session), (vec![], Some(Close::NO_HELLO)));
    }
    let mut ann = Browser::of(&core, 1);
    ann.protocol.text("?");
    ann.protocol.binary();
    assert_eq!(ann.codes(), ["MALFORMED", "MALFORMED"]);
    for _ in 0..8 {
        ann.protocol.text("?");
    }
    assert_eq!(drain(&ann.session).1, Some(Close::MALFORMED));
}

#[tokio::test(start_paused = true)]
async fn too_many_operations_are_refused_and_then_cut() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::greeted(&core, 1);
    for _ in 0..29 {
        ann.says(json!({"op": "ping", "t": "x"}));
    }
    assert!(
        taken(&ann.session)
            .iter()
            .all(|frame| frame["op"] == "pong")
    );
    ann.sends("lobby", "c1", "x");
    let refused = taken(&ann.session).remove(0);
    assert_eq!(
        (&refused["code"], &refused["cid"]),
        (&json!("RATE_LIMITED"), &json!("c1"))
    );
    assert!(
        refused["retry_after_ms"]
            .as_u64()
            .is_some_and(|wait| (1..=500).contains(&wait))
    );
    ann.says(json!({"op": "ping", "t": 1}));
    ann.says(json!({"op": "ping", "t": 1}));
    assert_eq!(drain(&ann.session).1, Some(Close::TOO_MANY_OPS));
}

#[tokio::test(start_paused = true)]
async fn a_classic_socket_joins_at_once() {
    let (core, owner) = core_with_owner().await;
    owner.say("lobby", "before").await;
    let session = session(1, Form::Classic);
    let mut protocol = Protocol::new(&core.shared, &session, None);
    protocol.classic(Ok(&asked("Lobby", 0)));
    protocol.text(r#"{"message":"hi"}"#);
    let heard = frames(&session, 1).await;
    assert_eq!(heard, [json!({"message": "2026-11-23 07:00:00:hi"})]);
    protocol.text("hi");
    let heard = frames(&session, 1).await;
    assert!(heard[0]["error"].as_str().unwrap().contains("message"));
    assert!(!session.outbox.is_closing());
    let odd = self::session(2, Form::Classic);
    Protocol::new(&core.shared, &odd, None).classic(Ok(&asked("a b", 0)));
    let (heard, close) = drain(&odd);
    assert!(heard[0]["error"].is_string());
    assert_eq!(close, Some(Close::DONE));
}

#[tokio::test(start_paused = true)]
async fn a_closed_socket_is_in_no_room() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    owner.shut();
    ann.says(json!({"op": "join", "room": "other"}));
    ann.sends("lobby", "c1", "last words");
    owner.has_seen(2).await;
    ann.session.end();
    owner.open();
    let ben = Browser::joined(&core, 2, "lobby").await;
    assert_eq!(seqs(&ben.hears(0).await), [0_u64; 0]);
    settle().await;
    let counts = core.shared.hub.counts();
    assert_eq!(counts.len(), 1);
    assert_eq!(counts[0].sockets, 1);
    // What was read is sent all the same.
    let cid = Browser::greeted(&core, 3);
    drop(cid);
    let room = core
        .shared
        .hub
        .get(&RoomId::parse("lobby").unwrap())
        .unwrap();
    assert_eq!(room.head(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_speak_the_language_of_hello() {
    let (core, _owner) = core_with_owner().await;
    let mut ann = Browser::of(&core, 1);
    ann.says(json!({"op": "hello", "lang": "zh-TW"}));
    ann.says(json!({"op": "hello"}));
    let heard = taken(&ann.session);
    assert_eq!(heard[1]["message"], "已经发送过 hello");
}

#[tokio::test(start_paused = true)]
async fn a_socket_closed_while_it_joins_again_takes_nobody_with_it() {
    let (core, owner) = core_with_owner().await;
    let mut ann = Browser::joined(&core, 1, "lobby").await;
    let ben = Browser::joined(&core, 2, "lobby").await;
    // Her socket takes nothing, so the join waits for it.
    for _ in 0..100 {
        owner.say("lobby", "x").await;
    }
    assert_eq!(seqs(&ben.hears(100).await).len(), 100);
    ann.says(json!({"op": "join", "room": "lobby"}));
    settle().await;
    ann.session.end();
    // Longer than an idle room is kept.
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(core.shared.hub.counts()[0].sockets, 1);
    owner.say("lobby", "still here").await;
    assert_eq!(seqs(&ben.hears(1).await), [101]);
    ben.session.end();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(core.shared.metrics.hub_rooms.get(), 0);
}
