//! Reads a log in chunks, off the runtime's workers.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use proto::PartitionId;
use tokio::task::JoinHandle;

use super::{Inner, engine};
use crate::ReadError;

/// Bytes of records read at once: enough to make the hop between threads cheap, little to hold.
const CHUNK_BYTES: usize = 512 * 1024;

type Chunk = Result<Vec<(u64, Bytes)>, ReadError>;

/// Records of an embedded log.
pub struct Reader {
    inner: Arc<Inner>,
    pp: PartitionId,
    next: u64,
    to: u64,
    chunk: VecDeque<(u64, Bytes)>,
    /// Under way; kept here so that a dropped `next` loses nothing.
    reading: Option<JoinHandle<Chunk>>,
    done: bool,
}

impl Reader {
    pub(super) fn new(inner: Arc<Inner>, pp: PartitionId, from: u64, to: u64) -> Self {
        let chunk = VecDeque::new();
        // There is no record 0; asking for it is asking from the start.
        let next = from.max(1);
        Self {
            inner,
            pp,
            next,
            to,
            chunk,
            reading: None,
            done: false,
        }
    }

    async fn read_chunk(&mut self) -> Chunk {
        let (pp, from, to) = (self.pp, self.next, self.to);
        if self.inner.is_inline() {
            return read(&self.inner, pp, from, to);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let inner = Arc::clone(&self.inner);
            tokio::task::spawn_blocking(move || read(&inner, pp, from, to))
        });
        let chunk = reading.await;
        self.reading = None;
        chunk.unwrap_or_else(|error| Err(ReadError::Unavailable(error.to_string())))
    }
}

fn read(inner: &Inner, pp: PartitionId, from: u64, to: u64) -> Chunk {
    let db = inner.database().map_err(ReadError::Unavailable)?;
    engine::read(&db, pp, from, to, CHUNK_BYTES)
}

impl crate::Reader for Reader {
    async fn next(&mut self) -> Result<Option<(u64, Bytes)>, ReadError> {
        if let Some(record) = self.chunk.pop_front() {
            return Ok(Some(record));
        }
        if self.done || self.next > self.to {
            return Ok(None);
        }
        match self.read_chunk().await {
            Ok(chunk) => {
                self.chunk = chunk.into();
                if let Some((last, _)) = self.chunk.back() {
                    self.next = last + 1;
                }
                Ok(self.chunk.pop_front())
            }
            Err(error) => {
                self.done = true;
                Err(error)
            }
        }
    }
}
