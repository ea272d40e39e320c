//! Before a scrub: what is in a log only must go into the store, and the log be trimmed to its end.

use std::time::Duration;

use anyhow::Result;
use broker::{Broker, ReadError, Reader as _};
use prometheus_client::registry::Registry;
use proto::{Limits, PartitionCount, PartitionId, subject::Subjects};
use room_service::{Options, RoomService, WallClock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a room service has for it: an idle one trims after some seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until every log is trimmed to its end; the partitions where that did not come about.
pub(super) async fn wait<B: Broker>(
    broker: &B,
    partitions: &[PartitionId],
) -> Result<Vec<PartitionId>> {
    let give_up = Instant::now() + PATIENCE;
    let mut left = partitions.to_vec();
    loop {
        let mut still = Vec::new();
        for pp in left {
            if !is_trimmed(broker, pp).await? {
                still.push(pp);
            }
        }
        if still.is_empty() || Instant::now() >= give_up {
            return Ok(still);
        }
        left = still;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same for data that nobody serves: a room service of our own does it.
pub(super) async fn serve_and_wait<B: Broker>(
    broker: &B,
    partitions: &[PartitionId],
) -> Result<Vec<PartitionId>> {
    let options = Options {
        subjects: Subjects::default(),
        limits: Limits::default(),
        replica_id: "doctor".to_owned(),
        partitions: None,
        default_partitions: PartitionCount::DEFAULT,
        auto_create: true,
        alone: true,
        admin: None,
        memory_bytes: Options::MEMORY_BYTES,
        wall_clock: WallClock::default(),
    };
    let service = RoomService::bind(options, broker.clone(), &mut Registry::default()).await?;
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(service.run(shutdown.clone()));
    let waited = wait(broker, partitions).await;
    shutdown.cancel();
    serving.await??;
    waited
}

async fn is_trimmed<B: Broker>(broker: &B, pp: PartitionId) -> Result<bool> {
    let last = broker.last(pp).await?;
    if last == 0 {
        return Ok(true);
    }
    match broker.read(pp, last, last).next().await {
        Ok(_) => Ok(false),
        Err(ReadError::Trimmed { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
