//! Files that are gone with the process, for tests.

use std::{collections::HashMap, io, path::PathBuf, sync::Arc};

use parking_lot::{Mutex, RwLock};
use redb::StorageBackend;

use super::folder::Folder;

/// A folder in memory.
#[derive(Default)]
pub(super) struct InMemory {
    files: Mutex<HashMap<String, MemoryFile>>,
}

#[derive(Clone, Debug, Default)]
struct MemoryFile(Arc<RwLock<Vec<u8>>>);

impl Folder for InMemory {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        let mut files = self.files.lock();
        Ok(Arc::new(files.entry(name.to_owned()).or_default().clone()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("in memory").join(name)
    }
}

impl StorageBackend for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = self.0.read();
        let found = bytes
            .get(from..from + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.0.write().resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let mut bytes = self.0.write();
        let to = bytes
            .get_mut(from..from + data.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        to.copy_from_slice(data);
        Ok(())
    }
}
