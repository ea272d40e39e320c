//! The owner of one partition: makes what the domain proposes durable, then answers and republishes.
//!
//! One task, one append in flight, fenced by the sequence of the last record folded. While an append is
//! under way requests gather and become the next commit: that is the whole of group commit. No answer
//! leaves before the log has confirmed the state it was made from.

mod asker;
mod catch_up;
mod claim;
mod inbox;
mod requests;
mod supervisor;

use std::{sync::Arc, time::Duration};

use broker::{Append, Broker};
use proto::{PartitionId, RoomId, bus::v1::Read};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, trace_span};

use crate::{
    domain::{Batch, Committed, FoldError, Partition},
    service::Shared,
};
use asker::Asker;
use inbox::Inbox;

pub(crate) use supervisor::supervise;

/// How long a confirmation by the log is good for: reads and refusals from an older state look at the
/// log first (DESIGN section 5, Reads by an owner).
const CONFIRMED_FOR: Duration = Duration::from_millis(500);
/// Requests that waited longer are dropped: their gateway has retried.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// Why an owner stopped.
pub(crate) enum End {
    /// The process shuts down; everything received was answered.
    Stopped,
    /// The log shows another owner; everybody who waited was sent there.
    Deposed,
    /// A record cannot be folded: this process cannot own the partition.
    Unfoldable(FoldError),
}

/// A read that waits for the log's confirmation.
struct WaitingRead {
    asker: Asker,
    room: RoomId,
    read: Read,
}

/// The owner of a partition under one epoch.
pub(crate) struct Owner<B: Broker> {
    pp: PartitionId,
    epoch: u64,
    shared: Arc<Shared<B>>,
    partition: Partition<Asker>,
    inbox: Inbox<B::Subscription>,
    reads: Vec<WaitingRead>,
    /// When the log operation began that last found nothing beyond what is folded.
    confirmed_at: Option<Instant>,
    shutdown: CancellationToken,
}

impl<B: Broker> Owner<B> {
    /// Serves the partition until it is deposed or the process shuts down.
    async fn run(mut self) -> End {
        loop {
            let stopping = self.shutdown.is_cancelled();
            self.take_in();
            match self.step().await {
                Ok(()) => {}
                Err(end) => return end,
            }
            if stopping {
                return End::Stopped;
            }
            if self.partition.is_idle() && self.reads.is_empty() {
                tokio::select! {
                    () = self.shutdown.cancelled() => {}
                    open = self.inbox.fill() => if !open { return End::Stopped },
                }
            }
        }
    }

    /// One commit, or one look at the log, with all that waits for it.
    async fn step(&mut self) -> Result<(), End> {
        let now = self.shared.clock.now();
        let batch = self.partition.propose(now, self.epoch, &self.shared.me);
        if batch.record.is_some() {
            return self.append(batch).await;
        }
        if batch.is_empty() && self.reads.is_empty() {
            return Ok(());
        }
        if !self.is_confirmed() {
            return self.catch_up(Some(batch)).await;
        }
        let done = self.partition.committed(batch, self.partition.folded());
        self.carry_out(done.map_err(End::Unfoldable)?).await;
        self.answer_reads().await;
        Ok(())
    }

    async fn append(&mut self, batch: Batch<Asker>) -> Result<(), End> {
        let record = batch.record.clone().unwrap_or_default();
        let span = commit_span(self.pp, &batch);
        let started = Instant::now();
        self.shared
            .metrics
            .commit_bytes
            .observe(record.len() as f64);
        self.shared
            .metrics
            .commit_events
            .observe(batch.events as f64);
        let expected = self.partition.folded();
        let append = self
            .shared
            .broker
            .append(self.pp, expected, record)
            .instrument(span);
        let outcome = self.inbox.fill_until(append).await;
        self.shared
            .metrics
            .commit_seconds
            .observe(started.elapsed().as_secs_f64());
        match outcome {
            Append::Written(log_seq) if log_seq == expected + 1 => {
                self.confirmed_at = Some(started);
                let done = self
                    .partition
                    .committed(batch, log_seq)
                    .map_err(End::Unfoldable)?;
                self.carry_out(done).await;
                self.answer_reads().await;
                Ok(())
            }
            Append::Written(_) | Append::Conflict { .. } | Append::Unclear => {
                debug!(partition.id = %self.pp, log.outcome = ?outcome, "append did not settle, reading on");
                self.shared.metrics.unsettled_appends.inc();
                self.catch_up(Some(batch)).await
            }
            Append::Refused { why } => {
                error!(partition.id = %self.pp, error = why, "the log refused a commit");
                self.shared.metrics.refused_appends.inc();
                for (asker, answer) in self.partition.refuse(batch) {
                    self.reply(asker, answer).await;
                }
                Ok(())
            }
        }
    }

    /// Whether what is folded was the end of the log a short while ago, and holds what readers have.
    fn is_confirmed(&self) -> bool {
        let fresh = self
            .confirmed_at
            .is_some_and(|at| at.elapsed() <= CONFIRMED_FOR);
        fresh
            && self
                .reads
                .iter()
                .all(|read| read.read.min_seq <= self.partition.head(&read.room))
    }

    /// Answers, publishes, and keeps the directory true; the directory first, so that a listing after an
    /// ack holds the room.
    async fn carry_out(&mut self, done: Committed<Asker>) {
        self.shared.directory.update(self.pp, done.summaries);
        let traces = asker::trace_by_room(&done.replies);
        for (asker, answer) in done.replies {
            self.reply(asker, answer).await;
        }
        for (room, payload) in done.fanouts {
            let subject = self.shared.subjects.outbound(self.pp, &room);
            let trace = traces.get(&room).map(String::as_str);
            if let Err(error) = self.shared.broker.publish(&subject, payload, trace).await {
                // Gateways notice the hole and read it from here.
                debug!(partition.id = %self.pp, error = %error, "fan-out was not published");
            }
        }
    }

    /// The partition is another's: whoever waits is sent there.
    async fn depose(&mut self, batch: Option<Batch<Asker>>, epoch: u64) -> End {
        info!(partition.id = %self.pp, epoch.mine = self.epoch, epoch.seen = epoch, "deposed");
        self.take_in();
        for (asker, answer) in self.partition.give_up(batch, epoch) {
            self.reply(asker, answer).await;
        }
        for waiting in std::mem::take(&mut self.reads) {
            self.reply(waiting.asker, requests::not_owner(epoch)).await;
        }
        End::Deposed
    }
}

/// The span of a commit: within the trace of its first request, linked to the others.
fn commit_span(pp: PartitionId, batch: &Batch<Asker>) -> tracing::Span {
    let mut traces = batch
        .askers()
        .filter_map(|asker| asker.traceparent.as_deref());
    let Some(first) = traces.next() else {
        return tracing::Span::none();
    };
    let span = trace_span!(
        target: broker::trace::TARGET,
        parent: None,
        "parlor.room_service.commit",
        otel.kind = "internal",
        parlor.partition = %pp,
        parlor.events = batch.events,
    );
    broker::trace::set_parent(&span, Some(first));
    for other in traces {
        broker::trace::add_link(&span, Some(other));
    }
    span
}
