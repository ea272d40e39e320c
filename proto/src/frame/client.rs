//! Frames from browsers: `{"op": …}` in JSON, checked for shape only. Whether a room, a cid or a text is
//! allowed is decided later, in the order of PROTOCOL.md section 4 rule 6.

mod fields;
mod surrogates;

use serde_json::{Map, Number, Value};

use super::Cursor;
use crate::Code;
use fields::Fields;

/// Most code points of a `ping`'s `t` when it is a string.
const MAX_PING: usize = 64;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    /// The first frame.
    Hello(Hello),
    /// Into a room.
    Join {
        /// As typed.
        room: String,
        /// What the client has of it.
        after: Option<Cursor>,
    },
    /// Out of a room.
    Leave {
        /// As typed.
        room: String,
    },
    /// Something that is to become an event.
    Send(Send),
    /// Events from any depth.
    History(History),
    /// Another nick.
    Nick {
        /// As typed.
        nick: String,
    },
    /// Is anybody there?
    Ping {
        /// Comes back in the `pong`.
        t: PingValue,
    },
}

/// Says who is there and what rooms it wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hello {
    /// From an earlier `welcome` or `token`.
    pub token: Option<String>,
    /// Wished for.
    pub nick: Option<String>,
    /// Name and version of the client.
    pub client: Option<String>,
    /// Language of the words in errors.
    pub lang: Option<String>,
    /// Rooms to join, as typed. A bad cursor is the failure of its room alone.
    pub rooms: Vec<(String, Result<Option<Cursor>, super::cursor::NotACursor>)>,
}

/// What is to become an event of a room: `send`, `edit`, `delete` and `react`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// As typed.
    pub room: String,
    /// `None` when it is missing or no cid; refused only after room and membership were checked.
    pub cid: Option<String>,
    /// The last seq the client had when it first sent this cid.
    pub since: Option<u64>,
    /// What the event is to say.
    pub body: Body,
}

/// What an event is to say; texts and emoji as typed, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A message.
    Message {
        /// The text.
        text: String,
        /// The seq it answers to.
        reply_to: Option<u64>,
    },
    /// Another text for a message.
    Edit {
        /// The message's seq.
        target: u64,
        /// The new text.
        text: String,
    },
    /// A message's end.
    Delete {
        /// The message's seq.
        target: u64,
    },
    /// A reaction given or taken back.
    React {
        /// The message's seq.
        target: u64,
        /// The emoji.
        emoji: String,
        /// Given.
        on: bool,
    },
}

impl Body {
    /// Bytes of its text.
    pub fn len(&self) -> usize {
        match self {
            Self::Message { text, .. } | Self::Edit { text, .. } => text.len(),
            Self::Delete { .. } => 0,
            Self::React { emoji, .. } => emoji.len(),
        }
    }

    /// Whether it has no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Events from any depth of a room. The frame's `id` is in its [`Echo`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// As typed.
    pub room: String,
    /// Where in the room.
    pub place: Place,
    /// Most events wanted.
    pub limit: Option<u64>,
}

/// Where in a room to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below a seq.
    Before(u64),
    /// Above a seq.
    After(u64),
    /// On both sides of a seq, itself included.
    Around(u64),
    /// On both sides of a time, milliseconds since 1970-01-01 UTC.
    At(u64),
}

/// The `t` of a ping.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum PingValue {
    /// A number.
    Number(Number),
    /// A short string.
    Text(String),
}

/// What of a frame an error repeats, so that the client knows which one failed.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Echo {
    /// A string of 1–36 or an integer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
}

impl Echo {
    /// Of a room alone.
    pub fn room(room: &str) -> Self {
        Self {
            room: Some(room.to_owned()),
            ..Self::default()
        }
    }
}

/// A frame that is not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// `MALFORMED` or `UNKNOWN_OP`.
    pub code: Code,
    /// Which field, and what was expected; for the client's developer, in English.
    pub why: String,
    /// What the error repeats.
    pub echo: Echo,
    /// The op that it wanted, when it named one.
    pub op: Option<String>,
}

/// Reads one text frame. The echo is returned beside a good frame too: it may yet be refused.
///
/// # Errors
/// [`Rejected`].
pub fn parse(text: &str) -> Result<(ClientFrame, Echo), Box<Rejected>> {
    let object = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(malformed("expected a JSON object with an `op`")),
        Err(error) => return Err(unreadable(text, &error)),
    };
    let about = About::of(&object, |_| true);
    let fields = Fields(object);
    match read(fields, &about.echo) {
        Ok(Some(frame)) => Ok((frame, about.echo)),
        Ok(None) => Err(about.reject(Code::UnknownOp, "no such `op`")),
        Err(why) => Err(about.reject(Code::Malformed, why)),
    }
}

/// A message that was not text.
pub fn binary() -> Box<Rejected> {
    malformed("expected a text frame, got a binary one")
}

fn malformed(why: impl Into<String>) -> Box<Rejected> {
    About::default().reject(Code::Malformed, why)
}

fn unreadable(text: &str, error: &serde_json::Error) -> Box<Rejected> {
    // JavaScript's JSON.stringify writes half of a surrogate pair as an escape that no Unicode text
    // holds. The frame is refused, but its sender should learn which one it was.
    let mended = surrogates::replace_lone(text)
        .and_then(|mended| serde_json::from_str::<Map<String, Value>>(&mended).ok());
    match mended {
        Some(object) => {
            let is_whole = |text: &str| !text.contains(surrogates::PLACEHOLDER);
            let why = "a string holds half of a surrogate pair";
            About::of(&object, is_whole).reject(Code::Malformed, why)
        }
        None => malformed(format!("not JSON: {error}")),
    }
}

