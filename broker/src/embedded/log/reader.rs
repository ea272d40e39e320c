//! Reads a log in chunks, off the runtime's threads.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _};

use super::{RECORDS, bounds, checksum};
use crate::{
    ReadError, Reader,
    embedded::{file::DataFile, name},
};

/// Bytes of records that a reader fetches at once.
const CHUNK_BYTES: usize = 512 * 1024;

/// Records of the embedded log.
pub struct StorageReader {
    file: Arc<DataFile>,
    pp: u32,
    next: u64,
    to: u64,
    fetched: VecDeque<(u64, Bytes)>,
}

impl StorageReader {
    pub(super) fn new(file: Arc<DataFile>, pp: u32, from: u64, to: u64) -> Self {
        Self {
            file,
            pp,
            next: from,
            to,
            fetched: VecDeque::new(),
        }
    }
}

impl Reader for StorageReader {
    async fn next(&mut self) -> Result<Option<(u64, Bytes)>, ReadError> {
        if self.next > self.to {
            return Ok(None);
        }
        if self.fetched.is_empty() {
            let (file, pp, from, to) = (Arc::clone(&self.file), self.pp, self.next, self.to);
            let fetch = tokio::task::spawn_blocking(move || {
                let database = file.database().map_err(ReadError::Unavailable)?;
                fetch(&database, pp, from, to, &file.path())
            });
            let fetched = fetch
                .await
                .map_err(|error| ReadError::Unavailable(error.to_string()))?;
            self.fetched = fetched?;
        }
        let Some((seq, record)) = self.fetched.pop_front() else {
            return Err(ReadError::Unavailable(format!(
                "the log ends before {}",
                self.next
            )));
        };
        self.next = seq + 1;
        Ok(Some((seq, record)))
    }
}

/// Records from `from` on, as many as a chunk holds; fails when `from` is not there.
fn fetch(
    database: &Database,
    pp: u32,
    from: u64,
    to: u64,
    path: &str,
) -> Result<VecDeque<(u64, Bytes)>, ReadError> {
    let unavailable = |error: redb::Error| ReadError::Unavailable(error.to_string());
    let (last, first) = bounds(database, pp).map_err(unavailable)?;
    if from < first {
        return Err(ReadError::Trimmed { first });
    }
    if from > last {
        return Err(ReadError::Unavailable(format!(
            "the log ends at {last}, before {from}"
        )));
    }
    let read = || -> Result<_, redb::Error> {
        let table = database.begin_read()?.open_table(RECORDS)?;
        let (mut records, mut bytes, mut expected) = (VecDeque::new(), 0, from);
        for entry in table.range((pp, from)..=(pp, to.min(last)))? {
            let (key, found) = entry?;
            let (_, seq) = key.value();
            if seq != expected || bytes > CHUNK_BYTES {
                break;
            }
            let (sum, record) = found.value();
            if sum != checksum(seq, record) {
                return Err(redb::Error::Corrupted(format!(
                    "record {seq} of partition {} in {path} is not what was written: stop the process and \
                     restore the folder from a back-up",
                    name(pp)
                )));
            }
            bytes += record.len();
            records.push_back((seq, Bytes::copy_from_slice(record)));
            expected += 1;
        }
        Ok(records)
    };
    let records = read().map_err(unavailable)?;
    if records.is_empty() {
        // Trimmed between the two looks.
        let (_, first) = bounds(database, pp).map_err(unavailable)?;
        return Err(ReadError::Trimmed { first });
    }
    Ok(records)
}
