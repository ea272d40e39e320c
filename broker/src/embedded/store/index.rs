//! The index: which version of a value is where.

use redb::{Database, ReadableDatabase as _, TableDefinition};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Revision, embedded::file::opened};

/// Partition and key → revision, offset, bytes and checksum of the value.
pub(super) const ENTRIES: TableDefinition<(u32, &str), Stored> = TableDefinition::new("values");
/// Partition → the last revision given out.
pub(super) const REVISIONS: TableDefinition<u32, u64> = TableDefinition::new("revisions");

/// An entry as redb has it.
pub(super) type Stored = (u64, u64, u32, u64);

/// Where a value is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// A version of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) revision: Revision,
    pub(super) place: Place,
    checksum: u64,
}

impl Entry {
    pub(super) fn new(revision: Revision, place: Place, value: &[u8]) -> Self {
        Self {
            revision,
            place,
            checksum: xxh3_64_with_seed(value, revision.0),
        }
    }

    /// Whether these bytes are the value.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        xxh3_64_with_seed(bytes, self.revision.0) == self.checksum
    }

    pub(super) fn stored(&self) -> Stored {
        let Place { offset, bytes } = self.place;
        (self.revision.0, offset, bytes, self.checksum)
    }
}

impl From<Stored> for Entry {
    fn from((revision, offset, bytes, checksum): Stored) -> Self {
        Self {
            revision: Revision(revision),
            place: Place { offset, bytes },
            checksum,
        }
    }
}

/// The entry of a key.
pub(super) fn entry(database: &Database, pp: u32, key: &str) -> Result<Option<Entry>, redb::Error> {
    let Some(table) = opened(database.begin_read()?.open_table(ENTRIES))? else {
        return Ok(None);
    };
    let found = table.get((pp, key))?;
    Ok(found.map(|found| found.value().into()))
}
