//! The embedded adapter: an in-process bus, and log and store in one redb file. One process, one folder.

mod bus;
mod change;
mod file;
mod queue;
mod reader;
mod scan;
mod storage;
mod writer;

use std::{
    fs::{self, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use proto::PartitionId;

use crate::{
    Append, Broker, Bus, Log, LogError, ProvisionError, PublishError, Put, RequestError, Revision,
    Store, StoreError, SubscribeError, TrimError, Value,
};
use bus::LocalBus;
pub use queue::LocalSubscription;
pub use reader::StorageReader;
pub use scan::StorageScan;
use storage::Storage;

/// Name of the data file in the folder.
const DATA_FILE: &str = "parlor.redb";
/// Name of the lock file in the folder.
const LOCK_FILE: &str = "parlor.lock";

/// A broker inside this process, with its data in one folder. Cheap to clone.
#[derive(Clone)]
pub struct Embedded {
    bus: Arc<LocalBus>,
    storage: Storage,
}

/// The folder cannot be used. The words name it, what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be made, read or written.
    #[error(
        "cannot use the data folder {path}: {error}; make it writable, free space, or choose another \
         with --data-dir"
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process uses the folder.
    #[error(
        "the data folder {path} is in use by another process: stop it, or choose another folder with \
         --data-dir"
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The data file is damaged or of another format.
    #[error(
        "cannot open {path}: {error}; restore it from a back-up, or move it away to start empty"
    )]
    Data {
        /// The data file.
        path: PathBuf,
        /// What redb said.
        error: redb::Error,
    },
}

impl Embedded {
    /// Opens the folder, making it when it is not there, and locks it for this process.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let folder = |error| OpenError::Folder {
            path: dir.to_owned(),
            error,
        };
        fs::create_dir_all(dir).map_err(folder)?;
        let mut options = OpenOptions::new();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(LOCK_FILE));
        let lock = lock.map_err(folder)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked {
                path: dir.to_owned(),
            },
            TryLockError::Error(error) => folder(error),
        })?;
        let path = dir.join(DATA_FILE);
        let storage = Storage::open(&path, lock).map_err(|error| match error {
            redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => folder(error),
            error => OpenError::Data { path, error },
        })?;
        Ok(Self {
            bus: Arc::default(),
            storage,
        })
    }

    /// A broker without files, for tests.
    ///
    /// # Errors
    /// What redb says; in practice none.
    pub fn in_memory() -> Result<Self, redb::Error> {
        Ok(Self {
            bus: Arc::default(),
            storage: Storage::in_memory()?,
        })
    }
}

#[cfg(feature = "testing")]
impl Embedded {
    /// A broker on a file of the test's own making, opened by `open` each time it has to be.
    ///
    /// # Errors
    /// What `open` says.
    pub fn opened_by(
        open: impl Fn() -> Result<redb::Database, redb::Error> + Send + Sync + 'static,
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            bus: Arc::default(),
            storage: Storage::opened_by(Box::new(open))?,
        })
    }
}

impl Bus for Embedded {
    type Subscription = LocalSubscription;

    async fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> Result<(), PublishError> {
        self.bus.publish(subject, payload, traceparent)
    }

    async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
        deadline: Duration,
    ) -> Result<Bytes, RequestError> {
        self.bus
            .request(subject, payload, traceparent, deadline)
            .await
    }

    async fn subscribe(&self, pattern: &str) -> Result<LocalSubscription, SubscribeError> {
        LocalBus::subscribe(&self.bus, pattern)
    }

    fn is_connected(&self) -> bool {
        true
    }
}

impl Log for Embedded {
    type Reader = StorageReader;

    async fn append(&self, pp: PartitionId, expected_last: u64, record: Bytes) -> Append {
        self.storage.append(pp, expected_last, record).await
    }

    fn read(&self, pp: PartitionId, from: u64, to: u64) -> StorageReader {
        self.storage.read(pp, from, to)
    }

    async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        self.storage.last(pp).await
    }

    async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        self.storage.trim(pp, up_to).await
    }
}

impl Store for Embedded {
    type Scan = StorageScan;

    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        self.storage.get(pp, key).await
    }

    async fn put(&self, pp: PartitionId, key: &str, value: Bytes, expected: Revision) -> Put {
        self.storage.put(pp, key, value, expected).await
    }

    async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        self.storage.purge(pp, prefix).await
    }

    fn scan(&self, pp: PartitionId, prefix: &str) -> StorageScan {
        self.storage.scan(pp, prefix)
    }

    async fn erase(
        &self,
        _pp: PartitionId,
        _key: &str,
        _revision: Revision,
    ) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not built yet".to_owned()))
    }
}

impl Broker for Embedded {
    async fn provision(&self, _partitions: &[PartitionId]) -> Result<(), ProvisionError> {
        // Tables are made with their first record.
        Ok(())
    }

    async fn scrub(&self, _pp: PartitionId) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not built yet".to_owned()))
    }
}
