//! The values' file: a line that says what it is, then values, and zeros between them.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use redb::StorageBackend;

use super::{
    VALUES_FILE,
    index::Place,
    space::{Space, Span},
};
use crate::embedded::{file::Failed, folder::Folder};

/// The first bytes of the file. Another format has another line.
const HEAD: &[u8; 64] = b"Values of Parlor, format 1. The index is parlor-store.redb.    \n";
/// The file grows by whole steps.
const STEP_BYTES: u64 = 1024 * 1024;
/// What is read at once to look for bytes that should be zeros.
const LOOK_BYTES: usize = 256 * 1024;

/// A handle of the file.
pub(in crate::embedded) struct Values {
    file: Arc<dyn StorageBackend>,
    path: PathBuf,
}

impl Values {
    /// Where the first value may be.
    pub(super) const BEGIN: u64 = HEAD.len() as u64;

    pub(in crate::embedded) fn open(folder: &Arc<dyn Folder>) -> Result<Self, Failed> {
        let failed = |error| Failed::new(folder, VALUES_FILE, error);
        let open = || -> io::Result<_> {
            let file = folder.open(VALUES_FILE)?;
            let len = file.len()?.min(Self::BEGIN);
            let mut head = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            file.read(0, &mut head)?;
            // A crash while it was made leaves a part of the line, or none.
            let unwritten = head
                .iter()
                .zip(HEAD)
                .all(|(is, to_be)| *is == 0 || is == to_be);
            if unwritten && head != HEAD && file.len()? <= Self::BEGIN {
                file.set_len(Self::BEGIN)?;
                file.write(0, HEAD)?;
                file.sync_data()?;
                head = HEAD.to_vec();
            }
            Ok((file, head == HEAD))
        };
        match open() {
            Ok((file, true)) => Ok(Self {
                file,
                path: folder.path(VALUES_FILE),
            }),
            Ok((_, false)) => Err(failed(redb::Error::Corrupted(
                "it does not begin as a file of values does".to_owned(),
            ))),
            Err(error) => Err(failed(redb::Error::Io(error))),
        }
    }

    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn failed(&self, error: redb::Error) -> Failed {
        Failed {
            path: self.path.clone(),
            error,
        }
    }

    /// Whether there is anything but zeros behind the head.
    pub(in crate::embedded) fn is_used(&self) -> io::Result<bool> {
        let mut offset = Self::BEGIN;
        let len = self.file.len()?;
        while offset < len {
            let found = self.look(offset, len)?;
            if found.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            offset += found.len() as u64;
        }
        Ok(false)
    }

    /// What is at a place now.
    pub(super) fn read(&self, place: Place) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(place.bytes).map_err(io::Error::other)?];
        self.file.read(place.offset, &mut bytes)?;
        Ok(bytes.into())
    }

    pub(super) fn write(&self, place: Place, value: &[u8]) -> io::Result<()> {
        let end = Span::from(place).end();
        if end > self.file.len()? {
            self.file.set_len(end.next_multiple_of(STEP_BYTES))?;
        }
        self.file.write(place.offset, value)
    }

    /// Overwrites what a value took.
    pub(super) fn overwrite(&self, place: Place) -> io::Result<()> {
        let zeros = vec![0; usize::try_from(Span::from(place).bytes).map_err(io::Error::other)?];
        self.file.write(place.offset, &zeros)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Overwrites all that is no value, durably: a crash leaves values that were written and not entered, or
    /// superseded and not yet overwritten.
    pub(super) fn clean(&self, space: &Space) -> Result<(), redb::Error> {
        let len = self.file.len()?;
        if len < space.end() {
            return Err(redb::Error::Corrupted(format!(
                "it was cut off: it has {len} bytes, its values end at {}",
                space.end()
            )));
        }
        if len > space.end() {
            self.file.set_len(space.end())?;
        }
        for gap in space.gaps() {
            self.clean_gap(gap)?;
        }
        self.file.sync_data()?;
        Ok(())
    }

    fn clean_gap(&self, gap: Span) -> io::Result<()> {
        let mut offset = gap.offset;
        while offset < gap.end() {
            let mut found = self.look(offset, gap.end())?;
            if found.iter().any(|byte| *byte != 0) {
                found.fill(0);
                self.file.write(offset, &found)?;
            }
            offset += found.len() as u64;
        }
        Ok(())
    }

    /// Some of the bytes from one offset to another.
    fn look(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let left = usize::try_from(to - from).unwrap_or(LOOK_BYTES);
        let mut found = vec![0; left.min(LOOK_BYTES)];
        self.file.read(from, &mut found)?;
        Ok(found)
    }
}
