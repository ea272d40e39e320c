//! The frames of the browser protocol (PROTOCOL.md sections 2 and 3): what clients say, parsed and
//! checked for shape, and what servers say, as serde structs. Nothing here knows a socket.

pub mod client;
pub mod cursor;
pub mod event;
pub mod server;

use serde::Serialize;

pub use client::{ClientFrame, Echo, Rejected};
pub use cursor::Cursor;
pub use server::ServerFrame;

/// Integers on the wire stay below this (2^53), so that every JSON reader keeps them exact.
pub const MAX_INTEGER: u64 = 1 << 53;

/// Serialising these types to a string cannot fail: no maps with odd keys, no failing `Serialize`.
fn encode(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}
