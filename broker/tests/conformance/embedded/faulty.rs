//! A disk that fails on demand, and that can lose its power.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use broker::embedded::Folder;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use redb::StorageBackend;

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

/// A disk with one folder. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Arc<Mutex<Content>>>,
    fault: Option<Fault>,
    /// Writes and syncs still to come until what a loss of power leaves is put aside.
    until_loss: Option<u64>,
    lost: Option<BTreeMap<String, Content>>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// Blocks that were written: they have their place even when the disk is full.
    blocks: HashSet<usize>,
    synced: Vec<u8>,
    unsynced: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Len(usize),
    Write(usize, Vec<u8>),
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    content: Arc<Mutex<Content>>,
}

const BLOCK_BYTES: usize = 4096;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

impl Disk {
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.state.lock().fault = fault;
    }

    pub(crate) fn folder(&self) -> Arc<dyn Folder> {
        Arc::new(self.clone())
    }

    /// Loses its power after so many writes and syncs.
    pub(crate) fn lose_power_after(&self, steps: u64) {
        self.state.lock().until_loss = Some(steps);
    }

    /// Whether the power is lost; what happens to this disk since then counts for nothing.
    pub(crate) fn is_lost(&self) -> bool {
        self.state.lock().lost.is_some()
    }

    /// The disk as the loss of power left it: what was synced, and of the rest whatever came to be written,
    /// some of it in part.
    pub(crate) fn after_loss(&self, seed: u64) -> Option<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let lost = self.state.lock().lost.clone()?;
        let files = lost.into_iter().map(|(name, content)| {
            let mut bytes = content.synced;
            for step in content.unsynced {
                if random.random_bool(0.5) {
                    match step {
                        Step::Write(at, data) if random.random_bool(0.2) => {
                            let sectors = data.len() / SECTOR_BYTES;
                            let part = random.random_range(0..=sectors) * SECTOR_BYTES;
                            apply(&mut bytes, &Step::Write(at, data[..part].to_vec()));
                        }
                        step => apply(&mut bytes, &step),
                    }
                }
            }
            let content = Content {
                synced: bytes.clone(),
                bytes,
                ..Content::default()
            };
            (name, Arc::new(Mutex::new(content)))
        });
        let state = State {
            files: files.collect(),
            ..State::default()
        };
        Some(Self {
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// What is in the files, as text.
    pub(crate) fn words(&self) -> String {
        let state = self.state.lock();
        let files = state.files.values();
        files
            .map(|content| String::from_utf8_lossy(&content.lock().bytes).into_owned())
            .collect()
    }

    fn check(&self, failing: &[Fault], kind: io::ErrorKind) -> io::Result<()> {
        match self.state.lock().fault {
            Some(fault) if failing.contains(&fault) => Err(kind.into()),
            _ => Ok(()),
        }
    }

    /// Before a write or a sync.
    fn step(&self) {
        let mut state = self.state.lock();
        match &mut state.until_loss {
            Some(0) => {
                let files = state.files.iter();
                let files = files.map(|(name, content)| (name.clone(), content.lock().clone()));
                let lost = files.collect();
                state.lost.get_or_insert(lost);
            }
            Some(steps) => *steps -= 1,
            None => {}
        }
    }
}

/// What a step does where it can: a write beyond the end makes the file longer.
fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Len(len) => bytes.resize(*len, 0),
        Step::Write(at, data) => {
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
    }
}

impl Folder for Disk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        self.check(&[Fault::All], io::ErrorKind::Other)?;
        let content = Arc::clone(self.state.lock().files.entry(name.to_owned()).or_default());
        Ok(Arc::new(DiskFile {
            disk: self.clone(),
            content,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check(&[Fault::All], io::ErrorKind::Other)?;
        self.step();
        let mut state = self.state.lock();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check(&[Fault::All], io::ErrorKind::Other)?;
        self.state.lock().files.remove(name);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("on a disk").join(name)
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.check(&[Fault::All], io::ErrorKind::Other)?;
        Ok(self.content.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.check(&[Fault::All], io::ErrorKind::Other)?;
        let content = self.content.lock();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let found = content
            .bytes
            .get(from..from + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check(&[Fault::All], io::ErrorKind::Other)?;
        self.disk.step();
        // A file may be made longer on a full disk: it is sparse until it is written.
        let step = Step::Len(usize::try_from(len).map_err(io::Error::other)?);
        let mut content = self.content.lock();
        apply(&mut content.bytes, &step);
        content.unsynced.push(step);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let failing = &[Fault::All, Fault::Sync];
        self.disk.check(failing, io::ErrorKind::Other)?;
        self.disk.step();
        let mut content = self.content.lock();
        let steps = std::mem::take(&mut content.unsynced);
        for step in &steps {
            apply(&mut content.synced, step);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.step();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let space = self.disk.check(&[Fault::Full], io::ErrorKind::StorageFull);
        let mut content = self.content.lock();
        for block in from / BLOCK_BYTES..(from + data.len()).div_ceil(BLOCK_BYTES) {
            if !content.blocks.contains(&block) {
                if let Err(full) = space {
                    return Err(full);
                }
                content.blocks.insert(block);
            }
        }
        if content.bytes.len() < from + data.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let step = Step::Write(from, data.to_vec());
        apply(&mut content.bytes, &step);
        content.unsynced.push(step);
        Ok(())
    }
}
