//! What can happen in a state. Nothing is ever forced: an owner may sleep at any point for as long as it
//! likes while everything else goes on.

use crate::{
    log::{CIDS, Cid},
    owner::{self, Memory, Owner, Phase, Stage},
    protocol::{Protocol, Reads},
    state::{Read, State},
    steps::{Outcome, Step},
};

/// Adds every step that can come next.
pub(super) fn collect(protocol: &Protocol, state: &State, steps: &mut Vec<Step>) {
    let (used, max) = (&state.used, &protocol.max);
    let lags = protocol.reads != Reads::Leader && state.follower != state.store;
    let reads: &[Read] = if lags {
        &[Read::Fresh, Read::Stale]
    } else {
        &[Read::Fresh]
    };
    for (o, owner) in state.owners.iter().enumerate() {
        if owner.phase == Phase::Idle {
            if used.claims < max.claims {
                steps.extend(reads.iter().map(|read| Step::Claim(o, *read)));
            }
            continue;
        }
        if used.crashes < max.crashes {
            steps.push(Step::Crash(o));
        }
        append_outcomes(protocol, state, o, steps);
        match owner.phase {
            Phase::Idle => {}
            Phase::Based => steps.push(Step::Stamp(o)),
            Phase::Stamped => steps.push(Step::ReadTail(o)),
            Phase::Folded if owner.must_look => steps.push(Step::CatchUp(o)),
            Phase::Folded if owner.in_flight.is_empty() => steps.push(Step::SendEpoch(o)),
            Phase::Folded => {}
            Phase::Active => active(protocol, state, o, reads, steps),
        }
    }
    for (i, append) in state.late.iter().enumerate() {
        if protocol.no_fence || append.expected == state.log.last() {
            steps.push(Step::LandLate(i));
        }
    }
    if lags && used.follower_syncs < max.follower_syncs {
        steps.push(Step::FollowerSync);
    }
}

/// What the owner's first append in flight can come to.
fn append_outcomes(protocol: &Protocol, state: &State, o: usize, steps: &mut Vec<Step>) {
    let Some(append) = state.owners[o].in_flight.first() else {
        return;
    };
    let last = state.log.last();
    let may_be_unclear = state.used.unclear_appends < protocol.max.unclear_appends;
    if protocol.no_fence || append.expected == last {
        steps.push(Step::Resolve(o, Outcome::Ok));
        if may_be_unclear {
            steps.push(Step::Resolve(o, Outcome::UnclearWritten));
            steps.push(Step::Resolve(o, Outcome::UnclearLate));
        }
    } else {
        steps.push(Step::Resolve(o, Outcome::Conflict));
        if may_be_unclear && append.expected > last {
            steps.push(Step::Resolve(o, Outcome::UnclearLate));
        }
    }
    if may_be_unclear {
        steps.push(Step::Resolve(o, Outcome::UnclearLost));
    }
}

/// What an active owner can do, and what can reach it.
fn active(protocol: &Protocol, state: &State, o: usize, reads: &[Read], steps: &mut Vec<Step>) {
    let owner = &state.owners[o];
    for cid in 0..CIDS as Cid {
        let delivered = state.used.deliveries[cid as usize];
        if delivered < protocol.max.deliveries[cid as usize] && !owner.queue.contains(&cid) {
            steps.push(Step::Deliver(o, cid));
        }
    }
    let may_be_in_flight = if protocol.pipelined { 2 } else { 1 };
    if owner.memory.is_some()
        && !owner.must_look
        && !owner.queue.is_empty()
        && owner.in_flight.len() < may_be_in_flight
    {
        steps.push(Step::Build(o));
    }
    // An idle owner may also hear of a higher epoch, and look.
    if owner.must_look || (owner.in_flight.is_empty() && owner.folded < state.log.last()) {
        steps.push(Step::CatchUp(o));
    }
    match &owner.memory {
        None if !owner.must_look => steps.extend(reads.iter().map(|read| Step::Load(o, *read))),
        None => {}
        Some(memory) => with_room(protocol, state, o, memory, steps),
    }
}

/// What an owner that has the room in memory can do.
fn with_room(protocol: &Protocol, state: &State, o: usize, memory: &Memory, steps: &mut Vec<Step>) {
    let (used, max) = (&state.used, &protocol.max);
    let owner = &state.owners[o];
    match &owner.checkpoint {
        None => {
            let something_new = owner.folded > owner.ckpt.body.log && memory.dirty.any();
            if used.checkpoints < max.checkpoints && something_new {
                steps.push(Step::CkptStart(o));
            }
            let all_is_put = !memory.dirty.any() || protocol.evict_dirty;
            if used.evictions < max.evictions && all_is_put && nothing_is_open(owner) {
                steps.push(Step::Evict(o));
            }
        }
        Some(run) => {
            steps.push(Step::CkptStep(o));
            let is_put = owner::plan(protocol)[run.stage as usize] != Stage::Trim;
            if used.unclear_puts < max.unclear_puts && is_put {
                steps.push(Step::PutUnclear(o));
            }
        }
    }
}

fn nothing_is_open(owner: &Owner) -> bool {
    owner.in_flight.is_empty() && !owner.must_look
}
