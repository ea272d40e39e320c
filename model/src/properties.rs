//! What must hold in every state, and what must be seen at least once for an exploration to mean anything.

use stateright::Property;

use crate::{
    fold::{recover, truth, view},
    log::{CIDS, Cid, Ownership, REACTION, Record},
    owner::Phase,
    protocol::Protocol,
    state::State,
};

/// The room's events are numbered 1, 2, 3 … in the log.
pub const ORDER: &str = "ORDER: seq dense in the log";
/// No event is stored twice, and no sender is told two numbers.
pub const ONCE: &str = "ONCE: a cid is in the log once";
/// What was acked is stored.
pub const ACK: &str = "ACK: an acked event is in the history at its seq";
/// Nobody commits after a newer owner's epoch record.
pub const FENCE: &str = "FENCE: a commit belongs to the newest epoch before it";
/// Trimming loses nothing.
pub const REBUILD: &str = "REBUILD: ckpt + pages + log tail = whole history";
/// No owner ever shows what is not so.
pub const READERS: &str = "READERS: what an owner shows is a prefix of the history";

/// What users would notice; the other properties are early signs of these.
pub const HARM: [&str; 3] = [ORDER, ONCE, ACK];

/// All properties.
pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ORDER, |_, state| in_order(state)),
        Property::always(ONCE, |_, state| once(state)),
        Property::always(ACK, |_, state| acked_is_stored(state)),
        Property::always(FENCE, |_, state| fenced(state)),
        Property::always(REBUILD, rebuildable),
        Property::always(READERS, |_, state| readers_see_history(state)),
        Property::sometimes("seen: all acked, a takeover", |_, state| {
            all_acked_and_taken_over(state)
        }),
        Property::sometimes(
            "seen: a reaction in a page whose log record is trimmed",
            |_, state| reaction_outlives_its_record(state),
        ),
        Property::sometimes("seen: two owners that both believe", |_, state| {
            two_believe(state)
        }),
        Property::sometimes(
            "seen: an old owner checkpointing under a new one",
            |_, state| zombie_checkpoints(state),
        ),
    ]
}

fn in_order(state: &State) -> bool {
    state
        .log
        .events()
        .enumerate()
        .all(|(i, event)| event.seq as usize == i + 1)
}

fn once(state: &State) -> bool {
    let times = |cid| state.log.events().filter(|event| event.cid == cid).count();
    (0..CIDS as Cid).all(|cid| times(cid) <= 1) && !state.two_acks
}

fn acked_is_stored(state: &State) -> bool {
    (0..CIDS as Cid).zip(state.acked).all(|(cid, seq)| {
        seq == 0
            || state
                .log
                .events()
                .any(|event| event.cid == cid && event.seq == seq)
    })
}

fn fenced(state: &State) -> bool {
    let mut newest = Ownership::default();
    state.log.records.iter().all(|record| match record {
        Record::Epoch(by) => {
            let rises = by.epoch > newest.epoch;
            newest = *by;
            rises
        }
        Record::Commit { by, .. } => *by == newest,
    })
}

fn rebuildable(protocol: &Protocol, state: &State) -> bool {
    state.store.ckpt.body.log >= state.log.trimmed
        && recover(protocol, state) == truth(&state.log, state.log.last())
}

fn readers_see_history(state: &State) -> bool {
    state.owners.iter().all(|owner| match &owner.memory {
        Some(memory) => view(memory) == truth(&state.log, owner.folded),
        None => true,
    })
}

fn all_acked_and_taken_over(state: &State) -> bool {
    let is_claim = |record: &&Record| matches!(record, Record::Epoch(_));
    state.acked.iter().all(|seq| *seq != 0) && state.log.records.iter().filter(is_claim).count() > 1
}

fn reaction_outlives_its_record(state: &State) -> bool {
    let first_page = &state.store.pages[0].body;
    first_page[0].reactions == 1 && state.acked[REACTION as usize] != 0 && state.log.trimmed >= 3
}

fn two_believe(state: &State) -> bool {
    state
        .owners
        .iter()
        .all(|owner| owner.phase == Phase::Active && owner.memory.is_some())
}

fn zombie_checkpoints(state: &State) -> bool {
    state.owners.iter().any(|owner| {
        let newest = state.log.owner_between(owner.folded, state.log.last());
        owner.checkpoint.is_some() && newest.is_some_and(|by| by.epoch > owner.own.epoch)
    })
}
