//! The tasks that claim and own partitions: one a partition, each with a token that stops it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use broker::Broker;
use parking_lot::Mutex;
use proto::PartitionId;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::super::placement::Ended;
use crate::{
    owner::{self, Tail},
    service::Shared,
};

/// Running tasks.
#[derive(Default)]
pub(super) struct Owners {
    tasks: JoinSet<Ended>,
    partitions: HashMap<Id, PartitionId>,
    stops: BTreeMap<PartitionId, CancellationToken>,
    tails: Tails,
}

/// What was read ahead of the logs of partitions whose release is asked for.
pub(super) type Tails = Arc<Mutex<BTreeMap<PartitionId, Tail>>>;

impl Owners {
    /// Claims a partition and owns it, until it is stopped or deposed.
    pub(super) fn claim<B: Broker>(&mut self, pp: PartitionId, shared: &Arc<Shared<B>>) {
        let stop = CancellationToken::new();
        let tail = self.tails.lock().remove(&pp).unwrap_or_default();
        let task = owner::supervise(pp, Arc::clone(shared), stop.clone(), tail);
        self.partitions.insert(self.tasks.spawn(task).id(), pp);
        self.stops.insert(pp, stop);
    }

    /// Asks a partition's task to end.
    pub(super) fn stop(&self, pp: PartitionId) {
        if let Some(stop) = self.stops.get(&pp) {
            stop.cancel();
        }
    }

    /// Where to leave what was read ahead.
    pub(super) fn tails(&self) -> Tails {
        Arc::clone(&self.tails)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next task that has ended, and how; `None` when none runs. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Option<(PartitionId, Ended)> {
        loop {
            let (id, how) = match self.tasks.join_next_with_id().await? {
                Ok((id, how)) => (id, how),
                // The next claim begins anew from the log.
                Err(failed) => {
                    error!(error = %failed, "an owner failed on a fault of ours; please report the lines above");
                    (failed.id(), Ended::Deposed)
                }
            };
            let Some(pp) = self.partitions.remove(&id) else {
                continue;
            };
            self.stops.remove(&pp);
            return Some((pp, how));
        }
    }
}
