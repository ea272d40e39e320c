//! Why the server closes a socket (PROTOCOL.md section 4 rule 10).

/// A close code, and words for whoever debugs a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

macro_rules! closes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl Close {
            $($(#[$doc])* pub(crate) const $name: Self = Self { code: $code, reason: $reason };)*
        }
    };
}

closes! {
    /// Nothing more to say.
    DONE = 1000, "done";
    /// WebSocket framing was broken.
    FRAME_RULES = 1002, "broken websocket frame";
    /// A text message was not UTF-8.
    NOT_UTF8 = 1007, "text is not utf-8";
    /// A message above the limit.
    TOO_BIG = 1009, "message too big";
    /// The gateway goes away.
    DRAIN = 1012, "server is restarting";
    /// The gateway has not reached the room service yet.
    NOT_READY = 1012, "server is not ready";
    /// A fault of ours.
    INTERNAL = 4000, "internal error";
    /// An op before `hello`.
    NO_HELLO = 4001, "the first frame must be hello";
    /// Ten malformed frames in a minute.
    MALFORMED = 4002, "too many malformed frames";
    /// No `hello` in time.
    HELLO_LATE = 4003, "no hello in time";
    /// The token is none of ours.
    TOKEN_REFUSED = 4004, "token refused";
    /// The token's time is over.
    TOKEN_EXPIRED = 4005, "token expired";
    /// Too many ops.
    TOO_MANY_OPS = 4008, "too many operations";
    /// Too many new guests from one address.
    TOO_MANY_GUESTS = 4008, "too many new guests";
    /// Nothing was heard for a minute.
    DEAD = 4009, "no sign of life";
    /// The client does not read fast enough, or has to read a room anew: it resumes.
    TOO_SLOW = 4013, "reconnect and resume";
}
