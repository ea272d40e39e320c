//! The files of the embedded broker by their names: in a folder on disk, or in memory. Knows nothing of what
//! is in them.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io,
    ops::Bound,
    path::PathBuf,
    sync::Arc,
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Where files are. A crash leaves of each file all that was synced, and of a rename the one file or the
/// other.
pub trait Folder: Send + Sync + 'static {
    /// Opens a file to read and write it; an empty one when it is not there.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>>;

    /// Puts the file `from` in the place of `to`, durably. Who has `to` open keeps what it had.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// What an operator calls the file.
    fn path(&self, name: &str) -> PathBuf;
}

/// A folder on disk.
pub(super) struct OnDisk(pub(super) PathBuf);

impl OnDisk {
    /// Makes sure that names are as durable as what the files hold.
    fn sync(&self) -> io::Result<()> {
        // Elsewhere a folder cannot be opened, nor need it be.
        if cfg!(unix) {
            File::open(&self.0)?.sync_all()?;
        }
        Ok(())
    }
}

impl Folder for OnDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        let path = self.path(name);
        let is_new = !path.try_exists()?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        if is_new {
            self.sync()?;
        }
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        self.sync()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// A file of a [`Folder`] as redb takes it.
#[derive(Debug)]
pub(super) struct FolderFile(pub(super) Arc<dyn StorageBackend>);

impl StorageBackend for FolderFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
