//! One partition's life in this process: wait until it is free, claim it, own it, and again.

use std::{sync::Arc, time::Duration};

use broker::Broker;
use proto::PartitionId;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{End, Owner};
use crate::{backoff::Backoff, service::Shared};

/// How long a partition that cannot be folded is left alone before its log is looked at again.
const UNFOLDABLE_RETRY: Duration = Duration::from_secs(30);

/// Claims and owns a partition whenever no living replica does, until shutdown.
pub(crate) async fn supervise<B: Broker>(
    pp: PartitionId,
    shared: Arc<Shared<B>>,
    shutdown: CancellationToken,
) {
    // A replica that was deposed leaves the partition alone for 1 s · 2^n ± 50 %, 30 s at most.
    let mut deposed = Backoff::between(Duration::from_secs(1), Duration::from_secs(30));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = shared.cluster.free(pp) => {}
        }
        let end = match Owner::claim(pp, Arc::clone(&shared), shutdown.clone()).await {
            Ok(owner) => {
                shared.cluster.own(pp, owner.epoch).await;
                let end = owner.run().await;
                shared.cluster.disown(pp, matches!(end, End::Stopped)).await;
                end
            }
            Err(end) => end,
        };
        let pause = match end {
            End::Stopped => return,
            End::Deposed => {
                shared.metrics.deposed.inc();
                deposed.next_pause()
            }
            End::Unfoldable(error) => {
                error!(partition.id = %pp, error = %error, "this partition cannot be owned");
                shared.cluster.unfoldable(pp, error.to_string());
                UNFOLDABLE_RETRY
            }
        };
        shared.directory.replace(pp, std::iter::empty());
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
