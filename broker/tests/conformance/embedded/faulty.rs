//! A disk that fails on demand.

use std::{collections::HashSet, io, sync::Arc};

use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, StorageBackend};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No space: what was never written cannot be, the rest works.
    Full,
    /// Everything is written, but whether it is durable nobody says.
    Sync,
    /// Nothing works, once it has been written.
    All,
}

/// A disk with one file. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    bytes: Arc<RwLock<Vec<u8>>>,
    /// Blocks that were written: they have their place even when the disk is full.
    blocks: Arc<Mutex<HashSet<usize>>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

const BLOCK_BYTES: usize = 4096;

impl Disk {
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
    }

    pub(crate) fn opener(
        &self,
    ) -> impl Fn() -> Result<Database, redb::Error> + Send + Sync + 'static {
        let disk = self.clone();
        move || Ok(Builder::new().create_with_backend(disk.clone())?)
    }

    fn check(&self, failing: &[Fault], kind: io::ErrorKind) -> io::Result<()> {
        match *self.fault.lock() {
            Some(fault) if failing.contains(&fault) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.check(&[Fault::All], io::ErrorKind::Other)?;
        Ok(self.bytes.read().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(&[Fault::All], io::ErrorKind::Other)?;
        let bytes = self.bytes.read();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let found = bytes
            .get(from..from + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(&[Fault::All], io::ErrorKind::Other)?;
        // A file may be made longer on a full disk: it is sparse until it is written.
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.bytes.write().resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(&[Fault::All, Fault::Sync], io::ErrorKind::Other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let mut blocks = self.blocks.lock();
        for block in from / BLOCK_BYTES..(from + data.len()).div_ceil(BLOCK_BYTES) {
            if !blocks.contains(&block) {
                self.check(&[Fault::Full], io::ErrorKind::StorageFull)?;
                blocks.insert(block);
            }
        }
        let mut bytes = self.bytes.write();
        let to = bytes
            .get_mut(from..from + data.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        to.copy_from_slice(data);
        Ok(())
    }
}
