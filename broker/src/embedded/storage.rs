//! Log and store in one redb file. Writes go through one thread that commits all that waits in one
//! transaction; reads take a snapshot.

use std::{fs::File, path::Path, sync::Arc};

use bytes::Bytes;
use proto::PartitionId;
use redb::{Database, ReadableDatabase as _, TableDefinition, TableError};

#[cfg(feature = "testing")]
use super::file::Opener;
use super::{
    change::Change,
    file::{DataFile, builder, in_memory_once},
    reader::StorageReader,
    scan::StorageScan,
    writer::Writer,
};
use crate::{Append, LogError, MAX_RECORD, Put, Revision, StoreError, TrimError, Value};

/// Partition and log sequence → record.
pub(super) const LOG: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("log");
/// Partition → last sequence ever written, and the first one that was not trimmed.
pub(super) const BOUNDS: TableDefinition<u32, (u64, u64)> = TableDefinition::new("log_bounds");
/// Partition and key → revision and value.
pub(super) const STORE: TableDefinition<(u32, &str), (u64, &[u8])> = TableDefinition::new("store");
/// Partition → the last revision given out.
pub(super) const REVISIONS: TableDefinition<u32, u64> = TableDefinition::new("store_revisions");

/// The data file and its writer thread. Cheap to clone.
#[derive(Clone)]
pub(super) struct Storage {
    /// Before the file: it writes all that it was given before the file is closed.
    writer: Arc<Writer>,
    file: Arc<DataFile>,
}

impl Storage {
    /// Opens a file of which `lock` says that it is ours; the lock is let go after the file is closed.
    pub(super) fn open(path: &Path, lock: File) -> Result<Self, redb::Error> {
        let path = path.to_owned();
        let open = move || builder().create(&path).map_err(redb::Error::from);
        Self::on(DataFile::open(Box::new(open), Some(lock))?)
    }

    pub(super) fn in_memory() -> Result<Self, redb::Error> {
        Self::on(DataFile::open(in_memory_once(), None)?)
    }

    /// On whatever `open` opens, each time the file is opened.
    #[cfg(feature = "testing")]
    pub(super) fn opened_by(open: Opener) -> Result<Self, redb::Error> {
        Self::on(DataFile::open(open, None)?)
    }

    fn on(file: DataFile) -> Result<Self, redb::Error> {
        let file = Arc::new(file);
        let writer = Writer::start(Arc::clone(&file)).map_err(redb::Error::Io)?;
        Ok(Self {
            writer: Arc::new(writer),
            file,
        })
    }

    pub(super) async fn append(
        &self,
        pp: PartitionId,
        expected_last: u64,
        record: Bytes,
    ) -> Append {
        if record.len() > MAX_RECORD {
            let why = format!("record of {} bytes is above {MAX_RECORD}", record.len());
            return Append::Refused { why };
        }
        let append = |done| Change::Append {
            pp: number(pp),
            expected_last,
            record,
            done,
        };
        self.writer.change(append).await.unwrap_or(Append::Unclear)
    }

    pub(super) fn read(&self, pp: PartitionId, from: u64, to: u64) -> StorageReader {
        StorageReader::new(Arc::clone(&self.file), number(pp), from, to)
    }

    pub(super) async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        let pp = number(pp);
        let (last, _) = self
            .look(move |db| bounds(db, pp))
            .await
            .map_err(LogError)?;
        Ok(last)
    }

    pub(super) async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        let gone = || TrimError::Unavailable("the writer has ended".to_owned());
        let trim = |done| Change::Trim {
            pp: number(pp),
            up_to,
            done,
        };
        self.writer.change(trim).await.ok_or_else(gone)?
    }

    pub(super) async fn get(
        &self,
        pp: PartitionId,
        key: &str,
    ) -> Result<Option<Value>, StoreError> {
        let (pp, key) = (number(pp), checked(key)?);
        let found = self.look(move |db| {
            let Some(table) = opened(db.begin_read()?.open_table(STORE))? else {
                return Ok(None);
            };
            let found = table.get((pp, key.as_str()))?;
            Ok(found.map(|entry| value(entry.value())))
        });
        found.await.map_err(StoreError::Unavailable)
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
        let prefix = checked(prefix)?;
        let gone = || StoreError::Unavailable("the writer has ended".to_owned());
        let purge = |done| Change::Purge {
            pp: number(pp),
            prefix,
            done,
        };
        self.writer.change(purge).await.ok_or_else(gone)?
    }

    pub(super) fn scan(&self, pp: PartitionId, prefix: &str) -> StorageScan {
        StorageScan::new(Arc::clone(&self.file), number(pp), prefix)
    }

    /// Looks at a snapshot, off the runtime's threads.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, String> {
        let file = Arc::clone(&self.file);
        let look = move || look(&*file.database()?).map_err(|error| error.to_string());
        match tokio::task::spawn_blocking(look).await {
            Ok(looked) => looked,
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Last sequence and first one left; 0 and 1 for a log without records.
pub(super) fn bounds(database: &Database, pp: u32) -> Result<(u64, u64), redb::Error> {
    let Some(table) = opened(database.begin_read()?.open_table(BOUNDS))? else {
        return Ok((0, 1));
    };
    let found = table.get(pp)?;
    Ok(found.map_or((0, 1), |entry| entry.value()))
}

/// The revision of a key, [`Revision::NONE`] when it has no value.
pub(super) fn revision(database: &Database, pp: u32, key: &str) -> Result<Revision, redb::Error> {
    let Some(table) = opened(database.begin_read()?.open_table(STORE))? else {
        return Ok(Revision::NONE);
    };
    let found = table.get((pp, key))?;
    Ok(found.map_or(Revision::NONE, |entry| Revision(entry.value().0)))
}

/// A table that was never written to is not there.
pub(super) fn opened<T>(table: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn value((revision, bytes): (u64, &[u8])) -> Value {
    Value {
        bytes: Bytes::copy_from_slice(bytes),
        revision: Revision(revision),
    }
}

/// Whether `key` is `prefix` or below it, by whole tokens.
pub(super) fn is_below(key: &str, prefix: &str) -> bool {
    match key.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('.'),
        None => false,
    }
}

pub(super) fn checked(key: &str) -> Result<String, StoreError> {
    let token = |token: &str| {
        !token.is_empty() && !token.contains(char::is_whitespace) && token != "*" && token != ">"
    };
    if key.split('.').all(token) {
        Ok(key.to_owned())
    } else {
        Err(StoreError::Key(key.to_owned()))
    }
}

/// Meta is the last possible number; rooms' partitions count from 0.
fn number(pp: PartitionId) -> u32 {
    match pp {
        PartitionId::Meta => u32::MAX,
        PartitionId::Rooms(number) => u32::from(number),
    }
}
