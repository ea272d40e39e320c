//! A restart with many rooms and a long way of each log to read.

use std::{collections::HashSet, sync::Arc};

use anyhow::{Context as _, Result};
use broker::Broker;
use proto::RoomId;
use tokio::time::Instant;

use crate::{
    held::Held,
    load::{Plan, send, send_all},
    report::Report,
    stage::Stage,
};

/// Sends under way while logs are filled.
const IN_FLIGHT: u32 = 512;
/// Rooms that are sent to while the logs grow.
const BUSY_ROOMS: u32 = 2_000;
const MIB: f64 = 1024.0 * 1024.0;

/// How large everything is.
pub(crate) struct Sizes {
    pub(crate) rooms: u32,
    /// What is not trimmed of each log.
    pub(crate) tail_mib: u64,
}

/// One message into each room.
struct Each {
    rooms: u32,
}

impl Plan for Each {
    fn next(&mut self) -> Option<(RoomId, String)> {
        self.rooms = self.rooms.checked_sub(1)?;
        Some((room(self.rooms)?, "first".to_owned()))
    }
}

/// Messages to some rooms in turn, until the logs are long enough.
struct Until<B> {
    broker: Held<B>,
    bytes: u64,
    rooms: u32,
    sent: u64,
}

impl<B: Broker> Plan for Until<B> {
    fn next(&mut self) -> Option<(RoomId, String)> {
        if self.broker.appended() >= self.bytes {
            return None;
        }
        self.sent += 1;
        let number = u32::try_from(self.sent % u64::from(self.rooms)).ok()?;
        Some((room(number)?, format!("c{}", self.sent)))
    }
}

fn room(number: u32) -> Option<RoomId> {
    RoomId::parse(&format!("room-{number}")).ok()
}

/// Measures on a broker that holds nothing yet.
pub(crate) async fn run<B: Broker>(
    broker: B,
    partitions: u16,
    sizes: Sizes,
    report: &mut Report,
) -> Result<()> {
    let held = Held::new(broker.clone());
    let stage = Stage::start(held.clone(), partitions).await?;
    send_all(&stage, Each { rooms: sizes.rooms }, IN_FLIGHT).await?;
    held.hold();
    let plan = Until {
        broker: held.clone(),
        bytes: sizes.tail_mib * 1024 * 1024 * u64::from(partitions),
        rooms: BUSY_ROOMS.min(sizes.rooms),
        sent: 0,
    };
    send_all(&stage, plan, IN_FLIGHT).await?;
    let stage = Arc::into_inner(stage);
    stage
        .context("somebody still uses the service")?
        .stop()
        .await?;

    let each = held.appended() as f64 / MIB / f64::from(partitions);
    let what = format!("restart, {} rooms, {each:.1} MiB of each log", sizes.rooms);
    let started = Instant::now();
    let stage = Stage::start(broker, partitions).await?;
    let first = room(0).context("a room")?;
    send(&stage, &first, "again".to_owned()).await?;
    report.row(&format!("{what}: first ack"), "", vec![started.elapsed()]);
    let mut seen = HashSet::new();
    for number in 1..sizes.rooms {
        let room = room(number).context("a room")?;
        if seen.insert(stage.partitions().of(&room)) {
            send(&stage, &room, "again".to_owned()).await?;
        }
        if seen.len() == usize::from(partitions) {
            break;
        }
    }
    let what = format!("{what}: an ack in each partition");
    report.row(&what, "", vec![started.elapsed()]);
    let stage = Arc::into_inner(stage);
    stage
        .context("somebody still uses the service")?
        .stop()
        .await
}
