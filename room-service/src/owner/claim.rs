//! Claiming a partition: a mark on the checkpoint, which only the store's true leader takes, then the log
//! behind it, then an epoch record that nobody else's append interleaves with.

use std::sync::Arc;

use broker::{Append, Broker, Put, ReadError, Reader as _, Revision};
use proto::{
    PartitionId,
    log::v1::{COMMIT_FORMAT, Checkpoint, Commit, VALUE_FORMAT},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Asker, Background, End, Inbox, Owner, Tail, checkpoint::KEY};
use crate::{
    backoff::Backoff,
    domain::{self, FoldError, Partition, codec},
    service::Shared,
};

/// Readings of a checkpoint whose log was trimmed meanwhile, before that is taken for what it looks like.
const TRIMMED_READINGS: u32 = 5;

/// A claim that did not come about.
enum Failed {
    /// Try again.
    Again(String),
    /// The log begins behind the checkpoint: somebody may have trimmed it meanwhile.
    Trimmed(FoldError),
    /// Trying again does not help.
    End(End),
}

/// A partition read up to the end of its log.
struct Base {
    partition: Partition<Asker>,
    checkpoint: Revision,
}

impl<B: Broker> Owner<B> {
    /// Claims a partition, however long its log is away. `tail`: what was read ahead of its log.
    ///
    /// # Errors
    /// [`End::Stopped`] when told to stop, [`End::Unfoldable`] for a log that this version cannot fold
    /// or that does not belong to its store.
    pub(super) async fn claim(
        pp: PartitionId,
        shared: Arc<Shared<B>>,
        shutdown: CancellationToken,
        tail: Tail,
    ) -> Result<Self, End> {
        let mut backoff = Backoff::new();
        let mut trimmed = 0;
        loop {
            let attempt = Self::try_claim(pp, &shared, &shutdown, &tail);
            let why = match attempt.await {
                Ok(owner) => return Ok(owner),
                Err(Failed::End(end)) => return Err(end),
                Err(Failed::Trimmed(error)) => {
                    trimmed += 1;
                    if trimmed == TRIMMED_READINGS {
                        return Err(End::Unfoldable(error));
                    }
                    error.to_string()
                }
                Err(Failed::Again(why)) => why,
            };
            if backoff.is_first() {
                warn!(partition.id = %pp, error = why, "claim failed, trying again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return Err(End::Stopped),
                () = backoff.wait() => {}
            }
        }
    }

    async fn try_claim(
        pp: PartitionId,
        shared: &Arc<Shared<B>>,
        shutdown: &CancellationToken,
        tail: &Tail,
    ) -> Result<Self, Failed> {
        let mut base = mark(pp, shared).await?;
        for (log_seq, record) in tail.from(base.partition.folded() + 1) {
            take(shared, &mut base.partition, *log_seq, record)?;
        }
        let epoch = loop {
            read_on(pp, shared, &mut base.partition).await?;
            let epoch = base.partition.epoch() + 1;
            if append_claim(pp, shared, &mut base.partition, epoch).await? {
                break epoch;
            }
        };
        let pattern = shared.subjects.inbound_all(pp, epoch);
        let subscription = shared.broker.subscribe(&pattern).await.map_err(again)?;
        debug!(partition.id = %pp, epoch.mine = epoch, log.last = base.partition.folded(), "claimed");
        base.partition.note_tail(shared.clock.now());
        let mut owner = Self {
            pp,
            epoch,
            shared: Arc::clone(shared),
            partition: base.partition,
            inbox: Inbox::new(subscription),
            background: Background::new(shared.broker.clone(), pp, base.checkpoint),
            confirmed_at: None,
            next_tick: Instant::now(),
            next_stale_look: Instant::now(),
            ticks: 0,
            shutdown: shutdown.clone(),
        };
        owner.background.list(Arc::clone(&shared.listings));
        Ok(owner)
    }
}

/// Reads the checkpoint and puts a mark on it: proof of talking to the store's leader, from whom alone
/// what follows may be read.
async fn mark<B: Broker>(pp: PartitionId, shared: &Shared<B>) -> Result<Base, Failed> {
    let found = shared.broker.get(pp, KEY).await.map_err(again)?;
    let (found, revision) = match found {
        None => (Checkpoint::default(), Revision::NONE),
        Some(value) => {
            let found = codec::open(
                &value.bytes,
                |found: &Checkpoint| found.format,
                VALUE_FORMAT,
            );
            let found = found.map_err(|damaged| {
                mismatch(format!("value `{KEY}` of partition {pp}: {damaged}"))
            })?;
            (found, value.revision)
        }
    };
    let marked = Checkpoint {
        format: VALUE_FORMAT,
        owner: shared.me.to_string(),
        ..found
    };
    let (log, epoch) = (marked.log, marked.epoch);
    match shared
        .broker
        .put(pp, KEY, codec::seal(&marked), revision)
        .await
    {
        Put::Written(checkpoint) => {
            let rules = Arc::clone(shared.rules());
            let mut partition = Partition::new(rules, log, epoch, rand::random());
            if revision == Revision::NONE {
                // Nobody ever owned it: whatever there is, is in the log.
                partition.is_listed();
            }
            Ok(Base {
                partition,
                checkpoint,
            })
        }
        Put::Conflict { .. } => Err(again("another replica claims as well")),
        Put::Unclear => Err(again("the mark on the checkpoint is unclear")),
        Put::Refused { why } => Err(again(why)),
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
    let record = domain::encode(&claim);
    let appended = shared
        .broker
        .append(pp, partition.folded(), record.clone())
        .await;
    match appended {
        Append::Written(log_seq) => {
            take(shared, partition, log_seq, &record)?;
            Ok(true)
        }
        Append::Conflict { last } => {
            debug!(partition.id = %pp, log.last = last, "claim met another record");
            Ok(false)
        }
        // It may land late. The next attempt reads the log to its end: a claim of mine that landed only
        // raises the epoch once more, and one that lands later fails on its expectation.
        Append::Unclear => Err(again("the epoch record's append is unclear")),
        Append::Refused { why } => Err(again(why)),
    }
}

async fn read_on<B: Broker>(
    pp: PartitionId,
    shared: &Shared<B>,
    partition: &mut Partition<Asker>,
) -> Result<(), Failed> {
    let last = shared.broker.last(pp).await.map_err(again)?;
    let folded = partition.folded();
    if last < folded {
        return Err(mismatch(format!(
            "the checkpoint of partition {pp} holds log seq {folded}, and the log ends at {last}"
        )));
    }
    let mut reader = shared.broker.read(pp, folded + 1, last);
    loop {
        match reader.next().await {
            Ok(Some((log_seq, record))) => take(shared, partition, log_seq, &record)?,
            Ok(None) => return Ok(()),
            Err(ReadError::Trimmed { first }) => {
                let words = format!(
                    "the log of partition {pp} begins with {first}, and its checkpoint holds only {folded}"
                );
                return Err(Failed::Trimmed(FoldError::Mismatch(words)));
            }
            Err(error @ ReadError::Unavailable(_)) => return Err(again(error)),
        }
    }
}

fn take<B: Broker>(
    shared: &Shared<B>,
    partition: &mut Partition<Asker>,
    log_seq: u64,
    record: &bytes::Bytes,
) -> Result<(), Failed> {
    partition
        .take_tail(log_seq, record, shared.clock.now())
        .map_err(|error| Failed::End(End::Unfoldable(error)))
}

fn again(error: impl std::fmt::Display) -> Failed {
    Failed::Again(error.to_string())
}

fn mismatch(words: String) -> Failed {
    Failed::End(End::Unfoldable(FoldError::Mismatch(words)))
}
