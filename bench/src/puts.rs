//! How many values are put into the store while messages come steadily.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use broker::Broker;
use tokio::time::Instant;

use crate::{PutsArgs, load::send_paced, report::Report, sends::InTurn, stage::Stage};

/// The first round over all dirty values takes this long; puts are steady behind it.
const WARM_UP: Duration = Duration::from_secs(60);
/// Sends under way at most.
const IN_FLIGHT: u32 = 512;

/// Measures after a minute of the same load.
pub(crate) async fn run<B: Broker>(broker: B, load: &PutsArgs, report: &mut Report) -> Result<()> {
    let stage = Stage::start(broker, load.on.partitions).await?;
    let measured = Duration::from_secs(load.seconds);
    let plan = InTurn::new(load.rooms, Instant::now() + WARM_UP + measured)?;
    let every = Duration::from_secs(1) / load.per_second.max(1);
    let sending = {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { send_paced(&stage, plan, IN_FLIGHT, every).await })
    };
    tokio::time::sleep(WARM_UP).await;
    let (before, started) = (stage.puts()?, Instant::now());
    tokio::time::sleep(measured).await;
    let puts = (stage.puts()? - before) as f64 / started.elapsed().as_secs_f64();
    let took = sending.await??;
    let rate = took.len() as f64 / (WARM_UP + measured).as_secs_f64();
    let what = format!("{rate:.0} sends/s over {} rooms", load.rooms);
    report.row(&what, &format!("{puts:.0} puts/s"), took);
    stage.end().await
}
