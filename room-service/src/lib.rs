//! The room service: puts each room's events in one order, stamps, stores and republishes them, and
//! answers operators. It never touches sockets.
//!
//! `domain` is the rules without IO; `owner` the loop that makes them durable; `cluster` who owns what;
//! `admin` gRPC; `service` starts and stops it all.

mod admin;
mod clock;
mod cluster;
mod directory;
pub mod domain;
mod installation;
mod listing;
mod metrics;
mod owner;
mod presence;
mod restore;
mod service;

pub use admin::AdminOptions;
use broker::backoff;
pub use clock::WallClock;
pub use installation::partitions_of;
pub use restore::{RestoreError, Restored, restore};
pub use service::{Error, Handle, Options, RoomService};