/// What can be told of a frame that is not taken.
#[derive(Default)]
struct About {
    echo: Echo,
    op: Option<String>,
}

impl About {
    /// Of a frame; only strings that are `fit` are repeated.
    fn of(object: &Map<String, Value>, fit: impl Fn(&str) -> bool) -> Self {
        let text = |name: &str| match object.get(name) {
            Some(Value::String(text)) if fit(text) => Some(text.clone()),
            _ => None,
        };
        let id = match object.get("id") {
            Some(Value::String(id)) if (1..=36).contains(&id.chars().count()) => {
                text("id").map(Value::String)
            }
            Some(Value::Number(id)) if id.is_i64() || id.is_u64() => {
                Some(Value::Number(id.clone()))
            }
            _ => None,
        };
        Self {
            echo: Echo {
                id,
                cid: text("cid"),
                room: text("room"),
            },
            op: text("op"),
        }
    }

    fn reject(self, code: Code, why: impl Into<String>) -> Box<Rejected> {
        Box::new(Rejected {
            code,
            why: why.into(),
            echo: self.echo,
            op: self.op,
        })
    }
}

/// `None` for an unknown op.
fn read(mut fields: Fields, echo: &Echo) -> Result<Option<ClientFrame>, String> {
    let op = fields.string("op")?;
    Ok(Some(match op.as_str() {
        "hello" => ClientFrame::Hello(Hello {
            token: fields.string_if_any("token")?,
            nick: fields.string_if_any("nick")?,
            client: fields.string_if_any("client")?,
            lang: fields.string_if_any("lang")?,
            rooms: rooms(&mut fields)?,
        }),
        "join" => ClientFrame::Join {
            room: fields.string("room")?,
            after: match fields.0.get("after") {
                None => None,
                Some(after) => {
                    Cursor::from_json(after).map_err(|error| format!("`after`: {error}"))?
                }
            },
        },
        "leave" => ClientFrame::Leave {
            room: fields.string("room")?,
        },
        "send" | "edit" | "delete" | "react" => ClientFrame::Send(Send {
            room: fields.string("room")?,
            body: body(&op, &mut fields)?,
            since: fields.integer_if_any("since")?,
            cid: fields.cid(),
        }),
        "history" => history(&mut fields, echo)?,
        "nick" => ClientFrame::Nick {
            nick: fields.string("nick")?,
        },
        "ping" => ClientFrame::Ping {
            t: ping_value(&mut fields)?,
        },
        _ => return Ok(None),
    }))
}

fn body(op: &str, fields: &mut Fields) -> Result<Body, String> {
    Ok(match op {
        "edit" => Body::Edit {
            target: fields.integer("target")?,
            text: fields.string("text")?,
        },
        "delete" => Body::Delete {
            target: fields.integer("target")?,
        },
        "react" => Body::React {
            target: fields.integer("target")?,
            emoji: fields.string("emoji")?,
            on: fields.boolean("on")?,
        },
        _ => Body::Message {
            text: fields.string("text")?,
            reply_to: fields.integer_if_any("reply_to")?,
        },
    })
}

fn history(fields: &mut Fields, echo: &Echo) -> Result<ClientFrame, String> {
    if echo.id.is_none() {
        return Err("`id`: expected a string of 1 to 36 characters or an integer".to_owned());
    }
    let places = [
        fields.integer_if_any("before")?.map(Place::Before),
        fields.integer_if_any("after")?.map(Place::After),
        fields.integer_if_any("around")?.map(Place::Around),
        fields.time_if_any("at")?.map(Place::At),
    ];
    let mut places = places.into_iter().flatten();
    let (Some(place), None) = (places.next(), places.next()) else {
        return Err("expected one of `before`, `after`, `around` and `at`".to_owned());
    };
    let limit = fields.integer_if_any("limit")?;
    if limit == Some(0) {
        return Err("`limit`: expected an integer from 1".to_owned());
    }
    Ok(ClientFrame::History(History {
        room: fields.string("room")?,
        place,
        limit,
    }))
}

type HelloRooms = Vec<(String, Result<Option<Cursor>, super::cursor::NotACursor>)>;

fn rooms(fields: &mut Fields) -> Result<HelloRooms, String> {
    match fields.0.remove("rooms") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(rooms)) => Ok(rooms
            .into_iter()
            .map(|(room, cursor)| {
                let cursor = Cursor::from_json(&cursor);
                (room, cursor)
            })
            .collect()),
        Some(_) => Err("`rooms`: expected an object of room to cursor or null".to_owned()),
    }
}

fn ping_value(fields: &mut Fields) -> Result<PingValue, String> {
    match fields.0.remove("t") {
        Some(Value::Number(number)) => Ok(PingValue::Number(number)),
        Some(Value::String(text)) if text.chars().count() <= MAX_PING => Ok(PingValue::Text(text)),
        _ => Err(format!(
            "`t`: expected a number or a string of at most {MAX_PING} characters"
        )),
    }
}

#[cfg(test)]
mod tests;
