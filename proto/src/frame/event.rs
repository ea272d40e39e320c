//! A durable event as browsers see it.

use serde::Serialize;

use super::encode;
use crate::{
    log::v1::{Event as LogEvent, ReactionCount, event::Kind},
    time::rfc3339,
};

/// A durable event: a frame with `op` and `room`, an element of `joined.events` without.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#gen: Option<&'a str>,
    seq: u64,
    ts: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    cid: &'a str,
    from: From<'a>,
    #[serde(flatten)]
    kind: EventKind<'a>,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum EventKind<'a> {
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        edited_at: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
        #[serde(skip_serializing_if = "Reactions::is_empty")]
        reactions: Reactions<'a>,
    },
    Edit {
        target: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
    },
    Delete {
        target: u64,
    },
    Reaction {
        target: u64,
        emoji: &'a str,
        on: bool,
        count: u32,
    },
    /// An event of a later version: it keeps its place in the numbering.
    Unknown,
}

/// `{emoji: count}` in the order of their first coming.
#[derive(Debug)]
struct Reactions<'a>(&'a [ReactionCount]);

impl Reactions<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Reactions<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|reaction| (&reaction.emoji, reaction.count)),
        )
    }
}

/// The author of an event, as of its sending.
#[derive(Debug, Serialize)]
struct From<'a> {
    id: &'a str,
    nick: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    role: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bot: bool,
}

impl<'a> Event<'a> {
    /// As an element of the events of `joined` and `history`. The event with seq 1 carries the room's
    /// `gen`.
    pub fn of(generation: &'a str, event: &'a LogEvent) -> Self {
        let from = match &event.from {
            Some(from) => From {
                id: &from.id,
                nick: &from.nick,
                role: &from.role,
                bot: from.bot,
            },
            None => From {
                id: "",
                nick: "",
                role: "",
                bot: false,
            },
        };
        Self {
            op: None,
            room: None,
            r#gen: (event.seq == 1).then_some(generation),
            seq: event.seq,
            ts: rfc3339(event.ts_ms),
            cid: &event.cid,
            from,
            kind: kind_of(event),
        }
    }

    /// As a frame.
    pub fn frame(room: &'a str, generation: &'a str, event: &'a LogEvent) -> Self {
        Self {
            op: Some("event"),
            room: Some(room),
            ..Self::of(generation, event)
        }
    }

    /// The JSON text.
    pub fn encode(&self) -> String {
        encode(self)
    }
}

fn kind_of(event: &LogEvent) -> EventKind<'_> {
    match &event.kind {
        Some(Kind::Message(message)) => EventKind::Message {
            text: (!event.deleted).then_some(message.text.as_str()),
            reply_to: (message.reply_to > 0).then_some(message.reply_to),
            edited_at: (event.edited_ms > 0).then(|| rfc3339(event.edited_ms)),
            deleted: event.deleted,
            reactions: Reactions(&event.reactions),
        },
        Some(Kind::Edit(edit)) => EventKind::Edit {
            target: edit.target,
            text: (!event.deleted).then_some(edit.text.as_str()),
            deleted: event.deleted,
        },
        Some(Kind::Delete(delete)) => EventKind::Delete {
            target: delete.target,
        },
        Some(Kind::Reaction(reaction)) => EventKind::Reaction {
            target: reaction.target,
            emoji: &reaction.emoji,
            on: reaction.on,
            count: reaction.count,
        },
        None => EventKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::v1::{Author, Message};

    fn event(seq: u64) -> LogEvent {
        LogEvent {
            seq,
            ts_ms: 1_795_762_800_005,
            from: Some(Author {
                id: "u_1".to_owned(),
                nick: "伟".to_owned(),
                guest: true,
                ..Author::default()
            }),
            cid: "c1".to_owned(),
            body_tag: 99,
            kind: Some(Kind::Message(Message {
                text: "a\u{2028}\"<b>".to_owned(),
                reply_to: 0,
            })),
            ..LogEvent::default()
        }
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_event_in_both_forms() {
        let logged = event(2);
        let inner = json!({
            "seq": 2, "ts": "2026-11-27T07:00:00.005Z", "cid": "c1", "kind": "message",
            "from": {"id": "u_1", "nick": "伟"}, "text": "a\u{2028}\"<b>",
        });
        assert_eq!(value(&Event::of("g1", &logged).encode()), inner);
        let mut frame = inner;
        frame["op"] = json!("event");
        frame["room"] = json!("lobby");
        assert_eq!(value(&Event::frame("lobby", "g1", &logged).encode()), frame);
        let first = event(1);
        assert_eq!(value(&Event::of("g1", &first).encode())["gen"], "g1");
        let first = value(&Event::frame("lobby", "g1", &first).encode());
        assert_eq!(first["gen"], "g1");
    }

    #[test]
    fn a_message_shows_its_present_state() {
        let mut logged = event(2);
        logged.edited_ms = 1_795_762_800_007;
        logged.reactions = vec![
            ReactionCount {
                emoji: "👍".to_owned(),
                count: 2,
            },
            ReactionCount {
                emoji: "a".to_owned(),
                count: 1,
            },
        ];
        let text = Event::of("g1", &logged).encode();
        assert!(text.contains(r#""reactions":{"👍":2,"a":1}"#), "{text}");
        assert_eq!(value(&text)["edited_at"], "2026-11-27T07:00:00.007Z");
        logged.deleted = true;
        let deleted = value(&Event::of("g1", &logged).encode());
        assert_eq!(deleted["deleted"], true);
        assert_eq!(deleted.get("text"), None);
        let edit = Kind::Edit(crate::log::v1::Edit {
            target: 1,
            text: "x".to_owned(),
        });
        let edit = LogEvent {
            kind: Some(edit),
            ..event(3)
        };
        let edit = value(&Event::of("g1", &edit).encode());
        assert_eq!(
            (&edit["kind"], &edit["target"], &edit["text"]),
            (&json!("edit"), &json!(1), &json!("x"))
        );
    }
}
