//! Folding commits into pages and record: the same code for a live owner, a reload and a recovery, and
//! the yardstick that all three are held to.

use crate::{
    log::{CIDS, Log, LogSeq, REACTION, Record, Seq, TARGET},
    owner::Memory,
    protocol::{Applied, Protocol},
    state::State,
    store::{LAST_SEQ, PAGE_SIZE, PAGES, Page, Value},
};

/// What a reader of the room sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The last event's `seq`.
    pub head: Seq,
    /// The pages.
    pub pages: [Page; PAGES],
}

/// The page that an event lies in.
pub fn page_of(seq: Seq) -> usize {
    ((seq - 1) / PAGE_SIZE) as usize
}

/// An event's place in its page.
pub fn slot_of(seq: Seq) -> usize {
    ((seq - 1) % PAGE_SIZE) as usize
}

/// The page that the next event goes to; [`PAGES`] when all are full.
pub fn open_page(head: Seq) -> usize {
    (head / PAGE_SIZE) as usize
}

/// Folds record `n` into each value that does not hold it yet.
pub fn apply(applied: Applied, memory: &mut Memory, n: LogSeq, record: &Record) {
    // Asked before the first event: a commit may touch a value several times.
    let per_record = applied == Applied::PerRecord;
    let record_lacks_it = memory.record.applied < n;
    let page_lacks_it = memory
        .pages
        .each_ref()
        .map(|page| per_record || page.applied < n);
    for event in record.events() {
        memory.seen[event.cid as usize] = event.seq;
        if (per_record && !record_lacks_it) || event.seq > LAST_SEQ {
            continue;
        }
        if page_lacks_it[page_of(event.seq)] {
            let page = touch(memory, page_of(event.seq), n);
            page[slot_of(event.seq)].cid.get_or_insert(event.cid);
        }
        if event.cid == REACTION && page_lacks_it[page_of(TARGET)] {
            touch(memory, page_of(TARGET), n)[slot_of(TARGET)].reactions += 1;
        }
        if record_lacks_it {
            memory.record.body = event.seq;
            memory.record.applied = n;
            memory.dirty.record = true;
        }
    }
}

/// The page, for record `n` to change it.
fn touch(memory: &mut Memory, page: usize, n: LogSeq) -> &mut Page {
    memory.dirty.pages[page] = true;
    memory.pages[page].applied = n;
    &mut memory.pages[page].body
}

/// Puts the open page, which came with the record, into its place. The page's own key beats it: it is
/// newer.
pub fn place_open(protocol: &Protocol, memory: &mut Memory) {
    let open = std::mem::take(&mut memory.open);
    let Some(place) = memory.pages.get_mut(open.index as usize) else {
        return;
    };
    if protocol.merged && place.revision == 0 {
        *place = Value {
            revision: 0,
            applied: memory.record.applied,
            body: open.page,
        };
    }
}

/// The dedupe map as pages give it, all of them or only the newest that holds anything.
pub fn seen_in(pages: &[Value<Page>; PAGES], only_newest: bool) -> [Seq; CIDS] {
    let mut seen = [0; CIDS];
    let newest = pages
        .iter()
        .rposition(|page| page.body[0].cid.is_some())
        .unwrap_or(0);
    for seq in 1..=LAST_SEQ {
        let page = page_of(seq);
        if let (Some(cid), true) = (
            pages[page].body[slot_of(seq)].cid,
            !only_newest || page == newest,
        ) {
            seen[cid as usize] = seq;
        }
    }
    seen
}

/// What memory shows.
pub fn view(memory: &Memory) -> View {
    View {
        head: memory.record.body,
        pages: memory.pages.each_ref().map(|page| page.body),
    }
}

/// What every reader must see: the fold of the whole history up to record `upto`.
pub fn truth(log: &Log, upto: LogSeq) -> View {
    let mut memory = Memory::default();
    for n in 1..=upto {
        apply(Applied::PerValue, &mut memory, n, log.record(n));
    }
    view(&memory)
}

/// What a fresh owner would rebuild from `ckpt`, the pages and what is left of the log.
pub fn recover(protocol: &Protocol, state: &State) -> View {
    let store = &state.store;
    let mut memory = Memory {
        record: store.record.clone(),
        pages: store.pages.clone(),
        open: store.open.clone(),
        ..Memory::default()
    };
    place_open(protocol, &mut memory);
    let after = store.ckpt.body.log.max(state.log.trimmed);
    for n in after + 1..=state.log.last() {
        apply(protocol.applied, &mut memory, n, state.log.record(n));
    }
    view(&memory)
}
