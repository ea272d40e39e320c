//! The steady work of an owner: values into the store, the checkpoint behind them, heads, and rooms out
//! of memory.

use broker::Broker;
use proto::log::v1::{Checkpoint, VALUE_FORMAT};
use tokio::time::Instant;
use tracing::debug;

use super::{Owner, TICK};
use crate::domain::codec;

/// The key of the checkpoint.
pub(super) const KEY: &str = "ckpt";
/// A partition may always hold this part of what all may.
const LEAST_SHARE: usize = 96;
/// Heads are told each second.
const HEADS_TICKS: u64 = 4;
/// The log is trimmed no oftener than this: a trim costs as much as some commits.
const CHECKPOINT_TICKS: u64 = 8;
/// Memory is looked after every ten seconds.
const SWEEP_TICKS: u64 = 40;

impl<B: Broker> Owner<B> {
    /// Everything that happens by time.
    pub(super) async fn tick(&mut self) {
        self.next_tick = Instant::now() + TICK;
        self.ticks += 1;
        let now = self.shared.clock.now();
        self.put_values();
        if self.ticks.is_multiple_of(CHECKPOINT_TICKS)
            && self.background.checkpoint.is_some()
            && let Some(log_seq) = self.partition.next_checkpoint(now)
        {
            let value = self.checkpoint(log_seq);
            self.background.put_checkpoint(log_seq, codec::seal(&value));
        }
        if self.ticks.is_multiple_of(HEADS_TICKS) {
            self.tell_heads().await;
        }
        if self.ticks.is_multiple_of(SWEEP_TICKS) {
            let partitions = self.shared.cluster.owned_count().max(1);
            let memory = self.shared.memory_bytes;
            let budget = (memory / partitions).max(memory / LEAST_SHARE);
            self.partition.sweep(now, budget);
        }
    }

    /// Starts the puts that are due.
    pub(super) fn put_values(&mut self) {
        let now = self.shared.clock.now();
        while self.background.may_put()
            && let Some((value, before)) = self.partition.next_erasure()
        {
            self.background.erase(value, before);
        }
        while self.background.may_put()
            && let Some(put) = self.partition.next_put(now)
        {
            self.background.put(put);
        }
        self.start_work();
    }

    fn checkpoint(&self, log_seq: u64) -> Checkpoint {
        Checkpoint {
            format: VALUE_FORMAT,
            log: log_seq,
            epoch: self.epoch,
            owner: self.shared.me.to_string(),
        }
    }

    async fn tell_heads(&mut self) {
        let now = self.shared.clock.now();
        let subject = self.shared.subjects.heads(self.pp);
        for heads in self.partition.heads(now, self.epoch) {
            if let Err(error) = self.shared.broker.publish(&subject, heads, None).await {
                debug!(partition.id = %self.pp, error = %error, "heads were not published");
            }
        }
    }
}
