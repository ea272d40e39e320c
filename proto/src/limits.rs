//! The limits of DESIGN section 10. Their names are those of `welcome.limits` and, with `-` for `_`, of
//! the flags `--limit-<name>`.

use serde::Serialize;

/// All limits that an operator may change. Sizes are in the unit their comment names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Code points of a message.
    pub text: u32,
    /// Bytes of a WebSocket message, inclusive.
    pub frame: u32,
    /// Code points of a nick.
    pub nick: u32,
    /// Rooms per connection.
    pub rooms: u32,
    /// Events at join without a cursor.
    pub history: u32,
    /// Events that a cursor may be behind and still be caught up inline.
    pub catch_up: u32,
    /// Milliseconds in which a message may be edited.
    pub edit_window_ms: u64,
    /// Sends per second of a user in a room.
    pub sends_per_second: u32,
    /// Sends of a user in a room at once.
    pub sends_burst: u32,
    /// Sends per second in a room of all guests of one address.
    pub guest_sends_per_second: u32,
    /// Sends at once in a room of all guests of one address.
    pub guest_sends_burst: u32,
    /// Operations per minute of a connection.
    pub ops_per_minute: u32,
    /// Operations at once of a connection.
    pub ops_burst: u32,
    /// New rooms per hour of one address.
    pub new_rooms_per_hour: u32,
    /// New guests per minute of one address.
    pub new_guests_per_minute: u32,
    /// Live connections of one address.
    pub connections: u32,
    /// New connections of one address in 10 s.
    pub new_connections: u32,
    /// Whether sends/s, ops/min and new connections are limited at all (`--limits`).
    #[serde(skip)]
    pub rates: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text: 2_000,
            frame: 16_384,
            nick: 32,
            rooms: 50,
            history: 50,
            catch_up: 500,
            edit_window_ms: 15 * 60 * 1_000,
            sends_per_second: 1,
            sends_burst: 5,
            guest_sends_per_second: 10,
            guest_sends_burst: 50,
            ops_per_minute: 120,
            ops_burst: 30,
            new_rooms_per_hour: 20,
            new_guests_per_minute: 10,
            connections: 50,
            new_connections: 20,
            rates: true,
        }
    }
}
