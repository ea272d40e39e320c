//! Frames to browsers. Optional fields are absent, never null; `room` is always the room id.

use serde::Serialize;

use super::{
    client::{Echo, PingValue},
    encode,
    event::Event,
};
use crate::{Code, Limits};

/// A frame to a browser, but for [`Event`], which is encoded once for many.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// Who you are and what is allowed.
    Welcome(Welcome<'a>),
    /// You are in the room.
    Joined(Joined<'a>),
    /// Events from any depth.
    History(History<'a>),
    /// It is durable.
    Ack(Ack<'a>),
    /// It was refused.
    Error(Refusal<'a>),
    /// Events that are not sent here.
    Gap {
        /// Room id.
        room: &'a str,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A nick changed.
    User {
        /// Whose.
        id: &'a str,
        /// To what.
        nick: &'a str,
    },
    /// The server lives.
    Pong {
        /// The ping's.
        t: &'a PingValue,
        /// Now.
        server_time: String,
    },
    /// Keep this instead of the one before.
    Token {
        /// Guest token.
        token: &'a str,
    },
    /// The server goes away.
    Drain {
        /// Come back after this, elsewhere.
        delay_ms: u64,
    },
}

impl ServerFrame<'_> {
    /// The JSON text.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

/// The first frame.
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// Version of the protocol.
    pub v: u32,
    /// Names the connection in logs.
    pub session: &'a str,
    /// Who you are.
    pub user: User<'a>,
    /// To keep; of guests only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<&'a str>,
    /// Now.
    pub server_time: String,
    /// How often the server pings.
    pub ping_ms: u64,
    /// What is allowed.
    pub limits: &'a Limits,
}

/// A user, to themselves.
#[derive(Debug, Serialize)]
pub struct User<'a> {
    /// User id.
    pub id: &'a str,
    /// Nick.
    pub nick: &'a str,
    /// Without an account.
    pub guest: bool,
}

/// A room as of now, with what the client lacks.
#[derive(Debug, Serialize)]
pub struct Joined<'a> {
    /// Room id.
    pub room: &'a str,
    /// The name as the client sent it.
    pub asked: &'a str,
    /// Display name.
    pub name: &'a str,
    /// The numbering; `0` without events.
    pub r#gen: &'a str,
    /// The seq of the last event.
    pub head: u64,
    /// Lowest seq kept; `head + 1` if none.
    pub oldest: u64,
    /// The newest, rising.
    pub events: &'a [Event<'a>],
    /// What is left out before `events`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<JoinGap>,
    /// The room's settings.
    pub settings: Settings,
    /// The user in this room.
    pub you: You<'a>,
    /// Sockets in the room.
    pub online: u64,
}

/// Events that were asked for.
#[derive(Debug, Serialize)]
pub struct History<'a> {
    /// The question's.
    pub id: &'a serde_json::Value,
    /// Room id.
    pub room: &'a str,
    /// Rising.
    pub events: &'a [Event<'a>],
    /// Lowest seq kept; `head + 1` if none.
    pub oldest: u64,
    /// The seq of the last event.
    pub head: u64,
    /// Whether there are more in the direction of reading; around a place, in either.
    pub more: bool,
}

/// What `joined` leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum JoinGap {
    /// These.
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// The cursor means nothing here: forget what you have.
    Reset {
        /// Always true.
        reset: bool,
    },
}

/// Settings of a room; there are none yet.
#[derive(Debug, Default, Serialize)]
pub struct Settings {}

/// A user in a room.
#[derive(Debug, Serialize)]
pub struct You<'a> {
    /// `member`, and later more.
    pub role: &'a str,
}

/// Which send is durable as what.
#[derive(Debug, Serialize)]
pub struct Ack<'a> {
    /// Room id.
    pub room: &'a str,
    /// The send's.
    pub cid: &'a str,
    /// The event's.
    pub seq: u64,
    /// The event's.
    pub ts: String,
    /// It was there already: the first `seq` and `ts`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dup: bool,
}

/// What was refused, and why.
#[derive(Debug, Serialize)]
pub struct Refusal<'a> {
    /// For the client.
    pub code: Code,
    /// For people.
    pub message: &'a str,
    /// Which frame it was.
    #[serde(flatten)]
    pub echo: &'a Echo,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::time::rfc3339;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn optional_fields_are_absent() {
        let echo = Echo::room("Lobby");
        let refusal = ServerFrame::Error(Refusal {
            code: Code::RoomInvalid,
            message: "no",
            echo: &echo,
            retry_after_ms: None,
        });
        assert_eq!(
            value(&refusal.encode()),
            json!({"op": "error", "code": "ROOM_INVALID", "message": "no", "room": "Lobby"})
        );
        let ack = ServerFrame::Ack(Ack {
            room: "lobby",
            cid: "c1",
            seq: 4,
            ts: rfc3339(0),
            dup: false,
        });
        assert_eq!(
            value(&ack.encode()),
            json!({"op": "ack", "room": "lobby", "cid": "c1", "seq": 4, "ts": "1970-01-01T00:00:00.000Z"})
        );
    }

    #[test]
    fn joined_with_a_gap() {
        let joined = |gap| Joined {
            room: "lobby",
            asked: "Lobby",
            name: "Lobby",
            r#gen: "0",
            head: 0,
            oldest: 1,
            events: &[],
            gap: Some(gap),
            settings: Settings::default(),
            you: You { role: "member" },
            online: 1,
        };
        let frame = ServerFrame::Joined(joined(JoinGap::Reset { reset: true }));
        let frame = value(&frame.encode());
        assert_eq!(frame["gap"], json!({"reset": true}));
        assert_eq!(frame["settings"], json!({}));
        let frame = ServerFrame::Joined(joined(JoinGap::Missing { from: 3, to: 9 }));
        let frame = value(&frame.encode());
        assert_eq!(frame["gap"], json!({"from": 3, "to": 9}));
        assert_eq!(frame["you"], json!({"role": "member"}));
    }
}
