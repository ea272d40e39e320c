//! What the work beside the loop came to.

use broker::{Broker, Put as Outcome, Revision};
use proto::log::v1::{Checkpoint, VALUE_FORMAT};
use tracing::{error, warn};

use super::{Done, End, Owner, background::Listed};
use crate::domain::{Fetched, FoldError, Load, Loaded, Putting, Resolved, codec};

/// Readings of a value that know less than they must, before its room is given up.
const STALE_READINGS: u32 = 100;

impl<B: Broker> Owner<B> {
    /// Starts what the domain wants read.
    pub(super) fn start_work(&mut self) {
        while self.background.may_load()
            && let Some(load) = self.partition.next_load()
        {
            self.background.load(load, 0);
        }
    }

    /// Takes what a piece of work came to.
    pub(super) async fn done(&mut self, done: Done) -> Result<(), End> {
        match done {
            Done::Loaded {
                load,
                attempt,
                fetched,
            } => self.loaded(load, attempt, fetched).await?,
            Done::Put { value, outcome } => self.put_done(value, outcome).await?,
            Done::Found {
                value,
                fetched: Err(why),
            } => {
                // It stays dirty, and the log is kept for it.
                error!(partition.id = %self.pp, store.key = value.key(), error = why, "a value cannot be replaced");
                self.partition.not_written(&value, self.shared.clock.now());
            }
            Done::Found {
                value,
                fetched: Ok(fetched),
            } => {
                if self.partition.resolve(&value, fetched) == Resolved::Newer {
                    warn!(partition.id = %self.pp, store.key = value.key(), "the store is ahead of what this process has folded");
                    return Err(self.depose(None, 0).await);
                }
            }
            Done::Checkpoint { log_seq, outcome } => self.checkpoint_done(log_seq, outcome),
            Done::FoundCheckpoint(found) => self.found_checkpoint(found).await?,
            Done::Erased(value) => self.partition.erased(&value),
            Done::Listed(rooms) => self.listed(rooms),
            Done::AllListed => self.all_listed(),
            Done::Nothing => {}
        }
        self.put_values();
        Ok(())
    }

    /// Answers those for whom nothing can be done.
    pub(super) async fn refuse_waiting(&mut self) {
        for (asker, answer) in self.partition.take_refused() {
            self.reply(asker, answer).await;
        }
    }

    /// Tells operators of rooms that the log was found damaged for.
    pub(super) fn tell_damage(&mut self) {
        for words in self.partition.take_damage() {
            self.tell_broken(&Loaded::Broken(words));
        }
    }

    async fn loaded(
        &mut self,
        load: Load,
        attempt: u32,
        fetched: Result<Fetched, String>,
    ) -> Result<(), End> {
        let now = self.shared.clock.now();
        let outcome = match fetched {
            Ok(fetched) => self.partition.loaded(&load, fetched, now),
            Err(why) => self.partition.not_loaded(&load, &why, now),
        };
        match outcome {
            Loaded::Done | Loaded::StillBroken => {}
            Loaded::Stale if attempt < STALE_READINGS => self.background.load(load, attempt + 1),
            Loaded::Stale => {
                let outcome = self
                    .partition
                    .not_loaded(&load, "it is not in the store", now);
                self.tell_broken(&outcome);
            }
            Loaded::Ahead { applied } => {
                self.catch_up(None).await?;
                if applied > self.partition.folded() {
                    let words = format!(
                        "value `{}` of partition {} holds log seq {applied}, and the log ends at {}",
                        load.key(),
                        self.pp,
                        self.partition.folded()
                    );
                    return Err(End::Unfoldable(FoldError::Mismatch(words)));
                }
                self.background.load(load, attempt + 1);
            }
            broken @ Loaded::Broken(_) => self.tell_broken(&broken),
        }
        Ok(())
    }

    fn tell_broken(&self, outcome: &Loaded) {
        if let Loaded::Broken(words) = outcome {
            error!(partition.id = %self.pp, error = words, "a room cannot be served");
            self.shared.metrics.broken_rooms.inc();
        }
    }

    async fn put_done(&mut self, value: Putting, outcome: Outcome) -> Result<(), End> {
        match outcome {
            Outcome::Written(revision) => {
                self.shared.metrics.puts.inc();
                self.partition.written(&value, revision.0);
            }
            Outcome::Conflict { .. } | Outcome::Unclear => {
                // Whoever put it has the log behind it: look there first.
                self.catch_up(None).await?;
                self.background.find(value);
            }
            Outcome::Refused { why } => {
                error!(partition.id = %self.pp, store.key = value.key(), error = why, "the store refused a value");
                self.partition.not_written(&value, self.shared.clock.now());
            }
        }
        Ok(())
    }

    fn checkpoint_done(&mut self, log_seq: u64, outcome: Outcome) {
        match outcome {
            Outcome::Written(revision) => {
                self.partition.checkpointed(log_seq);
                self.background.checkpoint = Some(revision);
            }
            Outcome::Conflict { .. } | Outcome::Unclear => self.background.find_checkpoint(),
            Outcome::Refused { why } => {
                error!(partition.id = %self.pp, error = why, "the store refused a checkpoint");
                self.background.find_checkpoint();
            }
        }
    }

    async fn found_checkpoint(&mut self, found: Result<Fetched, String>) -> Result<(), End> {
        let unfoldable = |why: String| {
            let words = format!("value `ckpt` of partition {}: {why}", self.pp);
            End::Unfoldable(FoldError::Mismatch(words))
        };
        let Some((bytes, revision)) = found.map_err(unfoldable)? else {
            self.background.checkpoint = Some(Revision::NONE);
            return Ok(());
        };
        match codec::open(&bytes, |found: &Checkpoint| found.format, VALUE_FORMAT) {
            Ok(found) if found.epoch > self.epoch => Err(self.depose(None, found.epoch).await),
            Ok(found) => {
                // A claimer put its mark on it, or my own put has landed after all.
                self.partition.checkpointed(found.log);
                self.background.checkpoint = Some(Revision(revision));
                Ok(())
            }
            Err(damaged) => Err(unfoldable(damaged.to_string())),
        }
    }

    fn listed(&mut self, rooms: Vec<Listed>) {
        let mut summaries = Vec::with_capacity(rooms.len());
        for listed in rooms {
            let head = listed.summary.as_ref().map_or(1, |summary| summary.head);
            self.partition.list(listed.room.clone(), head);
            summaries.extend(listed.summary.map(|summary| (listed.room, summary)));
        }
        self.shared.directory.list(self.pp, summaries);
    }

    fn all_listed(&mut self) {
        self.partition.is_listed();
        let directory = &self.shared.directory;
        let of_tail = self
            .partition
            .tail_summaries(|room| directory.get(self.pp, room));
        directory.list(self.pp, of_tail);
        directory.is_listed(self.pp);
    }
}
