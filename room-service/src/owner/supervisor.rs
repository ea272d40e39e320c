//! One ownership's life: claim the partition, own it, and say how that ended.

use std::sync::Arc;

use broker::Broker;
use proto::PartitionId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::{End, Owner, Tail};
use crate::{cluster::Ended, service::Shared};

/// Claims a partition and owns it, until `stop` is cancelled or the log shows another owner. `tail`: what
/// was read ahead of its log.
pub(crate) async fn supervise<B: Broker>(
    pp: PartitionId,
    shared: Arc<Shared<B>>,
    stop: CancellationToken,
    tail: Tail,
) -> Ended {
    let began = Instant::now();
    let end = match Owner::claim(pp, Arc::clone(&shared), stop, tail).await {
        Ok(owner) => {
            let took = began.elapsed();
            debug!(partition.id = %pp, epoch.mine = owner.epoch, claim.ms = took.as_millis(), "claimed");
            shared.cluster.own(pp, owner.epoch);
            owner.run().await
        }
        Err(end) => end,
    };
    shared.directory.forget(pp);
    match end {
        End::Stopped => Ended::Stopped,
        End::Deposed => {
            shared.metrics.deposed.inc();
            Ended::Deposed
        }
        End::Unfoldable(error) => {
            error!(partition.id = %pp, error = %error, "this partition cannot be owned");
            Ended::CannotOwn(error.to_string())
        }
    }
}
