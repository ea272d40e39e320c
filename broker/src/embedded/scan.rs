//! Scans the store in chunks, off the runtime's threads.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use redb::{Database, ReadableDatabase as _};

use super::{
    file::DataFile,
    storage::{STORE, checked, is_below, opened, value},
};
use crate::{Scan, StoreError, Value};

/// Bytes of values that a scan fetches at once.
const CHUNK_BYTES: usize = 512 * 1024;

/// Keys and values of the embedded store.
pub struct StorageScan {
    file: Arc<DataFile>,
    pp: u32,
    prefix: String,
    /// The last key fetched.
    after: Option<String>,
    is_at_end: bool,
    fetched: VecDeque<(String, Value)>,
}

impl StorageScan {
    pub(super) fn new(file: Arc<DataFile>, pp: u32, prefix: &str) -> Self {
        Self {
            file,
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
        if self.fetched.is_empty() && !self.is_at_end {
            let (file, pp) = (Arc::clone(&self.file), self.pp);
            let (prefix, after) = (self.prefix.clone(), self.after.clone());
            let fetch = tokio::task::spawn_blocking(move || {
                let database = file.database()?;
                fetch(&database, pp, &prefix, after.as_deref()).map_err(|error| error.to_string())
            });
            let fetched = fetch.await.unwrap_or_else(|error| Err(error.to_string()));
            self.fetched = fetched.map_err(StoreError::Unavailable)?;
            match self.fetched.back() {
                Some((key, _)) => self.after = Some(key.clone()),
                None => self.is_at_end = true,
            }
        }
        Ok(self.fetched.pop_front())
    }
}

/// What comes after a key, as much as a chunk holds; nothing at the end.
fn fetch(
    database: &Database,
    pp: u32,
    prefix: &str,
    after: Option<&str>,
) -> Result<VecDeque<(String, Value)>, redb::Error> {
    let mut found = VecDeque::new();
    let Some(table) = opened(database.begin_read()?.open_table(STORE))? else {
        return Ok(found);
    };
    let from = match after {
        Some(key) => Bound::Excluded((pp, key)),
        None => Bound::Included((pp, prefix)),
    };
    let mut bytes = 0;
    for entry in table.range((from, Bound::Unbounded))? {
        let (key, stored) = entry?;
        let (of, key) = key.value();
        if of != pp || !key.starts_with(prefix) || bytes > CHUNK_BYTES {
            break;
        }
        if is_below(key, prefix) {
            let value = value(stored.value());
            bytes += value.bytes.len();
            found.push_back((key.to_owned(), value));
        }
    }
    Ok(found)
}
