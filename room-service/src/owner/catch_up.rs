//! Reading on: after an append that did not settle, and before answering from a state that the log has
//! not confirmed lately.

use broker::{Broker, ReadError, Reader as _};
use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Asker, End, Owner};
use crate::{
    backoff::Backoff,
    domain::{self, Batch},
};

/// How far one attempt came.
enum Progress {
    /// What is folded is the end of the log.
    AtEnd,
    /// The log did not answer; try again.
    Unavailable(String),
    Ended(End),
}

impl<B: Broker> Owner<B> {
    /// Reads from the last record folded to the end of the log, however long the log is away. Of the
    /// records found, the batch's own is adopted; another owner's with an epoch not below mine deposes
    /// me; the rest is folded. A batch that is not found goes back to be judged anew, and answers that
    /// were decided are given when nothing new was found.
    pub(super) async fn catch_up(&mut self, batch: Option<Batch<Asker>>) -> Result<(), End> {
        let mut batch = batch;
        let mut backoff = Backoff::new();
        let before = self.partition.folded();
        let started = loop {
            let started = Instant::now();
            match self.read_on(&mut batch).await {
                Progress::AtEnd => break started,
                Progress::Ended(end) => {
                    // Whoever waits for it is answered with the others.
                    batch
                        .into_iter()
                        .for_each(|batch| self.partition.put_back(batch));
                    return Err(end);
                }
                Progress::Unavailable(why) => {
                    if backoff.is_first() {
                        warn!(partition.id = %self.pp, error = why, "the log is away, trying again");
                    }
                    if self.shutdown.is_cancelled() {
                        batch
                            .into_iter()
                            .for_each(|batch| self.partition.put_back(batch));
                        return Err(End::Stopped);
                    }
                    self.inbox.fill_until(backoff.wait()).await;
                }
            }
        };
        if !backoff.is_first() {
            info!(partition.id = %self.pp, log.last = self.partition.folded(), "the log is back");
        }
        self.confirmed(started);
        if let Some(batch) = batch {
            let decided_only = batch.record.is_none() && self.partition.folded() == before;
            if decided_only {
                let now = self.shared.clock.now();
                let done = self
                    .partition
                    .committed(batch, before, now)
                    .map_err(End::Unfoldable)?;
                self.carry_out(done).await;
            } else {
                self.partition.put_back(batch);
            }
        }
        self.answer().await;
        Ok(())
    }

    async fn read_on(&mut self, batch: &mut Option<Batch<Asker>>) -> Progress {
        let broker = self.shared.broker.clone();
        let last = match self.inbox.fill_until(broker.last(self.pp)).await {
            Ok(last) => last,
            Err(error) => return Progress::Unavailable(error.to_string()),
        };
        if last < self.partition.folded() {
            // The log lost what it had confirmed: whatever this state is, it is not the log's.
            warn!(partition.id = %self.pp, log.last = last, log.folded = self.partition.folded(), "the log went back");
            return Progress::Ended(self.depose(batch.take(), 0).await);
        }
        let mut reader = broker.read(self.pp, self.partition.folded() + 1, last);
        loop {
            match self.inbox.fill_until(reader.next()).await {
                Ok(Some((log_seq, record))) => {
                    if let Err(end) = self.found(log_seq, &record, batch).await {
                        return Progress::Ended(end);
                    }
                }
                Ok(None) => return Progress::AtEnd,
                // Somebody checkpointed beyond what I have: I have slept, and am not the owner.
                Err(ReadError::Trimmed { .. }) => {
                    return Progress::Ended(self.depose(batch.take(), 0).await);
                }
                Err(ReadError::Unavailable(why)) => return Progress::Unavailable(why),
            }
        }
    }

    async fn found(
        &mut self,
        log_seq: u64,
        record: &Bytes,
        batch: &mut Option<Batch<Asker>>,
    ) -> Result<(), End> {
        let commit = domain::open(log_seq, record).map_err(End::Unfoldable)?;
        let frame = &commit.frame;
        if frame.owner != *self.shared.me && frame.epoch >= self.epoch {
            return Err(self.depose(batch.take(), frame.epoch).await);
        }
        let now = self.shared.clock.now();
        let done = match batch.take_if(|batch| batch.record.as_ref() == Some(record)) {
            Some(mine) => {
                let done = self.partition.committed(mine, log_seq, now);
                done.map_err(End::Unfoldable)?
            }
            None => {
                let bytes = record.len();
                self.partition.fold_record(log_seq, commit, bytes, now)
            }
        };
        self.carry_out(done).await;
        Ok(())
    }
}
