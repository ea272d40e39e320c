//! Logs in one redb file, which holds what is not trimmed and little else. Writes go through one thread that
//! commits all that waits in one transaction; reads take a snapshot.

mod change;
mod reader;
mod rewrite;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use proto::PartitionId;
use redb::{Database, ReadableDatabase as _, TableDefinition};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    file::{DataFile, Failed, opened},
    number,
    writer::Writer,
};
use crate::{Append, LogError, MAX_RECORD, StoreError, TrimError};
use change::Change;
pub use reader::StorageReader;
pub(super) use rewrite::forget_unfinished;
use writer::LogWork;

/// Name of the file.
pub(super) const FILE: &str = "parlor-log.redb";

/// Partition and log sequence → checksum and record.
const RECORDS: TableDefinition<(u32, u64), (u64, &[u8])> = TableDefinition::new("records");
/// Partition → last sequence ever written, and the first one that was not trimmed.
pub(super) const BOUNDS: TableDefinition<u32, (u64, u64)> = TableDefinition::new("bounds");
/// Has an entry when a log was trimmed to its end since the file was rewritten.
const TRIMMED: TableDefinition<(), ()> = TableDefinition::new("trimmed");

/// The logs and their writer thread.
pub(super) struct LogStorage {
    /// Before the file: it writes all that it was given before the file is closed.
    writer: Writer<Change>,
    file: Arc<DataFile>,
}

impl LogStorage {
    pub(super) fn on(file: Arc<DataFile>) -> Result<Self, Failed> {
        let work = LogWork::new(Arc::clone(&file)).map_err(|error| file.failed(error))?;
        let writer = Writer::start("parlor-log", work);
        let writer = writer.map_err(|error| file.failed(redb::Error::Io(error)))?;
        Ok(Self { writer, file })
    }

    pub(super) async fn append(
        &self,
        pp: PartitionId,
        expected_last: u64,
        record: Bytes,
    ) -> Append {
        if record.len() > MAX_RECORD {
            let why = format!("record of {} bytes is above {MAX_RECORD}", record.len());
            return Append::Refused { why };
        }
        let append = |done| Change::Append {
            pp: number(pp),
            expected_last,
            record,
            done,
        };
        self.writer.change(append).await.unwrap_or(Append::Unclear)
    }

    pub(super) fn read(&self, pp: PartitionId, from: u64, to: u64) -> StorageReader {
        StorageReader::new(Arc::clone(&self.file), number(pp), from, to)
    }

    pub(super) async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        let (file, pp) = (Arc::clone(&self.file), number(pp));
        let look = move || bounds(&*file.database()?, pp).map_err(|error| error.to_string());
        let looked = tokio::task::spawn_blocking(look).await;
        let (last, _) = looked
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(LogError)?;
        Ok(last)
    }

    pub(super) async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        let gone = || TrimError::Unavailable("the writer has ended".to_owned());
        let trim = |done| Change::Trim {
            pp: number(pp),
            up_to,
            done,
        };
        self.writer.change(trim).await.ok_or_else(gone)?
    }

    /// Rewrites the file without what was trimmed.
    pub(super) async fn scrub(&self) -> Result<(), StoreError> {
        let gone = || StoreError::Unavailable("the writer has ended".to_owned());
        let scrub = |done| Change::Scrub { done };
        self.writer.change(scrub).await.ok_or_else(gone)?
    }
}

/// Last sequence and first one left; 0 and 1 for a log without records.
fn bounds(database: &Database, pp: u32) -> Result<(u64, u64), redb::Error> {
    let Some(table) = opened(database.begin_read()?.open_table(BOUNDS))? else {
        return Ok((0, 1));
    };
    let found = table.get(pp)?;
    Ok(found.map_or((0, 1), |entry| entry.value()))
}

/// What a record under this sequence must sum up to: redb does not look when it reads.
fn checksum(seq: u64, record: &[u8]) -> u64 {
    xxh3_64_with_seed(record, seq)
}
