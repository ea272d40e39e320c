//! The owner of one partition: makes what the domain proposes durable, then answers and republishes.
//!
//! One task, one append in flight, fenced by the sequence of the last record folded. While an append is
//! under way requests gather and become the next commit: that is the whole of group commit. No answer
//! leaves before the log has confirmed the state it was made from. Reading from the store and putting
//! there happens beside the loop, in tasks that report to it.

mod asker;
mod background;
mod catch_up;
mod checkpoint;
mod claim;
mod inbox;
mod loads;
mod requests;
mod supervisor;
mod tail;

use std::{sync::Arc, time::Duration};

use broker::{Append, Broker};
use proto::{
    PartitionId,
    bus::v1::{NotOwner, reply},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, trace_span};

use crate::{
    domain::{self, Batch, Committed, FoldError, Partition},
    service::Shared,
};
use asker::Asker;
use background::{Background, Done};
use inbox::Inbox;

pub(crate) use supervisor::supervise;
pub(crate) use tail::Tail;

/// How long a confirmation by the log is good for: reads and refusals from an older state look at the
/// log first (DESIGN section 5, Reads by an owner).
const CONFIRMED_FOR: Duration = Duration::from_millis(500);
/// An owner that has nothing to do looks this often whether it still is the owner.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Requests that waited longer are dropped: their gateway has retried.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// All that waits is looked through this often for what is stale by then.
const LOOK_FOR_STALE_EVERY: Duration = Duration::from_millis(100);
/// How often values are put, and heads told every fourth time.
const TICK: Duration = Duration::from_millis(250);
/// At its end an owner answers what was received for no longer than this.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Why an owner stopped.
pub(crate) enum End {
    /// It was told to; everything received was answered.
    Stopped,
    /// The log shows another owner; everybody who waited was sent there.
    Deposed,
    /// Log or store are not to be used as they are: this process cannot own the partition.
    Unfoldable(FoldError),
}

/// The owner of a partition under one epoch.
pub(crate) struct Owner<B: Broker> {
    pp: PartitionId,
    epoch: u64,
    shared: Arc<Shared<B>>,
    partition: Partition<Asker>,
    inbox: Inbox<B::Subscription>,
    background: Background<B>,
    /// When the log operation began that last found nothing beyond what is folded.
    confirmed_at: Option<Instant>,
    next_tick: Instant,
    next_stale_look: Instant,
    ticks: u64,
    shutdown: CancellationToken,
}

impl<B: Broker> Owner<B> {
    /// Serves the partition until it is deposed or told to stop.
    async fn run(mut self) -> End {
        let end = self.serve().await.err().unwrap_or(End::Stopped);
        // Nobody is left to a time-out.
        let answer = match &end {
            End::Stopped | End::Deposed => reply::Result::NotOwner(NotOwner { epoch: 0 }),
            End::Unfoldable(_) => domain::unavailable(),
        };
        loop {
            self.take_in();
            let waiting = self.partition.drain(&answer);
            if waiting.is_empty() {
                return end;
            }
            for (asker, answer) in waiting {
                self.reply(asker, answer).await;
            }
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        let mut stop_by = None;
        loop {
            if self.shutdown.is_cancelled() {
                stop_by.get_or_insert_with(|| Instant::now() + LAST_ANSWERS);
            }
            self.take_in();
            while let Some(done) = self.background.try_next() {
                self.done(done).await?;
            }
            if self.next_tick <= Instant::now() {
                self.tick().await;
                if !self.was_confirmed_within(LOOK_EVERY) {
                    // Nobody asks an owner that has been replaced while it could not hear.
                    self.catch_up(None).await?;
                }
            }
            self.tell_damage();
            self.refuse_waiting().await;
            self.step().await?;
            // What that found missing is read at once.
            self.start_work();
            if self.inbox.has_ended() {
                // Nobody can ask any more: a new claim listens anew.
                return Err(End::Stopped);
            }
            // What waits for a load is woken by it; what finds no place, by whoever leaves one.
            let is_idle =
                self.partition.is_idle() && (self.inbox.is_empty() || !self.partition.has_room());
            if stop_by.is_some_and(|by| is_idle || by <= Instant::now()) {
                return Ok(());
            }
            if is_idle {
                self.wait().await?;
            }
        }
    }

    /// Waits for something to do.
    async fn wait(&mut self) -> Result<(), End> {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            open = self.inbox.fill(), if self.inbox.has_room() => if !open { return Err(End::Stopped) },
            done = self.background.next() => self.done(done).await?,
            () = tokio::time::sleep_until(self.next_tick) => {}
        }
        Ok(())
    }

    /// One commit, or one look at the log, with all that waits for it.
    async fn step(&mut self) -> Result<(), End> {
        let now = self.shared.clock.now();
        let batch = self.partition.propose(now, self.epoch, &self.shared.me);
        if batch.record.is_some() {
            return self.append(batch).await;
        }
        if batch.is_empty() && !self.partition.has_questions() {
            return Ok(());
        }
        if !self.is_confirmed() {
            return self.catch_up(Some(batch)).await;
        }
        let done = self
            .partition
            .committed(batch, self.partition.folded(), now);
        self.carry_out(done.map_err(End::Unfoldable)?).await;
        self.answer().await;
        Ok(())
    }

    async fn append(&mut self, batch: Batch<Asker>) -> Result<(), End> {
        let record = batch.record.clone().unwrap_or_default();
        let span = commit_span(self.pp, &batch);
        let started = Instant::now();
        let metrics = &self.shared.metrics;
        metrics.commit_bytes.observe(record.len() as f64);
        metrics.commit_events.observe(batch.events as f64);
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
                self.confirmed(started);
                let now = self.shared.clock.now();
                let done = self
                    .partition
                    .committed(batch, log_seq, now)
                    .map_err(End::Unfoldable)?;
                self.carry_out(done).await;
                self.answer().await;
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
                // A log that takes nothing may still be read, and with it the rooms.
                self.catch_up(None).await?;
                let is_confirmed = self.partition.folded() == expected;
                for (asker, answer) in self.partition.refuse(batch, is_confirmed) {
                    self.reply(asker, answer).await;
                }
                Ok(())
            }
        }
    }

    /// The log operation that began at `started` found nothing beyond what is folded.
    fn confirmed(&mut self, started: Instant) {
        self.confirmed_at = Some(started);
        self.shared.cluster.confirmed(self.pp);
    }

    /// Whether what is folded was the end of the log a short while ago, and holds what readers have.
    fn is_confirmed(&self) -> bool {
        self.was_confirmed_within(CONFIRMED_FOR) && !self.partition.lacks_what_is_asked()
    }

    fn was_confirmed_within(&self, time: Duration) -> bool {
        self.confirmed_at.is_some_and(|at| at.elapsed() <= time)
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
                // Gateways notice the hole, by the next event or by the room's head, and read it.
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
