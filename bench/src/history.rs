//! One large room beside many others: pages of it, and a restart.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use broker::Broker;
use proto::{
    RoomId,
    bus::v1::{History, Read, history::Place, reply, request},
};
use rand::RngExt as _;
use tokio::time::Instant;

use crate::{
    HistoryArgs,
    load::{Plan, send, send_all},
    memory,
    report::Report,
    stage::Stage,
};

/// Sends under way while rooms are filled.
const IN_FLIGHT: u32 = 512;
/// Rooms that are active when memory is looked at.
const ACTIVE: u32 = 1_000;
/// By then every room is listed, and what was committed before is in the store.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Fills the large room, and one message into each other one.
struct Filling {
    large: RoomId,
    messages: u64,
    others: u32,
}

impl Plan for Filling {
    fn next(&mut self) -> Option<(RoomId, String)> {
        if self.messages > 0 {
            self.messages -= 1;
            return Some((self.large.clone(), format!("m{}", self.messages)));
        }
        self.others = self.others.checked_sub(1)?;
        other(self.others).map(|room| (room, "first".to_owned()))
    }
}

fn other(number: u32) -> Option<RoomId> {
    RoomId::parse(&format!("other-{number}")).ok()
}

/// Measures on a broker that holds nothing yet; it is opened anew for the restart.
pub(crate) async fn run<B: Broker>(
    open: impl AsyncFn() -> Result<B>,
    sizes: &HistoryArgs,
    report: &mut Report,
) -> Result<()> {
    let partitions = sizes.on.partitions;
    let large = RoomId::parse("large")?;
    let before = memory::resident_kib()?;
    let stage = Stage::start(open().await?, partitions).await?;
    let plan = Filling {
        large: large.clone(),
        messages: sizes.messages,
        others: sizes.others,
    };
    let started = Instant::now();
    let took = send_all(&stage, plan, IN_FLIGHT).await?;
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    report.row("filling", &format!("{rate:.0} sends/s"), took);

    stage.end().await?;
    let stage = restart(open, partitions, &large, report).await?;
    let took = read_pages(&stage, &large, sizes).await?;
    report.row(
        "pages at random depth, after the restart",
        &format!("{} pages", took.len()),
        took,
    );
    for number in 0..ACTIVE.min(sizes.others) {
        if let Some(room) = other(number) {
            send(&stage, &room, format!("active{number}")).await?;
        }
    }
    tokio::time::sleep(SETTLED_AFTER).await;
    let took = read_pages(&stage, &large, sizes).await?;
    let pages = format!("{} pages", took.len());
    report.row("pages at random depth, a minute later", &pages, took);
    let used = memory::resident_kib()?.saturating_sub(before);
    let what = format!("memory, {} rooms, {ACTIVE} of them active", sizes.others);
    report.row(
        &what,
        &format!("{:.0} MiB", used as f64 / 1024.0),
        Vec::new(),
    );
    stage.end().await
}

async fn restart<B: Broker>(
    open: impl AsyncFn() -> Result<B>,
    partitions: u16,
    room: &RoomId,
    report: &mut Report,
) -> Result<Arc<Stage<B>>> {
    let started = Instant::now();
    let stage = Stage::start(open().await?, partitions).await?;
    send(&stage, room, format!("again-{:x}", rand::random::<u64>())).await?;
    report.row("restart to the first ack", "", vec![started.elapsed()]);
    Ok(stage)
}

async fn read_pages<B: Broker>(
    stage: &Stage<B>,
    room: &RoomId,
    sizes: &HistoryArgs,
) -> Result<Vec<Duration>> {
    let head = head(stage, room).await?;
    let mut took = Vec::new();
    for _ in 0..sizes.pages {
        let history = History {
            place: Some(Place::Before(rand::rng().random_range(51..=head))),
            limit: 50,
            min_seq: 0,
        };
        let started = Instant::now();
        match stage.ask(room, request::Op::History(history)).await? {
            reply::Result::Room(view) => ensure!(view.events.len() == 50, "a short page"),
            other => bail!("history was answered with {other:?}"),
        }
        took.push(started.elapsed());
    }
    Ok(took)
}

async fn head<B: Broker>(stage: &Stage<B>, room: &RoomId) -> Result<u64> {
    match stage.ask(room, request::Op::Read(Read::default())).await? {
        reply::Result::Room(view) => Ok(view.head),
        other => bail!("a read was answered with {other:?}"),
    }
}
