//! Looking at the log: what was written meanwhile, and whether that leaves me the owner.

use crate::{fold, log::LogSeq, owner::Phase, protocol::Protocol, state::State};

/// Reads on from the last record folded, and folds; or steps down, if that part of the log is trimmed or
/// somebody else has claimed the partition.
pub(crate) fn catch_up(protocol: &Protocol, state: &mut State, owner: usize) {
    let last = state.log.last();
    let me = &mut state.owners[owner];
    if me.folded < state.log.trimmed && protocol.check_trim {
        state.step_down(owner); // what I have not folded is gone from the log: start over
        return;
    }
    let after = me.folded.max(state.log.trimmed);
    match state.log.owner_between(after, last) {
        Some(by) if by.claim == me.own.claim && me.phase == Phase::Folded => {
            me.phase = Phase::Active; // my claim has landed after all
            me.own = by;
        }
        Some(by) if by.claim != me.own.claim && by.epoch >= me.own.epoch => {
            state.step_down(owner);
            return;
        }
        _ => {}
    }
    fold_range(protocol, state, owner, after, last);
    let me = &mut state.owners[owner];
    me.folded = last;
    me.must_look = false;
    if me.memory.is_none() {
        me.tail.upto = last;
    }
}

/// Folds the records after `after`, up to `upto`, into the room, if it is in memory.
pub(crate) fn fold_range(
    protocol: &Protocol,
    state: &mut State,
    owner: usize,
    after: LogSeq,
    upto: LogSeq,
) {
    let Some(memory) = &mut state.owners[owner].memory else {
        return;
    };
    for n in after + 1..=upto {
        fold::apply(protocol.applied, memory, n, state.log.record(n));
    }
}
