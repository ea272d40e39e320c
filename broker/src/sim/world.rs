//! The broker that all simulated processes share: its state, its one source of chance, and what happened
//! in it, line by line.

use std::{collections::BTreeMap, fmt, time::Duration};

use parking_lot::Mutex;
use proto::PartitionId;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::Notify, time::Instant};

use super::{
    bus::Routes,
    faults::Faults,
    log::LogState,
    process::{ProcessId, Processes},
    store::StoreState,
};

/// The world, and how those who are held up hear that it changed.
pub(super) struct Shared {
    pub(super) world: Mutex<World>,
    /// A stall or an absence ended before its time, or a process crashed.
    pub(super) changed: Notify,
}

/// Everything of it.
pub(super) struct World {
    pub(super) faults: Faults,
    pub(super) processes: Processes,
    pub(super) routes: Routes,
    rng: StdRng,
    started: Instant,
    logs: BTreeMap<PartitionId, LogState>,
    stores: BTreeMap<PartitionId, StoreState>,
    trace: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            faults,
            processes: Processes::default(),
            routes: Routes::default(),
            rng: StdRng::seed_from_u64(seed),
            started: Instant::now(),
            logs: BTreeMap::new(),
            stores: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    pub(super) fn log(&mut self, pp: PartitionId) -> &mut LogState {
        self.logs.entry(pp).or_default()
    }

    pub(super) fn store(&mut self, pp: PartitionId) -> &mut StoreState {
        self.stores.entry(pp).or_default()
    }

    /// Whether what has this chance happens.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.random_bool(chance.min(1.0))
    }

    /// A time up to `most`, in whole milliseconds.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.rng.random_range(0..=most_ms))
    }

    /// A number from 1 to `most`.
    pub(super) fn count_to(&mut self, most: u64) -> u64 {
        self.rng.random_range(1..=most)
    }

    /// How long a way takes when nothing is wrong with it.
    pub(super) fn way(&mut self) -> Duration {
        let takes_time = self.happens(self.faults.pause);
        if takes_time {
            self.up_to(self.faults.pause_max)
        } else {
            Duration::ZERO
        }
    }

    /// Writes down what happened.
    pub(super) fn note(&mut self, process: ProcessId, what: fmt::Arguments<'_>) {
        let at = self.started.elapsed().as_millis();
        let line = format!("{at} ms {}: {what}", self.processes.name(process));
        self.trace.push(line);
    }

    /// Writes down what somebody did who is no process.
    pub(super) fn note_of(&mut self, who: &str, what: fmt::Arguments<'_>) {
        let at = self.started.elapsed().as_millis();
        self.trace.push(format!("{at} ms {who}: {what}"));
    }

    pub(super) fn trace(&self) -> &[String] {
        &self.trace
    }
}
