//! A checkpoint: put the values that the store does not have yet, then `ckpt`, then trim the log. Commits
//! go on meanwhile, and so may another owner.

use crate::{
    fold::open_page,
    log::LogSeq,
    owner::{Checkpoint, Memory, Owner},
    protocol::{Applied, Protocol},
    state::State,
    store::{Ckpt, Key, OpenPage, PAGES, Store, Value},
};

/// One thing that a checkpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Put a value of the room.
    Put(Key),
    /// Put `ckpt`.
    PutCkpt,
    /// Trim the log.
    Trim,
}

/// How a stage went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// It is done.
    Done,
    /// Its outcome is unclear, or it met another revision: once more.
    Again,
    /// There was nothing to do here: the checkpoint goes on elsewhere, or has ended.
    Elsewhere,
    /// It met a newer owner's work.
    Deposed,
}

/// The stages, in order.
pub(crate) fn plan(protocol: &Protocol) -> Vec<Stage> {
    let mut stages: Vec<Stage> = (0..PAGES).map(|p| Stage::Put(Key::Page(p))).collect();
    let record_at = if protocol.record_first { 0 } else { PAGES };
    stages.insert(record_at, Stage::Put(Key::Record));
    stages.push(Stage::PutCkpt);
    let trim_at = if protocol.trim_early { 0 } else { stages.len() };
    stages.insert(trim_at, Stage::Trim);
    stages
}

/// Begins a checkpoint of what is folded by now.
pub(crate) fn begin(protocol: &Protocol, state: &mut State, owner: usize) {
    state.used.checkpoints += 1;
    let me = &mut state.owners[owner];
    let upto = me.folded;
    me.go_on(protocol, upto, 0);
}

/// Does the next stage. `unclear`: the put is written and its sender does not learn it.
pub(crate) fn step(protocol: &Protocol, state: &mut State, owner: usize, unclear: bool) {
    let me = &mut state.owners[owner];
    let Checkpoint { upto, stage } = me
        .checkpoint
        .clone()
        .expect("only what is under way goes on");
    let went = match plan(protocol)[stage as usize] {
        Stage::Put(Key::Page(p)) => put_page(protocol, &mut state.store, me, p, unclear),
        Stage::Put(Key::Record) => put_record(protocol, &mut state.store, me, unclear),
        Stage::PutCkpt => put_ckpt(protocol, &mut state.store, me, upto, unclear),
        Stage::Trim => {
            state.log.trimmed = state.log.trimmed.max(upto);
            me.tail.after = me.tail.after.max(upto);
            Went::Done
        }
    };
    if unclear && went != Went::Elsewhere {
        state.used.unclear_puts += 1;
    }
    match went {
        Went::Done => me.go_on(protocol, upto, stage as usize + 1),
        Went::Again | Went::Elsewhere => {}
        Went::Deposed => state.step_down(owner),
    }
}

fn put_page(
    protocol: &Protocol,
    store: &mut Store,
    me: &mut Owner,
    page: usize,
    unclear: bool,
) -> Went {
    let memory = me.room();
    let went = put(
        protocol,
        &mut store.pages[page],
        &mut memory.pages[page],
        unclear,
    );
    if went == Went::Done {
        memory.dirty.pages[page] = false;
    }
    went
}

/// Puts the record, and with it the open page where they are one value.
fn put_record(protocol: &Protocol, store: &mut Store, me: &mut Owner, unclear: bool) -> Went {
    let memory = me.room();
    let open = open_page(memory.record.body);
    if !protocol.merged {
        let went = put(protocol, &mut store.record, &mut memory.record, unclear);
        if went == Went::Done {
            memory.dirty.record = false;
        }
        return went;
    }
    // Commits went on: a page that has filled since goes first, for the record no longer holds it.
    let full_but_not_stored = memory.dirty.pages[..open].iter().position(|dirty| *dirty);
    if let (Some(page), false) = (full_but_not_stored, protocol.open_unguarded) {
        let stage = plan(protocol)
            .iter()
            .position(|stage| *stage == Stage::Put(Key::Page(page)));
        if let (Some(run), Some(stage)) = (&mut me.checkpoint, stage) {
            run.stage = stage as u8;
        }
        return Went::Elsewhere;
    }
    let revision_before = store.record.revision;
    let went = put(protocol, &mut store.record, &mut memory.record, unclear);
    if store.record.revision != revision_before {
        let page = memory
            .pages
            .get(open)
            .map(|page| page.body)
            .unwrap_or_default();
        store.open = OpenPage {
            index: open as u8,
            page,
        };
    }
    if went == Went::Done {
        memory.dirty.record = false;
        if let Some(dirty) = memory.dirty.pages.get_mut(open) {
            *dirty = false;
        }
    }
    went
}

/// Compare-and-set of a value. After a conflict, what is stored decides: if mine contains it, an older
/// owner put it, or I did and never knew.
fn put<T: Clone>(
    protocol: &Protocol,
    stored: &mut Value<T>,
    mine: &mut Value<T>,
    unclear: bool,
) -> Went {
    if stored.revision == mine.revision || protocol.no_page_cas {
        *stored = Value {
            revision: stored.revision + 1,
            ..mine.clone()
        };
        if unclear {
            return Went::Again;
        }
        mine.revision = stored.revision;
        return Went::Done;
    }
    let mine_contains_it = protocol.applied == Applied::PerValue && stored.applied <= mine.applied;
    if protocol.blind_overwrite || mine_contains_it {
        mine.revision = stored.revision;
        return Went::Again;
    }
    Went::Deposed
}

/// Compare-and-set of `ckpt`, which never goes backwards.
fn put_ckpt(
    protocol: &Protocol,
    store: &mut Store,
    me: &mut Owner,
    upto: LogSeq,
    unclear: bool,
) -> Went {
    let stored = &mut store.ckpt;
    if stored.revision == me.ckpt.revision || protocol.no_ckpt_cas {
        let body = Ckpt {
            log: upto,
            epoch: me.own.epoch,
        };
        *stored = Value {
            revision: stored.revision + 1,
            applied: 0,
            body,
        };
        if unclear {
            return Went::Again;
        }
        me.ckpt = stored.clone();
        return Went::Done;
    }
    if stored.body.epoch > me.own.epoch {
        return Went::Deposed;
    }
    me.ckpt = stored.clone();
    if stored.body.log < upto {
        return Went::Again;
    }
    me.checkpoint = None; // somebody has put a newer one
    Went::Elsewhere
}

impl Owner {
    /// Goes to the next stage, from `stage` on, that has something to do.
    fn go_on(&mut self, protocol: &Protocol, upto: LogSeq, stage: usize) {
        let memory = self.room();
        let next = plan(protocol)
            .iter()
            .enumerate()
            .skip(stage)
            .find(|(_, stage)| match stage {
                Stage::Put(key) => memory.needs_put(protocol, *key),
                Stage::PutCkpt | Stage::Trim => true,
            })
            .map(|(stage, _)| stage as u8);
        self.checkpoint = next.map(|stage| Checkpoint { upto, stage });
    }

    fn room(&mut self) -> &mut Memory {
        self.memory
            .as_mut()
            .expect("a room stays while it is checkpointed")
    }
}

impl Memory {
    /// Whether the value is to be put under its own key.
    fn needs_put(&self, protocol: &Protocol, key: Key) -> bool {
        let travels_with_record = protocol.merged && key == Key::Page(open_page(self.record.body));
        self.dirty.has(key) && !travels_with_record
    }
}
