//! The data file: open, or closed because a write failed. redb takes no write after one that failed, so
//! the file is then closed, and opened anew before the next.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;
use redb::{Builder, Database, backends::InMemoryBackend};
use tracing::{error, info};

/// Page cache of redb. History is read rarely; the log's tail is in the owners' memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Opens the file, each time it has to be.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// A data file that this process owns.
pub(super) struct DataFile {
    /// The open file, or why it is closed.
    database: RwLock<Result<Arc<Database>, String>>,
    open: Opener,
    /// Held until the file is closed.
    _lock: Option<File>,
}

impl DataFile {
    pub(super) fn open(open: Opener, lock: Option<File>) -> Result<Self, redb::Error> {
        let database = RwLock::new(Ok(Arc::new(open()?)));
        Ok(Self {
            database,
            open,
            _lock: lock,
        })
    }

    /// The open file, to read from.
    pub(super) fn database(&self) -> Result<Arc<Database>, String> {
        self.database.read().clone()
    }

    /// The open file, to write to: opened anew when the last write failed. Only the writer calls this.
    pub(super) fn writable(&self) -> Result<Arc<Database>, String> {
        if let Ok(database) = self.database() {
            return Ok(database);
        }
        let opened = (self.open)()
            .map(Arc::new)
            .map_err(|error| error.to_string());
        match &opened {
            Ok(_) => info!("the data file is open again"),
            Err(error) => error!(error = %error, "the data file cannot be opened again"),
        }
        self.database.write().clone_from(&opened);
        opened
    }

    /// Closes the file after a write failed, as soon as the reads under way are done.
    pub(super) fn close(&self, database: Arc<Database>, why: &redb::Error) {
        error!(error = %why, "the data file could not be written");
        *self.database.write() = Err(format!("the data file could not be written: {why}"));
        drop(database);
    }
}

/// What all data files have in common.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_repair_callback(|session| {
            let percent = (session.progress() * 100.0).round();
            info!(
                repair.percent = percent,
                "checking the data file after an unclean stop"
            );
        });
    builder
}

/// A file in memory, which is gone once it is closed.
pub(super) fn in_memory_once() -> Opener {
    let made = AtomicBool::new(false);
    Box::new(move || {
        if made.swap(true, Ordering::Relaxed) {
            return Err(redb::Error::DatabaseClosed);
        }
        Ok(builder().create_with_backend(InMemoryBackend::new())?)
    })
}
