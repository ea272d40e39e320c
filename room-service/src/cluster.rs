//! Who owns what: this process's own partitions, those of other replicas, and who should own each.
//!
//! Ownership is a hint for speed; the log's expectation is what keeps two owners from both writing.
//! `placement` decides, without IO; `members` is who lives, `clock` whose clock is right, `rendezvous` who
//! should own what; `talk` carries out what is decided.

mod clock;
mod members;
mod news;
mod placement;
mod process;
mod rendezvous;
mod talk;
mod wire;

use parking_lot::Mutex;
use proto::PartitionId;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use members::Profile;
use placement::{Effect, Input, Placement};
use process::{Moment, Process};

use crate::clock::WallClock;

pub(crate) use placement::Ended;
pub(crate) use talk::run;

/// What this process knows of ownership.
pub(crate) struct Cluster {
    me: Process,
    wall: WallClock,
    started: Instant,
    state: Mutex<State>,
    /// There are effects to carry out.
    work: Notify,
    /// Rises with every change of `state` that may make this process ready.
    changed: watch::Sender<u64>,
}

struct State {
    placement: Placement,
    /// To be carried out, in order. At most one open ping a member, one look and one claim a partition, so
    /// it needs no other bound.
    effects: Vec<Effect>,
}

impl Cluster {
    /// `me`: replica id and a random hexadecimal id of this process, joined by a dot. `alone`: no other
    /// process shares the broker.
    pub(crate) fn new(me: &str, alone: bool, wall: WallClock) -> Self {
        let me = Process::parse(me)
            .unwrap_or_else(|| unreachable!("made of a replica id and a hexadecimal number"));
        let placement = Placement::new(me.clone(), wall.unix_ms(), alone);
        Self {
            me,
            wall,
            started: Instant::now(),
            state: Mutex::new(State {
                placement,
                effects: Vec::new(),
            }),
            work: Notify::new(),
            changed: watch::Sender::new(0),
        }
    }

    /// This process owns the partition now: everybody is told.
    pub(crate) fn own(&self, pp: PartitionId, epoch: u64) {
        self.feed(Input::Owned { pp, epoch });
    }

    /// The log has confirmed this process's state of the partition just now: an append was written, or a
    /// read reached the end.
    pub(crate) fn confirmed(&self, pp: PartitionId) {
        let now = self.now().mono;
        self.state.lock().placement.confirmed(pp, now);
    }

    /// Whether this process owns the partition, as far as it knows.
    pub(crate) fn owns(&self, pp: PartitionId) -> bool {
        self.epoch(pp).is_some()
    }

    /// How many partitions this process owns.
    pub(crate) fn owned_count(&self) -> usize {
        self.state.lock().placement.owned_count()
    }

    /// What is missing until this process takes part and every partition has an owner; `None` when nothing
    /// is.
    pub(crate) fn missing(&self, partitions: &[PartitionId]) -> Option<String> {
        let now = self.now().mono;
        self.state.lock().placement.missing(partitions, now)
    }

    /// Yields whenever [`missing`](Self::missing) may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The epoch under which this process owns the partition; `None` when it does not.
    pub(crate) fn epoch(&self, pp: PartitionId) -> Option<u64> {
        self.state.lock().placement.epoch(pp)
    }

    /// Whether neither this process nor any that lives can own the partition, as far as is known.
    fn nobody_can_own(&self, pp: PartitionId) -> bool {
        let now = self.now().mono;
        self.state.lock().placement.nobody_can_own(pp, now)
    }

    fn profile(&self) -> Profile {
        self.state.lock().placement.profile()
    }

    fn answers_pings(&self) -> bool {
        self.state.lock().placement.answers_pings()
    }

    fn now(&self) -> Moment {
        Moment {
            mono: self.started.elapsed(),
            unix_ms: self.wall.unix_ms(),
        }
    }

    fn feed(&self, input: Input) {
        let now = self.now();
        let mut state = self.state.lock();
        let effects = state.placement.handle(input, now);
        let is_work = !effects.is_empty();
        state.effects.extend(effects);
        drop(state);
        if is_work {
            self.work.notify_one();
        }
        self.changed.send_modify(|version| *version += 1);
    }

    fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.state.lock().effects)
    }
}
