use serde_json::json;

use super::*;

fn rejected(text: &str) -> Box<Rejected> {
    match parse(text) {
        Err(rejected) => rejected,
        Ok(frame) => panic!("{text} was taken as {frame:?}"),
    }
}

fn taken(text: &str) -> ClientFrame {
    parse(text).unwrap().0
}

#[test]
fn what_is_malformed_names_the_field() {
    for (text, field) in [
        ("", "not JSON"),
        ("hi", "not JSON"),
        ("{\"op\":\"ping\"", "not JSON"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        ("\"hello\"", "JSON object"),
        ("{}", "`op`"),
        (r#"{"op":null}"#, "`op`"),
        (r#"{"op":5}"#, "`op`"),
        (r#"{"op":"join"}"#, "`room`"),
        (r#"{"op":"join","room":5}"#, "`room`"),
        (r#"{"op":"join","room":null}"#, "`room`"),
        (r#"{"op":"join","room":"a","after":"7"}"#, "`after`"),
        (r#"{"op":"join","room":"a","after":-7}"#, "`after`"),
        (r#"{"op":"leave"}"#, "`room`"),
        (r#"{"op":"send","room":"a","cid":"1"}"#, "`text`"),
        (r#"{"op":"send","room":"a","cid":"1","text":7}"#, "`text`"),
        (r#"{"op":"send","text":"x","cid":"1"}"#, "`room`"),
        (
            r#"{"op":"send","room":"a","text":"x","cid":"1","since":-1}"#,
            "`since`",
        ),
        (
            r#"{"op":"send","room":"a","text":"x","cid":"1","reply_to":"1"}"#,
            "`reply_to`",
        ),
        (r#"{"op":"nick"}"#, "`nick`"),
        (r#"{"op":"nick","nick":["a"]}"#, "`nick`"),
        (r#"{"op":"ping"}"#, "`t`"),
        (r#"{"op":"ping","t":null}"#, "`t`"),
        (r#"{"op":"hello","token":1}"#, "`token`"),
        (r#"{"op":"hello","rooms":["a"]}"#, "`rooms`"),
        (
            r#"{"op":"send","room":"a","cid":"1","text":"\ud83d"}"#,
            "surrogate",
        ),
        (
            r#"{"op":"edit","room":"a","cid":"1","text":"x"}"#,
            "`target`",
        ),
        (r#"{"op":"edit","room":"a","cid":"1","target":1}"#, "`text`"),
        (r#"{"op":"delete","room":"a","target":"1"}"#, "`target`"),
        (
            r#"{"op":"react","room":"a","target":1,"emoji":"x"}"#,
            "`on`",
        ),
        (
            r#"{"op":"react","room":"a","target":1,"on":true}"#,
            "`emoji`",
        ),
        (r#"{"op":"history","room":"a","before":5}"#, "`id`"),
        (r#"{"op":"history","id":1,"before":5}"#, "`room`"),
        (r#"{"op":"history","id":1,"room":"a"}"#, "one of"),
        (
            r#"{"op":"history","id":1,"room":"a","before":5,"after":5}"#,
            "one of",
        ),
        (r#"{"op":"history","id":1,"room":"a","at":"noon"}"#, "`at`"),
        (
            r#"{"op":"history","id":1,"room":"a","after":5,"limit":0}"#,
            "`limit`",
        ),
    ] {
        let rejected = rejected(text);
        assert_eq!(rejected.code, Code::Malformed, "{text}");
        assert!(rejected.why.contains(field), "{text}: {}", rejected.why);
    }
}

#[test]
fn an_unknown_op_is_not_malformed() {
    for text in [
        r#"{"op":"dance"}"#,
        r#"{"op":""}"#,
        r#"{"op":"typing","room":"a","on":true}"#,
        r#"{"op":"Hello"}"#,
    ] {
        assert_eq!(rejected(text).code, Code::UnknownOp, "{text}");
    }
}

#[test]
fn an_error_repeats_what_was_a_string() {
    let echo = |text| serde_json::to_value(rejected(text).echo).unwrap();
    assert_eq!(
        echo(r#"{"op":"send","room":"a","cid":"c1","id":7}"#),
        json!({"room": "a", "cid": "c1", "id": 7})
    );
    assert_eq!(
        echo(r#"{"op":"send","room":5,"cid":null,"id":"","text":"x"}"#),
        json!({})
    );
    assert_eq!(
        echo(r#"{"op":"send","room":"a","cid":"c1","text":"\udead"}"#),
        json!({"room": "a", "cid": "c1"})
    );
    assert_eq!(
        echo(r#"{"op":"send","room":"\udead","cid":"c1","text":"x"}"#),
        json!({"cid": "c1"})
    );
    assert_eq!(echo(r#"{"op":"x","id":1.5}"#), json!({}));
    assert_eq!(
        echo("{\"op\":\"send\",\"room\":\"\u{fdd0}\",\"cid\":\"c1\"}"),
        json!({"room": "\u{fdd0}", "cid": "c1"}),
        "odd, but a character"
    );
}

#[test]
fn the_op_is_known_of_what_is_rejected() {
    for (text, op) in [
        (r#"{"op":"ping"}"#, Some("ping")),
        (r#"{"op":"dance"}"#, Some("dance")),
        (r#"{"op":"send","text":"\ud83d"}"#, Some("send")),
        (r#"{"op":"\ud83d"}"#, None),
        (r#"{"op":5}"#, None),
        ("[]", None),
    ] {
        assert_eq!(rejected(text).op.as_deref(), op, "{text}");
    }
}

#[test]
fn rooms_of_hello_keep_their_order() {
    let ClientFrame::Hello(hello) = taken(r#"{"op":"hello","rooms":{"r9":null,"r10":null,"a":0}}"#)
    else {
        panic!();
    };
    let rooms: Vec<_> = hello.rooms.iter().map(|(room, _)| room.as_str()).collect();
    assert_eq!(rooms, ["r9", "r10", "a"]);
}

#[test]
fn every_op_is_read() {
    let hello = taken(
        r#"{"op":"hello","token":null,"nick":"Ann","lang":"zh","rooms":{"a":null,"b":"g.3","c":"?"},"x":1}"#,
    );
    let ClientFrame::Hello(hello) = hello else {
        panic!("{hello:?}");
    };
    assert_eq!(hello.nick.as_deref(), Some("Ann"));
    assert_eq!(hello.token, None);
    assert_eq!(hello.rooms.len(), 3);
    assert_eq!(hello.rooms[0], ("a".to_owned(), Ok(None)));
    assert!(hello.rooms[2].1.is_err());
    let join = ClientFrame::Join {
        room: "a".to_owned(),
        after: None,
    };
    assert_eq!(taken(r#"{"op":"join","room":"a","after":null}"#), join);
    let ClientFrame::Send(send) =
        taken(r#"{"op":"send","room":"a","cid":"A-z_9","text":"好","reply_to":3,"since":0}"#)
    else {
        panic!();
    };
    assert_eq!(send.cid.as_deref(), Some("A-z_9"));
    let message = Body::Message {
        text: "好".to_owned(),
        reply_to: Some(3),
    };
    assert_eq!((send.body, send.since), (message, Some(0)));
    let ClientFrame::Send(react) =
        taken(r#"{"op":"react","room":"a","cid":"1","target":2,"emoji":"👍","on":false}"#)
    else {
        panic!();
    };
    let body = Body::React {
        target: 2,
        emoji: "👍".to_owned(),
        on: false,
    };
    assert_eq!(react.body, body);
    let history = ClientFrame::History(History {
        room: "a".to_owned(),
        place: Place::At(1_795_762_800_000),
        limit: Some(500),
    });
    let text = r#"{"op":"history","id":1,"room":"a","at":"2026-11-27T07:00:00Z","limit":500}"#;
    assert_eq!(taken(text), history);
    for t in ["1", "1.5", "\"x\"", "-3"] {
        let ClientFrame::Ping { t: value } = taken(&format!(r#"{{"op":"ping","t":{t}}}"#)) else {
            panic!();
        };
        assert_eq!(serde_json::to_string(&value).unwrap(), t);
    }
}

#[test]
fn a_bad_cid_is_left_to_be_refused_after_the_room() {
    let long = "c".repeat(37);
    for cid in ["", "a b", "é", "a.b", &long] {
        let text = json!({"op": "send", "room": "a", "text": "x", "cid": cid}).to_string();
        let (frame, echo) = parse(&text).unwrap();
        assert!(matches!(frame, ClientFrame::Send(send) if send.cid.is_none()));
        assert_eq!(echo.cid.as_deref(), Some(cid));
    }
}
