//! Scans the store in chunks, off the runtime's threads.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use redb::ReadableDatabase as _;

use super::{
    Shelf, checked,
    index::{ENTRIES, Entry},
    off_the_runtime,
};
use crate::{Scan, StoreError, Value, embedded::file::opened, subject::is_below};

/// Bytes of values that a scan fetches at once.
const CHUNK_BYTES: u64 = 512 * 1024;

/// Keys and values of the embedded store.
pub struct StorageScan {
    shelf: Arc<Shelf>,
    pp: u32,
    prefix: String,
    /// The last key looked at.
    after: Option<String>,
    is_at_end: bool,
    fetched: VecDeque<(String, Value)>,
}

impl StorageScan {
    pub(super) fn new(shelf: Arc<Shelf>, pp: u32, prefix: &str) -> Self {
        Self {
            shelf,
            pp,
            prefix: prefix.to_owned(),
            after: None,
            is_at_end: false,
            fetched: VecDeque::new(),
        }
    }
}

impl Scan for StorageScan {
    async fn next(&mut self) -> Result<Option<(String, Value)>, StoreError> {
        if !self.prefix.is_empty() {
            checked(&self.prefix)?;
        }
        while self.fetched.is_empty() && !self.is_at_end {
            let (shelf, pp) = (Arc::clone(&self.shelf), self.pp);
            let (prefix, after) = (self.prefix.clone(), self.after.clone());
            let fetch = move || fetch(&shelf, pp, &prefix, after.as_deref());
            let (last, fetched) = off_the_runtime(fetch).await?;
            self.is_at_end = last.is_none();
            self.after = last;
            self.fetched = fetched;
        }
        Ok(self.fetched.pop_front())
    }
}

type Chunk = (Option<String>, VecDeque<(String, Value)>);

/// What comes after a key, as much as a chunk holds, and the last key of it; no key at the end.
fn fetch(shelf: &Shelf, pp: u32, prefix: &str, after: Option<&str>) -> Result<Chunk, StoreError> {
    let entries = entries(shelf, pp, prefix, after)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let last = entries.last().map(|(key, _)| key.clone());
    let mut found = VecDeque::with_capacity(entries.len());
    for (key, entry) in entries {
        // Purged since the index was looked at: then it is not there.
        if let Some(value) = shelf.value(pp, &key, entry)? {
            found.push_back((key, value));
        }
    }
    Ok((last, found))
}

fn entries(
    shelf: &Shelf,
    pp: u32,
    prefix: &str,
    after: Option<&str>,
) -> Result<Vec<(String, Entry)>, redb::Error> {
    let index = shelf.index.database().map_err(redb::Error::Corrupted)?;
    let mut found = Vec::new();
    let Some(table) = opened(index.begin_read()?.open_table(ENTRIES))? else {
        return Ok(found);
    };
    let from = match after {
        Some(key) => Bound::Excluded((pp, key)),
        None => Bound::Included((pp, prefix)),
    };
    let mut bytes = 0;
    for entry in table.range((from, Bound::Unbounded))? {
        let (key, entry) = entry?;
        let (of, key) = key.value();
        if of != pp || !key.starts_with(prefix) || bytes > CHUNK_BYTES {
            break;
        }
        if is_below(key, prefix) {
            let entry = Entry::from(entry.value());
            bytes += u64::from(entry.place.bytes);
            found.push((key.to_owned(), entry));
        }
    }
    Ok(found)
}
