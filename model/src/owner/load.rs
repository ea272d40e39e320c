//! The room on its way into memory, and out of it.

use crate::{
    fold,
    log::CIDS,
    owner::{Known, Loading, Memory, catch_up::fold_range},
    protocol::{Dedupe, Protocol},
    state::{Read, State},
    store::{Key, PAGES, Store},
};

/// Reads one value of the room; after the last one the room is in memory. A value that shows that the
/// read or the owner is stale begins the load anew.
pub(crate) fn load(protocol: &Protocol, state: &mut State, owner: usize, read: Read) {
    let store = state.read(read).clone();
    let me = &mut state.owners[owner];
    let Loading {
        values_read,
        mut memory,
    } = me.loading.take().unwrap_or_default();
    let key = key_to_read(protocol, values_read);
    let (revision, applied) = store.stamp(key);
    if protocol.check_future && applied > me.folded {
        me.must_look = true; // the store is ahead of me: somebody else may own the partition
        return;
    }
    if revision < me.known.revision(key) {
        // Older than what I put myself: ask again.
        me.loading = (values_read > 0).then_some(Loading {
            values_read,
            memory,
        });
        return;
    }
    memory.take_value(store, key);
    if usize::from(values_read) < PAGES {
        me.loading = Some(Loading {
            values_read: values_read + 1,
            memory,
        });
        return;
    }
    if protocol.merged && !protocol.missing_is_empty && memory.lacks_a_full_page() {
        return;
    }
    fold::place_open(protocol, &mut memory);
    let tail = me.tail.clone();
    me.memory = Some(memory);
    fold_range(protocol, state, owner, tail.after, tail.upto);
    if let Some(memory) = &mut state.owners[owner].memory {
        fill_dedupe_map(protocol, memory);
    }
}

/// The record first, then the pages; or the pages first.
fn key_to_read(protocol: &Protocol, values_read: u8) -> Key {
    let values = PAGES + 1;
    let turn = usize::from(values_read) + usize::from(protocol.pages_first);
    match turn % values {
        0 => Key::Record,
        turn => Key::Page(turn - 1),
    }
}

fn fill_dedupe_map(protocol: &Protocol, memory: &mut Memory) {
    match protocol.dedupe {
        Dedupe::AllPages => memory.seen = fold::seen_in(&memory.pages, false),
        Dedupe::NewestPage => {
            let newest = fold::seen_in(&memory.pages, true);
            for (seen, found) in memory.seen.iter_mut().zip(newest) {
                *seen = (*seen).max(found);
            }
        }
        Dedupe::MemoryOnly => memory.seen = [0; CIDS],
    }
}

/// Forgets the room; the directory keeps how new its values were.
pub(crate) fn evict(state: &mut State, owner: usize) {
    state.used.evictions += 1;
    let me = &mut state.owners[owner];
    if let Some(memory) = me.memory.take() {
        me.known = Known {
            pages: memory.pages.each_ref().map(|page| page.revision),
            record: memory.record.revision,
        };
    }
}

impl Known {
    fn revision(&self, key: Key) -> u8 {
        match key {
            Key::Page(p) => self.pages[p],
            Key::Record => self.record,
        }
    }
}

impl Memory {
    fn take_value(&mut self, mut store: Store, key: Key) {
        match key {
            Key::Page(p) => self.pages[p] = std::mem::take(&mut store.pages[p]),
            Key::Record => {
                self.record = store.record;
                self.open = store.open;
            }
        }
    }

    /// Whether the record says that a page is full, so that it exists, and yet it was not there: then the
    /// read was stale.
    fn lacks_a_full_page(&self) -> bool {
        self.pages[..self.open.index as usize]
            .iter()
            .any(|page| page.revision == 0)
    }
}
