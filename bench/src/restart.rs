//! A restart with many rooms and a long way of each log to read.

use std::{collections::HashSet, sync::Arc};

use anyhow::Result;
use broker::Broker;
use proto::RoomId;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    RestartArgs,
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

/// Measures on a broker that holds nothing yet. It is opened anew for the restart, as a process does it: what
/// the service before it had under way ends with it.
pub(crate) async fn run<B: Broker>(
    open: impl AsyncFn() -> Result<B>,
    sizes: &RestartArgs,
    report: &mut Report,
) -> Result<()> {
    let partitions = sizes.on.partitions;
    let bytes = fill(open().await?, sizes).await?;

    let each = bytes as f64 / MIB / f64::from(partitions);
    let what = format!("restart, {} rooms, {each:.1} MiB of each log", sizes.rooms);
    let started = Instant::now();
    let stage = Stage::start(open().await?, partitions).await?;
    let mut sends = JoinSet::new();
    let mut seen = HashSet::new();
    for room in (0..sizes.rooms).filter_map(room) {
        if seen.insert(stage.partitions().of(&room)) {
            let stage = Arc::clone(&stage);
            sends.spawn(async move {
                send(&stage, &room, "again".to_owned()).await?;
                anyhow::Ok(started.elapsed())
            });
        }
        if seen.len() == usize::from(partitions) {
            break;
        }
    }
    let mut took = Vec::new();
    while let Some(sent) = sends.join_next().await {
        took.push(sent??);
    }
    report.row(&format!("{what}: an ack in each partition"), "", took);
    stage.end().await
}

/// Fills rooms and logs; the bytes of log that are behind the checkpoints.
async fn fill<B: Broker>(broker: B, sizes: &RestartArgs) -> Result<u64> {
    let partitions = sizes.on.partitions;
    let held = Held::new(broker);
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
    stage.end().await?;
    Ok(held.appended())
}
