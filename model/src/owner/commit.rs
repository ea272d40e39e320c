//! From a send to a commit, and what its append comes to.

use crate::{
    log::{Append, Cid, Event, REACTION, Record, TARGET},
    owner::{Phase, catch_up::fold_range},
    protocol::Protocol,
    state::State,
    steps::Outcome,
    store::LAST_SEQ,
};

/// A client's send reaches the owner.
pub(crate) fn deliver(protocol: &Protocol, state: &mut State, owner: usize, cid: Cid) {
    state.used.deliveries[cid as usize] += 1;
    let me = &mut state.owners[owner];
    let seen = me
        .memory
        .as_ref()
        .map_or(0, |memory| memory.seen[cid as usize]);
    if protocol.dedupe_at_arrival && seen != 0 {
        state.ack(cid, seen);
    } else {
        me.queue.push(cid);
    }
}

/// Judges what waits and appends a commit of what is new: dedupe, validate, assign, against the room plus
/// the appends in flight.
pub(crate) fn build(protocol: &Protocol, state: &mut State, owner: usize) {
    let mut me = std::mem::take(&mut state.owners[owner]);
    let memory = me
        .memory
        .as_ref()
        .expect("only an owner that has the room in memory builds");
    let ahead: Vec<Cid> = me
        .in_flight
        .iter()
        .flat_map(|append| append.record.events())
        .map(|event| event.cid)
        .collect();
    let mut head = memory.record.body + ahead.len() as u8;
    let mut events = vec![];
    for cid in std::mem::take(&mut me.queue) {
        let seen = memory.seen[cid as usize];
        if seen != 0 && !protocol.dedupe_at_arrival {
            state.ack(cid, seen);
        } else if ahead.contains(&cid) && !protocol.dedupe_at_arrival {
            me.queue.push(cid); // its outcome is not known yet
        } else if (cid != REACTION || head >= TARGET) && head < LAST_SEQ {
            head += 1;
            events.push(Event { seq: head, cid });
            if protocol.ack_early {
                state.ack(cid, head);
            }
        }
    }
    if !events.is_empty() {
        let expected = me.folded + me.in_flight.len() as u8;
        me.in_flight.push(Append {
            expected,
            record: Record::Commit { by: me.own, events },
        });
    }
    state.owners[owner] = me;
}

/// The first append in flight comes to an end, and its sender learns what `outcome` says.
pub(crate) fn resolve(protocol: &Protocol, state: &mut State, owner: usize, outcome: Outcome) {
    let append = state.owners[owner].in_flight.remove(0);
    if outcome.is_unclear() {
        state.used.unclear_appends += 1;
    }
    match outcome {
        Outcome::Ok => {
            state.log.records.push(append.record.clone());
            written(protocol, state, owner, append.record);
            return;
        }
        Outcome::UnclearWritten => state.log.records.push(append.record.clone()),
        Outcome::UnclearLate => state.late.push(append.clone()),
        Outcome::UnclearLost | Outcome::Conflict => {}
    }
    put_back(state, owner, append);
    let me = &mut state.owners[owner];
    me.must_look = true;
    if outcome == Outcome::Conflict && protocol.last_without_fold && me.phase == Phase::Active {
        me.folded = state.log.last();
        me.must_look = false;
    }
}

/// The append is known to be written: fold and answer.
fn written(protocol: &Protocol, state: &mut State, owner: usize, record: Record) {
    let last = state.log.last();
    let me = &mut state.owners[owner];
    me.folded = last;
    match record {
        Record::Epoch(own) => {
            me.phase = Phase::Active;
            me.own = own;
            me.tail.upto = last;
        }
        Record::Commit { events, .. } => {
            fold_range(protocol, state, owner, last - 1, last);
            for event in events {
                state.ack(event.cid, event.seq);
            }
        }
    }
}

/// What is not known to be written goes back to the queue, and with it all that was built upon it. If the
/// log turns out to hold an event, the dedupe map finds it there: that is how it is adopted.
fn put_back(state: &mut State, owner: usize, append: Append) {
    let me = &mut state.owners[owner];
    let built_upon_it = std::mem::take(&mut me.in_flight);
    for append in std::iter::once(&append).chain(&built_upon_it) {
        for event in append.record.events() {
            if !me.queue.contains(&event.cid) {
                me.queue.push(event.cid);
            }
        }
    }
    state.late.extend(built_upon_it);
}
