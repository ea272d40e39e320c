//! Claiming the partition, in four steps that others interleave with: read `ckpt`, put the claim on it,
//! read the log behind it, append an epoch record.

use crate::{
    log::{Append, Ownership, Record},
    owner::{Owner, Phase, Tail},
    protocol::{Protocol, Reads},
    state::{Read, State},
};

/// Reads `ckpt`.
pub(crate) fn base(state: &mut State, owner: usize, read: Read) {
    state.used.claims += 1;
    let ckpt = state.read(read).ckpt.clone();
    state.owners[owner] = Owner {
        phase: Phase::Based,
        own: Ownership {
            epoch: 0,
            claim: state.used.claims,
        },
        tail: Tail {
            after: ckpt.body.log,
            upto: 0,
        },
        ckpt,
        ..Owner::default()
    };
}

/// Puts the claim on `ckpt`: the same place in the log under a new revision. That it is accepted proves
/// that the true leader was asked; the answer to a conflict comes from there too.
pub(crate) fn stamp(protocol: &Protocol, state: &mut State, owner: usize) {
    let me = &mut state.owners[owner];
    me.phase = Phase::Stamped;
    if !protocol.claim_cas {
        return;
    }
    if state.store.ckpt.revision == me.ckpt.revision {
        state.store.ckpt.revision += 1;
        if protocol.reads == Reads::OldLeader {
            state.follower = state.store.clone();
        }
    } else {
        me.phase = Phase::Based;
    }
    me.ckpt = state.store.ckpt.clone();
    me.tail.after = me.ckpt.body.log;
}

/// Reads the log behind `ckpt`; starts over from a fresh `ckpt` if that part is trimmed.
pub(crate) fn read_tail(protocol: &Protocol, state: &mut State, owner: usize) {
    let me = &mut state.owners[owner];
    if me.tail.after < state.log.trimmed && protocol.check_trim {
        me.phase = Phase::Based;
        me.ckpt = state.store.ckpt.clone();
        me.tail.after = me.ckpt.body.log;
        return;
    }
    let after = me.tail.after.max(state.log.trimmed);
    let last = state.log.last();
    let epoch_in_log = state
        .log
        .owner_between(after, last)
        .map_or(0, |by| by.epoch);
    let epoch_in_ckpt = if protocol.epoch_in_ckpt {
        me.ckpt.body.epoch
    } else {
        0
    };
    me.phase = Phase::Folded;
    me.folded = last;
    me.tail = Tail { after, upto: last };
    me.own.epoch = epoch_in_log.max(epoch_in_ckpt);
}

/// Appends the epoch record.
pub(crate) fn send_epoch(state: &mut State, owner: usize) {
    let me = &mut state.owners[owner];
    let own = Ownership {
        epoch: me.own.epoch + 1,
        ..me.own
    };
    me.in_flight.push(Append {
        expected: me.folded,
        record: Record::Epoch(own),
    });
}
