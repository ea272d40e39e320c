//! The embedded adapter: an in-process bus, and log and store in files of one folder. One process, one
//! folder. What is trimmed, superseded or purged does not stay in a file.

mod bus;
mod file;
mod folder;
mod log;
mod memory;
mod queue;
mod store;
mod transaction;
mod whole;
mod writer;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
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
use file::{DataFile, Failed};
pub use folder::Folder;
use folder::OnDisk;
use log::LogStorage;
pub use log::StorageReader;
use memory::InMemory;
pub use queue::LocalSubscription;
pub use store::StorageScan;
use store::{ValueStorage, Values};

/// Name of the lock file in the folder.
const LOCK_FILE: &str = "parlor.lock";
/// Name of the one data file that earlier builds had.
const OLD_FILE: &str = "parlor.redb";

/// A broker inside this process, with its data in one folder. Cheap to clone.
#[derive(Clone)]
pub struct Embedded {
    bus: Arc<LocalBus>,
    log: Arc<LogStorage>,
    store: Arc<ValueStorage>,
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
    /// A file is damaged or of another format.
    #[error(
        "cannot open {path}: {error}; restore the whole folder from a back-up, or move it away to start \
         empty"
    )]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: redb::Error,
    },
    /// The folder is of an earlier build, which had everything in one file.
    #[error(
        "{path} is of an earlier build, whose data this one cannot read: go on with that build, or move \
         the file away to start empty"
    )]
    Old {
        /// The file.
        path: PathBuf,
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
        let old = dir.join(OLD_FILE);
        if old.try_exists().map_err(folder)? {
            return Err(OpenError::Old { path: old });
        }
        let files: Arc<dyn Folder> = Arc::new(OnDisk(dir.to_owned()));
        let opened = Self::open_files(&files, Some(Arc::new(lock)));
        opened.map_err(|failed| match failed.error {
            redb::Error::Io(error) if !is_of_the_content(&error) => folder(error),
            error => OpenError::Data {
                path: failed.path,
                error,
            },
        })
    }

    /// A broker without files, for tests.
    ///
    /// # Errors
    /// What redb says; in practice none.
    pub fn in_memory() -> Result<Self, redb::Error> {
        Self::on(Arc::new(InMemory::default()))
    }

    /// A broker on files of the caller's making, for tests. That nobody else uses them is the caller's to see
    /// to.
    ///
    /// # Errors
    /// What redb or the folder says.
    pub fn on(files: Arc<dyn Folder>) -> Result<Self, redb::Error> {
        Self::open_files(&files, None).map_err(|failed| failed.error)
    }

    fn open_files(files: &Arc<dyn Folder>, lock: Option<Arc<File>>) -> Result<Self, Failed> {
        let failed = |error| Failed::new(files, log::FILE, redb::Error::Io(error));
        log::forget_unfinished(files).map_err(failed)?;
        let log = Arc::new(DataFile::open(files, log::FILE, lock.clone())?);
        let index = Arc::new(DataFile::open(files, store::INDEX_FILE, lock)?);
        let (values, written) = (Values::open(files)?, Values::open(files)?);
        whole::check(&log, &index, &values)?;
        Ok(Self {
            bus: Arc::default(),
            log: Arc::new(LogStorage::on(log)?),
            store: Arc::new(ValueStorage::on(index, values, written)?),
        })
    }
}

/// Whether a file can be read, and what is in it is wrong.
fn is_of_the_content(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// Meta is the last possible number; rooms' partitions count from 0.
fn number(pp: PartitionId) -> u32 {
    match pp {
        PartitionId::Meta => u32::MAX,
        PartitionId::Rooms(number) => u32::from(number),
    }
}

/// What an operator calls a partition.
fn name(number: u32) -> String {
    match number {
        u32::MAX => PartitionId::Meta.to_string(),
        number => number.to_string(),
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
        self.log.append(pp, expected_last, record).await
    }

    fn read(&self, pp: PartitionId, from: u64, to: u64) -> StorageReader {
        self.log.read(pp, from, to)
    }

    async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        self.log.last(pp).await
    }

    async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        self.log.trim(pp, up_to).await
    }
}

impl Store for Embedded {
    type Scan = StorageScan;

    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        self.store.get(pp, key).await
    }

    async fn put(&self, pp: PartitionId, key: &str, value: Bytes, expected: Revision) -> Put {
        self.store.put(pp, key, value, expected).await
    }

    async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        self.store.purge(pp, prefix).await
    }

    fn scan(&self, pp: PartitionId, prefix: &str) -> StorageScan {
        self.store.scan(pp, prefix)
    }

    async fn erase(
        &self,
        _pp: PartitionId,
        key: &str,
        _revision: Revision,
    ) -> Result<(), StoreError> {
        self.store.erase(key).await
    }
}

impl Broker for Embedded {
    async fn provision(&self, _partitions: &[PartitionId]) -> Result<(), ProvisionError> {
        // Tables are made with their first record.
        Ok(())
    }

    /// Of all partitions: they share their files.
    async fn scrub(&self, _pp: PartitionId) -> Result<(), StoreError> {
        self.log.scrub().await?;
        self.store.scrub().await
    }
}
