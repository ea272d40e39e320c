//! Claiming a partition: fold the whole log, then append an epoch record that nobody else's append
//! interleaves with.

use std::sync::Arc;

use broker::{Append, Broker, ReadError, Reader as _};
use prost::Message as _;
use proto::{
    PartitionId,
    log::v1::{COMMIT_FORMAT, Commit},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Asker, End, Inbox, Owner};
use crate::{
    backoff::Backoff,
    domain::{self, Partition},
    service::Shared,
};

/// A claim that did not come about.
enum Failed {
    /// Try again.
    Again(String),
    /// Trying again does not help.
    End(End),
}

impl<B: Broker> Owner<B> {
    /// Claims a partition, however long its log is away.
    ///
    /// # Errors
    /// [`End::Stopped`] at shutdown, [`End::Unfoldable`] for a log that this version cannot fold.
    pub(super) async fn claim(
        pp: PartitionId,
        shared: Arc<Shared<B>>,
        shutdown: CancellationToken,
    ) -> Result<Self, End> {
        let mut backoff = Backoff::new();
        loop {
            match Self::try_claim(pp, &shared, &shutdown).await {
                Ok(owner) => return Ok(owner),
                Err(Failed::End(end)) => return Err(end),
                Err(Failed::Again(why)) => {
                    if backoff.is_first() {
                        warn!(partition.id = %pp, error = why, "claim failed, trying again");
                    }
                    tokio::select! {
                        () = shutdown.cancelled() => return Err(End::Stopped),
                        () = backoff.wait() => {}
                    }
                }
            }
        }
    }

    async fn try_claim(
        pp: PartitionId,
        shared: &Arc<Shared<B>>,
        shutdown: &CancellationToken,
    ) -> Result<Self, Failed> {
        let mut partition = Partition::new(Arc::clone(shared.rules()), rand::random());
        let epoch = loop {
            read_on(pp, shared, &mut partition).await?;
            let epoch = partition.epoch() + 1;
            if append_claim(pp, shared, &mut partition, epoch).await? {
                break epoch;
            }
        };
        let pattern = shared.subjects.inbound_all(pp, epoch);
        let subscription = shared.broker.subscribe(&pattern).await.map_err(again)?;
        shared.directory.replace(pp, partition.summaries());
        debug!(partition.id = %pp, epoch.mine = epoch, log.last = partition.folded(), "claimed");
        Ok(Self {
            pp,
            epoch,
            shared: Arc::clone(shared),
            partition,
            inbox: Inbox::new(subscription),
            reads: Vec::new(),
            confirmed_at: None,
            shutdown: shutdown.clone(),
        })
    }
}

/// Appends the epoch record; `false` when the log went on meanwhile, so that the epoch may be taken.
async fn append_claim<B: Broker>(
    pp: PartitionId,
    shared: &Shared<B>,
    partition: &mut Partition<Asker>,
    epoch: u64,
) -> Result<bool, Failed> {
    let claim = Commit {
        format: COMMIT_FORMAT,
        epoch,
        owner: shared.me.to_string(),
        ts_ms: shared.clock.now().unix_ms,
        rooms: Vec::new(),
    };
    let record = claim.encode_to_vec().into();
    match shared.broker.append(pp, partition.folded(), record).await {
        Append::Written(log_seq) => {
            partition
                .fold(log_seq, claim)
                .map_err(|error| Failed::End(End::Unfoldable(error)))?;
            Ok(true)
        }
        Append::Conflict { last } => {
            debug!(partition.id = %pp, log.last = last, "claim met another record");
            Ok(false)
        }
        // It may land late. The next attempt reads the log to its end: a claim of mine that landed only
        // raises the epoch once more, and one that lands later fails on its expectation.
        Append::Unclear => Err(Failed::Again(
            "the epoch record's append is unclear".to_owned(),
        )),
        Append::Refused { why } => Err(Failed::Again(why)),
    }
}

async fn read_on<B: Broker>(
    pp: PartitionId,
    shared: &Shared<B>,
    partition: &mut Partition<Asker>,
) -> Result<(), Failed> {
    let last = shared.broker.last(pp).await.map_err(again)?;
    let mut reader = shared.broker.read(pp, partition.folded() + 1, last);
    loop {
        match reader.next().await {
            Ok(Some((log_seq, record))) => {
                let folded = domain::decode(log_seq, &record)
                    .and_then(|commit| partition.fold(log_seq, commit));
                folded.map_err(|error| Failed::End(End::Unfoldable(error)))?;
            }
            Ok(None) => return Ok(()),
            Err(error @ (ReadError::Unavailable(_) | ReadError::Trimmed { .. })) => {
                return Err(again(error));
            }
        }
    }
}

fn again(error: impl std::fmt::Display) -> Failed {
    Failed::Again(error.to_string())
}
