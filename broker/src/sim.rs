//! The simulated adapter, for tests only: one broker in memory whose faults, delays and interleavings all
//! come from one seed. Processes share a [`Sim`], each by a [`SimBroker`] of its own, and can be stalled,
//! disconnected and crashed at any await.
//!
//! Runs on one thread with a paused clock (`tokio::time`); then the same seed gives the same run, as long
//! as what is simulated takes no other chance, time or thread. It makes no files and no sockets.

mod bus;
mod faults;
mod link;
mod log;
mod process;
mod queue;
mod store;
mod world;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::PartitionId;
use tokio::{sync::Notify, time::Instant};

use crate::{Broker, ProvisionError, StoreError, Value};
pub use bus::SimSubscription;
pub use faults::{BusFaults, Faults, ReadFaults, WriteFaults};
use link::Link;
pub use log::SimReader;
pub use process::Mishap;
pub use store::SimScan;
use world::{Shared, World};

/// A world of processes around one broker. Cheap to clone; clones are the same world.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
}

/// What one simulated process has of the broker. Cheap to clone.
#[derive(Clone)]
pub struct SimBroker {
    link: Link,
}

impl Sim {
    /// An empty broker.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            shared: Arc::new(Shared {
                world: Mutex::new(World::new(seed, faults)),
                changed: Notify::new(),
            }),
        }
    }

    /// The broker for a process; one that crashed begins anew under its name.
    pub fn broker(&self, process: &str) -> SimBroker {
        let process = self.shared.world.lock().processes.begin(process);
        SimBroker {
            link: Link {
                shared: Arc::clone(&self.shared),
                process,
            },
        }
    }

    /// Kills a process: none of its calls ever returns, its subscriptions are gone at once, and what it
    /// had sent to log or store may still land. Whoever runs its tasks ends them after
    /// [`crashed`](Self::crashed).
    pub fn crash(&self, process: &str) {
        self.befall(process, Mishap::Crash);
    }

    /// Freezes a process: all its calls hang for this long, and then it goes on knowing nothing of it.
    pub fn stall(&self, process: &str, time: Duration) {
        self.befall(process, Mishap::Stall(time));
    }

    /// Takes a process's connection away for this long: what was on its way to it is lost, and its
    /// subscriptions yield `Lost` at both ends.
    pub fn disconnect(&self, process: &str, time: Duration) {
        self.befall(process, Mishap::Disconnect(time));
    }

    /// Lets a mishap befall a process after `awaits` more awaits of it on the broker, whichever those are.
    pub fn befall_after(&self, process: &str, awaits: u64, mishap: Mishap) {
        let mut world = self.shared.world.lock();
        if let Some(process) = world.processes.living(process) {
            world.processes.befall_later(process, awaits, mishap);
        }
    }

    fn befall(&self, process: &str, mishap: Mishap) {
        let process = self.shared.world.lock().processes.living(process);
        if let Some(process) = process {
            self.shared.befall(process, mishap);
        }
    }

    /// Whether a process of this name lives.
    pub fn is_alive(&self, process: &str) -> bool {
        self.shared.world.lock().processes.living(process).is_some()
    }

    /// Waits until no process of this name lives. Cancel-safe.
    pub async fn crashed(&self, process: &str) {
        loop {
            let changed = self.shared.changed.notified();
            if !self.is_alive(process) {
                return;
            }
            changed.await;
        }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.world.lock().faults = faults;
    }

    /// Nothing goes wrong any more, and nobody is held up; what is late still lands, and the dead stay
    /// dead.
    pub fn heal(&self) {
        let mut world = self.shared.world.lock();
        world.faults = Faults::none();
        let now = Instant::now();
        for process in world.processes.heal() {
            world.routes.cut(process, now);
        }
        drop(world);
        self.shared.changed.notify_waiters();
    }

    /// All records ever appended to a log, those that were trimmed too, with their sequences.
    pub fn log(&self, pp: PartitionId) -> Vec<(u64, Bytes)> {
        self.shared.world.lock().log(pp).history().collect()
    }

    /// The sequence up to which a log was trimmed.
    pub fn trimmed(&self, pp: PartitionId) -> u64 {
        self.shared.world.lock().log(pp).trimmed()
    }

    /// The current values of a store.
    pub fn store(&self, pp: PartitionId) -> BTreeMap<String, Value> {
        let mut world = self.shared.world.lock();
        let current = world.store(pp).current("");
        current
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// The values of a store that were superseded or purged and not erased, oldest first by key: what
    /// files of a real broker may still hold.
    pub fn superseded(&self, pp: PartitionId) -> Vec<(String, Value)> {
        let mut world = self.shared.world.lock();
        let superseded = world.store(pp).superseded();
        superseded
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Writes down what somebody outside the broker did.
    pub fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        self.shared.world.lock().note_of(who, what);
    }

    /// What happened, line by line: the same for the same seed.
    pub fn trace(&self) -> Vec<String> {
        self.shared.world.lock().trace().to_vec()
    }
}

impl Broker for SimBroker {
    async fn provision(&self, _partitions: &[PartitionId]) -> Result<(), ProvisionError> {
        let provision = self.link.look("provision".to_owned(), |_| ());
        provision.await.map_err(ProvisionError::Unavailable)
    }

    async fn scrub(&self, pp: PartitionId) -> Result<(), StoreError> {
        self.scrub_store(pp).await
    }
}
