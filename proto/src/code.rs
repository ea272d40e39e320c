//! The error codes of the browser protocol (PROTOCOL.md section 4, rule 9).

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Why something was refused. Clients act on the code; the words beside it are for people.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// The code as on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl FromStr for Code {
            type Err = UnknownCode;

            fn from_str(text: &str) -> Result<Self, UnknownCode> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(UnknownCode),
                }
            }
        }
    };
}

codes! {
    /// Not a JSON object with an `op`, or a field of the wrong kind.
    Malformed = "MALFORMED",
    /// No such operation.
    UnknownOp = "UNKNOWN_OP",
    /// `hello` was said before.
    HelloTwice = "HELLO_TWICE",
    /// The text is no room name.
    RoomInvalid = "ROOM_INVALID",
    /// No such room, or none for this user.
    RoomUnknown = "ROOM_UNKNOWN",
    /// The operation needs a `join` first.
    NotJoined = "NOT_JOINED",
    /// This connection is in as many rooms as it may be.
    TooManyRooms = "TOO_MANY_ROOMS",
    /// The room has as many members as it may have.
    RoomFull = "ROOM_FULL",
    /// `cid` is missing or not 1–36 of `[A-Za-z0-9_-]`.
    CidInvalid = "CID_INVALID",
    /// The same `cid` was sent with another body.
    CidReused = "CID_REUSED",
    /// The `cid` is too old to tell whether it was sent.
    CidExpired = "CID_EXPIRED",
    /// No visible character.
    TextEmpty = "TEXT_EMPTY",
    /// Too many code points.
    TextTooLong = "TEXT_TOO_LONG",
    /// A control character other than line feed and tab.
    TextInvalid = "TEXT_INVALID",
    /// The event referred to does not exist.
    TargetUnknown = "TARGET_UNKNOWN",
    /// Somebody else's.
    NotYours = "NOT_YOURS",
    /// The edit window is over.
    EditTooLate = "EDIT_TOO_LATE",
    /// Not a nick.
    NickInvalid = "NICK_INVALID",
    /// A reserved word, or one that looks like it.
    NickTaken = "NICK_TAKEN",
    /// Too many in too short a time; `retry_after_ms` says when again.
    RateLimited = "RATE_LIMITED",
    /// The room's slow mode; `retry_after_ms` says when again.
    SlowMode = "SLOW_MODE",
    /// Muted.
    Muted = "MUTED",
    /// Banned.
    Banned = "BANNED",
    /// The room takes no messages from this user.
    ReadOnly = "READ_ONLY",
    /// The room is archived.
    Archived = "ARCHIVED",
    /// A filter refused the text.
    Filtered = "FILTERED",
    /// Not now; `retry_after_ms` says when again, with the same `cid`.
    Unavailable = "UNAVAILABLE",
    /// A fault of ours.
    Internal = "INTERNAL",
}

/// The text is no code of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an error code of this version")]
pub struct UnknownCode;

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
