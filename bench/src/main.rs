//! Measures the room service over a real broker, by the messages that gateways send: durable sends,
//! history at any depth, a restart, memory. Figures go to stdout, one row a measurement.
//!
//! Everything but nats-server runs in this process, so the load and what it loads share its cores: the
//! figures are lower bounds. `$NATS_SERVER` names the nats-server to use.

mod held;
mod history;
mod load;
mod memory;
mod puts;
mod report;
mod restart;
mod sends;
mod stage;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures the room service.
#[derive(Parser, Debug)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Durable sends: as many as go, and one at a time
    Sends(Sends),
    /// Pages of one large room beside many others, then a restart
    History(History),
    /// A restart with a long way of each log to read
    Restart(Restart),
    /// Values put into the store while messages come steadily
    Puts(Puts),
}

#[derive(Args, Debug)]
struct Sends {
    #[command(flatten)]
    on: On,
    /// Rooms that are sent to
    #[arg(long, default_value_t = 200)]
    rooms: u32,
    /// Sends under way at a time
    #[arg(long, default_value_t = 512)]
    in_flight: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Args, Debug)]
struct History {
    #[command(flatten)]
    on: On,
    /// Messages of the large room
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Other rooms, of one message each
    #[arg(long, default_value_t = 100_000)]
    others: u32,
    /// Pages asked for
    #[arg(long, default_value_t = 2_000)]
    pages: u32,
}

#[derive(Args, Debug)]
struct Restart {
    #[command(flatten)]
    on: On,
    /// Rooms
    #[arg(long, default_value_t = 100_000)]
    rooms: u32,
    /// MiB of each partition's log that are not trimmed
    #[arg(long, default_value_t = 4)]
    tail_mib: u64,
}

#[derive(Args, Debug)]
struct Puts {
    #[command(flatten)]
    on: On,
    /// Rooms that are sent to
    #[arg(long, default_value_t = 2_000)]
    rooms: u32,
    /// Messages a second
    #[arg(long, default_value_t = 400)]
    per_second: u32,
    /// Seconds that are measured, after a minute of the same
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

#[derive(Args, Clone, Debug)]
struct On {
    /// The broker
    #[arg(long, value_enum, default_value = "embedded")]
    broker: Broker,
    /// Partitions of rooms
    #[arg(long, default_value_t = 32)]
    partitions: u16,
    /// Folder of the embedded broker, which stays; otherwise a temporary one
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Broker {
    /// In this process, on a disk file
    Embedded,
    /// A nats-server of our own, as it comes
    Nats,
    /// A nats-server that syncs every write
    NatsSyncAlways,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().what {
        What::Sends(args) => on(args.on.clone(), Run::Sends(args)).await,
        What::History(args) => on(args.on.clone(), Run::History(args)).await,
        What::Restart(args) => on(args.on.clone(), Run::Restart(args)).await,
        What::Puts(args) => on(args.on.clone(), Run::Puts(args)).await,
    }
}

enum Run {
    Sends(Sends),
    History(History),
    Restart(Restart),
    Puts(Puts),
}

async fn on(on: On, run: Run) -> Result<()> {
    match on.broker {
        Broker::Embedded => {
            let temporary = stage::folder()?;
            let folder = on.data_dir.as_deref().unwrap_or(temporary.path());
            measure(stage::embedded(folder)?, &on, run).await
        }
        Broker::Nats | Broker::NatsSyncAlways => {
            let server = stage::nats_server(on.broker == Broker::NatsSyncAlways).await?;
            let broker = stage::nats(&server.url()).await?;
            Box::pin(measure(broker, &on, run)).await
        }
    }
}

async fn measure<B: broker::Broker>(broker: B, on: &On, run: Run) -> Result<()> {
    let mut report = report::Report::new(on.broker);
    match run {
        Run::Sends(args) => {
            let seconds = Duration::from_secs(args.seconds);
            let stage = stage::Stage::start(broker, on.partitions).await?;
            sends::run(&stage, args.rooms, args.in_flight, seconds, &mut report).await?;
            sends::run(&stage, args.rooms, 1, seconds, &mut report).await?;
            let stage = std::sync::Arc::into_inner(stage);
            stage
                .context("somebody still uses the service")?
                .stop()
                .await
        }
        Run::History(args) => {
            let sizes = history::Sizes {
                messages: args.messages,
                others: args.others,
                pages: args.pages,
            };
            Box::pin(history::run(broker, on.partitions, sizes, &mut report)).await
        }
        Run::Restart(args) => {
            let sizes = restart::Sizes {
                rooms: args.rooms,
                tail_mib: args.tail_mib,
            };
            Box::pin(restart::run(broker, on.partitions, sizes, &mut report)).await
        }
        Run::Puts(args) => {
            let load = puts::Load {
                rooms: args.rooms,
                per_second: args.per_second,
                seconds: args.seconds,
            };
            Box::pin(puts::run(broker, on.partitions, load, &mut report)).await
        }
    }
}
