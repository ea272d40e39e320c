//! `parlor doctor …`: looks after stored data, beside or instead of a running installation.

mod settle;

use std::io::{self, Write as _};

use anyhow::Context as _;
use broker::{Broker, embedded::Embedded};
use clap::{Args, Subcommand};
use proto::PartitionId;

use crate::{
    config::{EmbeddedArgs, NatsArgs},
    failure::Failure,
    run::{connect, open},
};

/// `parlor doctor …`.
#[derive(Subcommand, Debug)]
pub(crate) enum DoctorCommand {
    /// Rewrite what is stored, so that nothing deleted or superseded is left in any file
    Scrub(BrokerArgs),
    /// Make log and store fit each other after one came from a back-up of another time; nothing else may
    /// run meanwhile
    Restore(BrokerArgs),
}

/// Whose data: a folder's, or that in NATS.
#[derive(Args, Debug)]
pub(crate) struct BrokerArgs {
    #[command(flatten)]
    embedded: EmbeddedArgs,
    #[command(flatten)]
    nats: NatsArgs,
}

const NOTHING_HERE: &str = "there is no installation here: nothing was ever stored";

/// What is done to the data.
#[derive(Clone, Copy)]
enum Work {
    Scrub,
    Restore,
}

/// Does what was asked.
pub(crate) async fn run(command: DoctorCommand) -> Result<(), Failure> {
    let (work, args) = match command {
        DoctorCommand::Scrub(args) => (Work::Scrub, args),
        DoctorCommand::Restore(args) => (Work::Restore, args),
    };
    match args.nats.choice() {
        Some(choice) => {
            let nats = connect(choice, "room-service").await?;
            Box::pin(nats.verify())
                .await
                .map_err(|error| Failure::Run(error.into()))?;
            let partitions = partitions(&nats).await?;
            match work {
                Work::Scrub => {
                    let busy = Box::pin(settle::wait(&nats, &partitions)).await?;
                    scrub(&nats, &partitions, &busy).await
                }
                Work::Restore => Box::pin(restore(&nats, &partitions)).await,
            }
        }
        None => {
            let folder = args.embedded.data_dir;
            if !folder.exists() {
                // Opening it would make it.
                return Err(anyhow::anyhow!("{}: {NOTHING_HERE}", folder.display()).into());
            }
            let embedded: Embedded = open(folder).await?;
            let partitions = partitions(&embedded).await?;
            match work {
                Work::Scrub => {
                    let busy = Box::pin(settle::serve_and_wait(&embedded, &partitions)).await?;
                    scrub(&embedded, &partitions, &busy).await
                }
                Work::Restore => restore(&embedded, &partitions).await,
            }
        }
    }
}

async fn partitions<B: Broker>(broker: &B) -> Result<Vec<PartitionId>, Failure> {
    let installed = room_service::partitions_of(broker).await;
    let count = installed
        .map_err(anyhow::Error::from)?
        .context(NOTHING_HERE)?;
    Ok(std::iter::once(PartitionId::Meta)
        .chain(count.rooms())
        .collect())
}

/// Scrubs every partition, one after the other. The logs of those in `busy` hold records still.
async fn scrub<B: Broker>(
    broker: &B,
    partitions: &[PartitionId],
    busy: &[PartitionId],
) -> Result<(), Failure> {
    for pp in busy {
        let words = format!(
            "parlor: the log of partition {pp} is in use: what was said in the last minute may stay in \
             its files; scrub again when it is quiet, with a room service running\n"
        );
        // Nothing is left to tell it to when stderr is gone.
        let _ = io::stderr().lock().write_all(words.as_bytes());
    }
    for pp in partitions {
        broker
            .scrub(*pp)
            .await
            .with_context(|| format!("partition {pp} is not scrubbed whole; run it again"))?;
    }
    say(&format!("scrubbed {} partitions\n", partitions.len()));
    Ok(())
}

/// Restores every partition that needs it, one after the other.
async fn restore<B: Broker>(broker: &B, partitions: &[PartitionId]) -> Result<(), Failure> {
    let mut restored = 0;
    for pp in partitions {
        let done = room_service::restore(broker, *pp).await;
        if let Some(done) = done.map_err(anyhow::Error::from)? {
            restored += 1;
            say(&format!(
                "partition {pp}: {} rooms have a new numbering, {} events were cut, the log was raised \
                 by {}\n",
                done.rooms, done.cut, done.raised
            ));
        }
    }
    let whole = partitions.len() - restored;
    say(&format!(
        "restored {restored} partitions; {whole} needed nothing\n"
    ));
    Ok(())
}

fn say(words: &str) {
    // Whoever closed stdout does not want to know.
    let _ = io::stdout().lock().write_all(words.as_bytes());
}
