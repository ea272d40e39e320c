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

use anyhow::Result;
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
    Sends(SendsArgs),
    /// Pages of one large room beside many others, then a restart
    History(HistoryArgs),
    /// A restart with a long way of each log to read
    Restart(RestartArgs),
    /// Values put into the store while messages come steadily
    Puts(PutsArgs),
}

#[derive(Args, Debug)]
struct SendsArgs {
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
struct HistoryArgs {
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
struct RestartArgs {
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
struct PutsArgs {
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

impl What {
    fn on(&self) -> &On {
        match self {
            Self::Sends(args) => &args.on,
            Self::History(args) => &args.on,
            Self::Restart(args) => &args.on,
            Self::Puts(args) => &args.on,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let what = Cli::parse().what;
    let on = what.on();
    match on.broker {
        Broker::Embedded => {
            let temporary = stage::folder()?;
            let folder = on.data_dir.as_deref().unwrap_or(temporary.path());
            measure(async || stage::embedded(folder), &what).await
        }
        Broker::Nats | Broker::NatsSyncAlways => {
            let server = stage::nats_server(on.broker == Broker::NatsSyncAlways).await?;
            let url = server.url();
            measure(async || stage::nats(&url).await, &what).await
        }
    }
}

async fn measure<B: broker::Broker>(open: impl AsyncFn() -> Result<B>, what: &What) -> Result<()> {
    let mut report = report::Report::new(what.on().broker);
    let partitions = what.on().partitions;
    match what {
        What::Sends(args) => {
            let seconds = Duration::from_secs(args.seconds);
            let stage = stage::Stage::start(open().await?, partitions).await?;
            sends::run(&stage, args.rooms, args.in_flight, seconds, &mut report).await?;
            sends::run(&stage, args.rooms, 1, seconds, &mut report).await?;
            stage.end().await
        }
        What::History(args) => Box::pin(history::run(open, args, &mut report)).await,
        What::Restart(args) => Box::pin(restart::run(open, args, &mut report)).await,
        What::Puts(args) => Box::pin(puts::run(open().await?, args, &mut report)).await,
    }
}
