//! A redb file: open, or closed because a write failed. redb takes no write after one that failed, so the
//! file is then closed, and opened anew for whoever needs it next.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use redb::{Builder, Database};
use tokio::time::Instant;
use tracing::{error, info};

use super::folder::{Folder, FolderFile};

/// Page cache of each redb file. History is read rarely, and the log's tail is in the owners' memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// A file that could not be opened is not tried again for readers within this time: opening reads it whole.
const OPEN_EVERY: Duration = Duration::from_millis(500);

/// A file cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub(super) struct Failed {
    pub(super) path: PathBuf,
    pub(super) error: redb::Error,
}

impl Failed {
    pub(super) fn new(folder: &Arc<dyn Folder>, name: &str, error: redb::Error) -> Self {
        Self {
            path: folder.path(name),
            error,
        }
    }
}

enum State {
    Open(Arc<Database>),
    Closed { why: String, open_from: Instant },
}

/// A redb file that this process owns.
pub(super) struct DataFile {
    folder: Arc<dyn Folder>,
    name: &'static str,
    state: RwLock<State>,
    /// Held until the file is closed.
    _lock: Option<Arc<File>>,
}

impl DataFile {
    pub(super) fn open(
        folder: &Arc<dyn Folder>,
        name: &'static str,
        lock: Option<Arc<File>>,
    ) -> Result<Self, Failed> {
        let database = open(folder, name)?;
        Ok(Self {
            folder: Arc::clone(folder),
            name,
            state: RwLock::new(State::Open(Arc::new(database))),
            _lock: lock,
        })
    }

    /// The open file, to read from; opened anew where a write failed, also while nobody writes.
    pub(super) fn database(&self) -> Result<Arc<Database>, String> {
        match &*self.state.read() {
            State::Open(database) => return Ok(Arc::clone(database)),
            State::Closed { why, open_from } if Instant::now() < *open_from => {
                return Err(why.clone());
            }
            State::Closed { .. } => {}
        }
        self.writable()
    }

    /// The open file, to write to: opened anew, however short ago that failed.
    pub(super) fn writable(&self) -> Result<Arc<Database>, String> {
        let mut state = self.state.write();
        if let State::Open(database) = &*state {
            return Ok(Arc::clone(database));
        }
        let opened = open(&self.folder, self.name)
            .map(Arc::new)
            .map_err(|error| error.to_string());
        match &opened {
            Ok(_) => info!(file.name = self.name, "the data file is open again"),
            Err(error) => {
                error!(file.name = self.name, error = %error, "the data file cannot be opened again");
            }
        }
        *state = State::of(opened.clone());
        opened
    }

    /// Closes the file after a write failed, as soon as the reads under way are done.
    pub(super) fn close(&self, database: Arc<Database>, why: &str) {
        error!(
            file.name = self.name,
            error = why,
            "the data file could not be written"
        );
        *self.state.write() = State::Closed {
            why: format!("the data file could not be written: {why}"),
            open_from: Instant::now(),
        };
        drop(database);
    }

    /// Puts another file in the place of this one. Reads under way end on what they began with. Only its
    /// writer calls this.
    pub(super) fn replace_by(&self, name: &str) -> Result<(), Failed> {
        let renamed = self.folder.rename(name, self.name);
        renamed.map_err(|error| self.failed(redb::Error::Io(error)))?;
        let opened = open(&self.folder, self.name).map(Arc::new);
        *self.state.write() =
            State::of(opened.as_ref().map(Arc::clone).map_err(ToString::to_string));
        opened.map(drop)
    }

    pub(super) fn folder(&self) -> &Arc<dyn Folder> {
        &self.folder
    }

    pub(super) fn failed(&self, error: redb::Error) -> Failed {
        Failed::new(&self.folder, self.name, error)
    }

    /// What an operator calls the file.
    pub(super) fn path(&self) -> String {
        self.folder.path(self.name).display().to_string()
    }
}

impl State {
    fn of(opened: Result<Arc<Database>, String>) -> Self {
        match opened {
            Ok(database) => Self::Open(database),
            Err(why) => Self::Closed {
                why,
                open_from: Instant::now() + OPEN_EVERY,
            },
        }
    }
}

/// Opens a redb file, checking every page: what was altered behind our back is refused, not believed.
pub(super) fn open(folder: &Arc<dyn Folder>, name: &str) -> Result<Database, Failed> {
    let failed = |error| Failed::new(folder, name, error);
    let file = folder
        .open(name)
        .map_err(|error| failed(redb::Error::Io(error)))?;
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    builder
        .create_with_backend(FolderFile(file))
        .map_err(|error| failed(error.into()))
}

/// A table that was never written to is not there.
pub(super) fn opened<T>(table: Result<T, redb::TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
