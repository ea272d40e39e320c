//! The store: an index in one redb file, and the values themselves in another file of our own, so that a
//! value that is superseded or purged can be overwritten where it is. redb would leave it in pages that it
//! does not use any more. Writes go through one thread; reads take a snapshot of the index.

mod change;
mod index;
mod scan;
mod space;
mod values;
mod writer;

use std::{io, sync::Arc};

use bytes::Bytes;
use proto::PartitionId;

use super::{
    file::{DataFile, Failed},
    number,
    writer::Writer,
};
use crate::{MAX_RECORD, Put, Revision, StoreError, Value, subject::is_key};
use change::Change;
pub use scan::StorageScan;
pub(super) use values::Values;
use writer::StoreWork;

/// Name of the index.
pub(super) const INDEX_FILE: &str = "parlor-store.redb";
/// Name of the file with the values.
pub(super) const VALUES_FILE: &str = "parlor-values";

/// The store and its writer thread.
pub(super) struct ValueStorage {
    /// Before the files: it writes all that it was given before they are closed.
    writer: Writer<Change>,
    shelf: Arc<Shelf>,
}

/// Both files, to read from.
struct Shelf {
    index: Arc<DataFile>,
    values: Values,
}

impl ValueStorage {
    /// The writer has a handle of its own, so that readers do not wait for it.
    pub(super) fn on(
        index: Arc<DataFile>,
        values: Values,
        written: Values,
    ) -> Result<Self, Failed> {
        let work = StoreWork::new(Arc::clone(&index), written)?;
        let writer = Writer::start("parlor-store", work);
        let writer = writer.map_err(|error| index.failed(redb::Error::Io(error)))?;
        let shelf = Arc::new(Shelf { index, values });
        Ok(Self { writer, shelf })
    }

    pub(super) async fn get(
        &self,
        pp: PartitionId,
        key: &str,
    ) -> Result<Option<Value>, StoreError> {
        let (shelf, pp, key) = (Arc::clone(&self.shelf), number(pp), checked(key)?);
        off_the_runtime(move || shelf.get(pp, &key)).await
    }

    pub(super) async fn put(
        &self,
        pp: PartitionId,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> Put {
        let key = match checked(key) {
            Ok(key) => key,
            Err(error) => {
                return Put::Refused {
                    why: error.to_string(),
                };
            }
        };
        if value.len() > MAX_RECORD {
            let why = format!("value of {} bytes is above {MAX_RECORD}", value.len());
            return Put::Refused { why };
        }
        let put = |done| Change::Put {
            pp: number(pp),
            key,
            value,
            expected,
            done,
        };
        self.writer.change(put).await.unwrap_or(Put::Unclear)
    }

    pub(super) async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        let (pp, prefix) = (number(pp), checked(prefix)?);
        let purge = |done| Change::Purge { pp, prefix, done };
        self.writer.change(purge).await.unwrap_or_else(ended)
    }

    pub(super) fn scan(&self, pp: PartitionId, prefix: &str) -> StorageScan {
        StorageScan::new(Arc::clone(&self.shelf), number(pp), prefix)
    }

    /// Returns when what was superseded is overwritten on disk too. Which version is meant does not matter:
    /// every one is overwritten as soon as it is superseded, and the current one never.
    pub(super) async fn erase(&self, key: &str) -> Result<(), StoreError> {
        checked(key)?;
        let erase = |done| Change::Erase { done };
        self.writer.change(erase).await.unwrap_or_else(ended)
    }

    /// Overwrites all that is no current value.
    pub(super) async fn scrub(&self) -> Result<(), StoreError> {
        let scrub = |done| Change::Scrub { done };
        self.writer.change(scrub).await.unwrap_or_else(ended)
    }
}

fn ended() -> Result<(), StoreError> {
    Err(StoreError::Unavailable("the writer has ended".to_owned()))
}

async fn off_the_runtime<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(look).await {
        Ok(looked) => looked,
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}

impl Shelf {
    fn get(&self, pp: u32, key: &str) -> Result<Option<Value>, StoreError> {
        match self.entry(pp, key)? {
            Some(entry) => self.value(pp, key, entry),
            None => Ok(None),
        }
    }

    fn entry(&self, pp: u32, key: &str) -> Result<Option<index::Entry>, StoreError> {
        let index = self.index.database().map_err(StoreError::Unavailable)?;
        let found = index::entry(&index, pp, key);
        found.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// The value of an entry, or of the one that has superseded it meanwhile, whose value is gone.
    fn value(
        &self,
        pp: u32,
        key: &str,
        mut entry: index::Entry,
    ) -> Result<Option<Value>, StoreError> {
        loop {
            let bytes = match self.values.read(entry.place) {
                // The file is shorter now; then the value is elsewhere.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Bytes::new(),
                read => read.map_err(|error| StoreError::Unavailable(error.to_string()))?,
            };
            if entry.is_of(&bytes) {
                return Ok(Some(Value {
                    bytes,
                    revision: entry.revision,
                }));
            }
            match self.entry(pp, key)? {
                None => return Ok(None),
                Some(same) if same == entry => {
                    return Err(StoreError::Damaged(format!(
                        "value {key} of partition {} in {} is not what was written: stop the process \
                         and restore the folder from a back-up",
                        super::name(pp),
                        self.values.path(),
                    )));
                }
                Some(newer) => entry = newer,
            }
        }
    }
}

fn checked(key: &str) -> Result<String, StoreError> {
    if is_key(key) {
        Ok(key.to_owned())
    } else {
        Err(StoreError::Key(key.to_owned()))
    }
}
