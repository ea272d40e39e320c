//! `parlor doctor …`: looks after stored data, beside or instead of a running installation.

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
    Scrub(ScrubArgs),
}

/// `parlor doctor scrub`.
#[derive(Args, Debug)]
pub(crate) struct ScrubArgs {
    #[command(flatten)]
    embedded: EmbeddedArgs,
    #[command(flatten)]
    nats: NatsArgs,
}

/// Does what was asked.
pub(crate) async fn run(command: DoctorCommand) -> Result<(), Failure> {
    let DoctorCommand::Scrub(args) = command;
    match args.nats.choice() {
        Some(choice) => {
            let nats = connect(choice, "room-service").await?;
            Box::pin(nats.verify())
                .await
                .map_err(|error| Failure::Run(error.into()))?;
            scrub(&nats).await
        }
        None => {
            let embedded: Embedded = open(args.embedded.data_dir).await?;
            scrub(&embedded).await
        }
    }
}

/// Scrubs every partition, one after the other.
async fn scrub<B: Broker>(broker: &B) -> Result<(), Failure> {
    let installed = room_service::partitions_of(broker).await;
    let count = installed
        .map_err(anyhow::Error::from)?
        .context("there is no installation here: nothing was ever stored")?;
    let partitions = std::iter::once(PartitionId::Meta).chain(count.rooms());
    let mut scrubbed = 0;
    for pp in partitions {
        broker
            .scrub(pp)
            .await
            .with_context(|| format!("partition {pp} is not scrubbed whole; run it again"))?;
        scrubbed += 1;
    }
    let words = format!("scrubbed {scrubbed} partitions\n");
    // Whoever closed stdout does not want to know.
    let _ = io::stdout().lock().write_all(words.as_bytes());
    Ok(())
}
