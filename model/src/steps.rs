//! What can happen next, and what then is: the model as `stateright` walks through it.

mod enabled;

use stateright::{Model, Property};

use crate::{
    log::{Cid, Log, Ownership, Record},
    owner::{self, Owner, Phase, Tail},
    properties,
    protocol::{Protocol, Reads},
    state::{Read, State},
};

/// What an append comes to, and what its sender learns of it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Outcome {
    /// Written, and its sender knows.
    Ok,
    /// Not written: the log's last record is another one.
    Conflict,
    /// Written; its sender knows nothing.
    UnclearWritten,
    /// Never written; its sender knows nothing.
    UnclearLost,
    /// Not written yet; its sender knows nothing.
    UnclearLate,
}

impl Outcome {
    /// Whether the sender knows nothing.
    pub fn is_unclear(self) -> bool {
        matches!(
            self,
            Outcome::UnclearWritten | Outcome::UnclearLost | Outcome::UnclearLate
        )
    }
}

/// One step. The first number is the owner that it happens to.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Step {
    /// A client's send, or its retry, arrives.
    Deliver(usize, Cid),
    /// A claim begins: read `ckpt`.
    Claim(usize, Read),
    /// Put the claim on `ckpt`.
    Stamp(usize),
    /// Read the log behind `ckpt`.
    ReadTail(usize),
    /// Append the epoch record.
    SendEpoch(usize),
    /// Read the room's next value from the store.
    Load(usize, Read),
    /// Judge what waits, and append a commit.
    Build(usize),
    /// The first append in flight comes to this.
    Resolve(usize, Outcome),
    /// Look at the log.
    CatchUp(usize),
    /// Begin a checkpoint.
    CkptStart(usize),
    /// Do the checkpoint's next stage.
    CkptStep(usize),
    /// The same; the put is written and its sender does not learn it.
    PutUnclear(usize),
    /// Forget the room.
    Evict(usize),
    /// Die, and come back knowing nothing.
    Crash(usize),
    /// The late append of this index lands.
    LandLate(usize),
    /// A lagging replica of the store catches up.
    FollowerSync,
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    /// One owner is active and the room is empty.
    fn init_states(&self) -> Vec<State> {
        let own = Ownership { epoch: 1, claim: 0 };
        let tail = Tail { after: 0, upto: 1 };
        let first = Owner {
            phase: Phase::Active,
            own,
            folded: 1,
            tail,
            ..Owner::default()
        };
        vec![State {
            log: Log {
                records: vec![Record::Epoch(own)],
                trimmed: 0,
            },
            store: Default::default(),
            follower: Default::default(),
            owners: [first, Owner::default()],
            late: vec![],
            acked: Default::default(),
            two_acks: false,
            used: Default::default(),
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        enabled::collect(self, state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        take(self, &mut next, step);
        if self.reads == Reads::Leader {
            next.follower = next.store.clone();
        }
        next.normalise(self);
        (next != *last).then_some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.log.last() < 12 && state.late.len() < 4
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

fn take(protocol: &Protocol, state: &mut State, step: Step) {
    match step {
        Step::Deliver(o, cid) => owner::deliver(protocol, state, o, cid),
        Step::Claim(o, read) => owner::base(state, o, read),
        Step::Stamp(o) => owner::stamp(protocol, state, o),
        Step::ReadTail(o) => owner::read_tail(protocol, state, o),
        Step::SendEpoch(o) => owner::send_epoch(state, o),
        Step::Load(o, read) => owner::load(protocol, state, o, read),
        Step::Build(o) => owner::build(protocol, state, o),
        Step::Resolve(o, outcome) => owner::resolve(protocol, state, o, outcome),
        Step::CatchUp(o) => owner::catch_up(protocol, state, o),
        Step::CkptStart(o) => owner::begin_checkpoint(protocol, state, o),
        Step::CkptStep(o) => owner::step_checkpoint(protocol, state, o, false),
        Step::PutUnclear(o) => owner::step_checkpoint(protocol, state, o, true),
        Step::Evict(o) => owner::evict(state, o),
        Step::Crash(o) => {
            state.used.crashes += 1;
            state.step_down(o);
        }
        Step::LandLate(i) => {
            let append = state.late.remove(i);
            state.log.records.push(append.record);
        }
        Step::FollowerSync => {
            state.used.follower_syncs += 1;
            state.follower = state.store.clone();
        }
    }
}
