//! The embedded adapter: an in-process bus, and one redb file for logs and stores. One process, one
//! folder; the promises are those of the traits.

mod engine;
mod exchange;
mod open;
mod queue;
mod reader;
mod routes;
mod writer;

use std::{fmt, fs::File, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::RwLock;
use proto::PartitionId;
use redb::{Database, DatabaseError, backends::InMemoryBackend};

pub use exchange::Subscription;
pub use open::OpenError;
pub use reader::Reader;

use crate::{
    Append, Broker, Bus, Log, LogError, ProvisionError, PublishError, Put, RequestError, Revision,
    Store, StoreError, SubscribeError, TrimError, Value, subject,
};
use engine::{Change, Outcome};
use exchange::Exchange;
use queue::Bounds;
use writer::{Opener, Slot, Writer};

/// What can be tuned; the defaults are meant for everyone.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for pages of the data file. The system caches them too, so a little goes a long way.
    pub cache_bytes: usize,
    /// Most messages that wait in one subscription.
    pub queue_messages: usize,
    /// Most bytes that wait in one subscription.
    pub queue_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 24 * 1024 * 1024,
            queue_messages: 16 * 1024,
            queue_bytes: 16 * 1024 * 1024,
        }
    }
}

/// The embedded broker. Cheap to clone; the folder is free again when the last clone, subscriptions
/// aside, is dropped.
#[derive(Clone)]
pub struct Embedded {
    exchange: Arc<Exchange>,
    inner: Arc<Inner>,
}

/// The data file. Dropped in this order: the writer ends, the file closes, the folder is free.
struct Inner {
    writer: Writer,
    slot: Slot,
    _lock: Option<File>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens a data folder, made if it is not there. Blocks: after an unclean stop for as long as it
    /// takes to read the file once.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(dir, Options::default())
    }

    /// [`open`](Self::open) with other options.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_with(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let file = open::data_file(dir);
        Self::start(dir, options, Box::new(move |builder| builder.create(&file)))
    }

    fn start(dir: &Path, options: Options, create: Create) -> Result<Self, OpenError> {
        let lock = open::lock(dir)?;
        let cache_bytes = options.cache_bytes;
        let opener: Opener = Box::new(move || open::open(cache_bytes, &create));
        let db = opener().map_err(|error| open::database_error(dir, error))?;
        let slot: Slot = Arc::new(RwLock::new(Ok(Arc::new(db))));
        let writer =
            Writer::spawn(Arc::clone(&slot), opener).map_err(|error| open::io_error(dir, error))?;
        let inner = Inner {
            writer,
            slot,
            _lock: Some(lock),
        };
        Ok(Self::with(inner, &options))
    }

    /// A broker whose data is gone with it. It has no thread of its own, so that tests with a paused
    /// clock can use it.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::in_memory_with(Options::default())
    }

    /// [`in_memory`](Self::in_memory) with other options.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory_with(options: Options) -> Result<Self, OpenError> {
        let cache_bytes = options.cache_bytes;
        let opener: Opener = Box::new(move || {
            open::open(cache_bytes, |builder| {
                builder.create_with_backend(InMemoryBackend::new())
            })
        });
        let db = opener().map_err(|error| open::database_error(Path::new("(memory)"), error))?;
        let slot: Slot = Arc::new(RwLock::new(Ok(Arc::new(db))));
        let writer = Writer::inline(Arc::clone(&slot), opener);
        Ok(Self::with(
            Inner {
                writer,
                slot,
                _lock: None,
            },
            &options,
        ))
    }

    fn with(inner: Inner, options: &Options) -> Self {
        let bounds = Bounds {
            messages: options.queue_messages,
            bytes: options.queue_bytes,
        };
        Self {
            exchange: Arc::new(Exchange::new(bounds)),
            inner: Arc::new(inner),
        }
    }

    /// Runs a read off the runtime's workers.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, String> {
        let inner = Arc::clone(&self.inner);
        let read = move || read(&*inner.database()?).map_err(|error| error.to_string());
        if self.inner.is_inline() {
            return read();
        }
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| error.to_string())?
    }
}

type Create = Box<dyn Fn(&redb::Builder) -> Result<Database, DatabaseError> + Send + Sync>;

impl Inner {
    fn database(&self) -> Result<Arc<Database>, String> {
        self.slot.read().clone()
    }

    fn is_inline(&self) -> bool {
        matches!(self.writer, Writer::Inline(_))
    }
}

impl Bus for Embedded {
    type Subscription = Subscription;

    async fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> Result<(), PublishError> {
        self.exchange.publish(subject, payload, traceparent)
    }

    async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
        deadline: Duration,
    ) -> Result<Bytes, RequestError> {
        self.exchange
            .request(subject, payload, traceparent, deadline)
            .await
    }

    async fn subscribe(&self, pattern: &str) -> Result<Subscription, SubscribeError> {
        self.exchange.subscribe(pattern)
    }

    fn is_connected(&self) -> bool {
        true
    }
}

impl Log for Embedded {
    type Reader = Reader;

    async fn append(&self, pp: PartitionId, expected_last: u64, record: Bytes) -> Append {
        match self
            .inner
            .writer
            .submit(Change::Append {
                pp,
                expected_last,
                record,
            })
            .await
        {
            Outcome::Append(append) => append,
            _ => Append::Unclear,
        }
    }

    fn read(&self, pp: PartitionId, from: u64, to: u64) -> Reader {
        Reader::new(Arc::clone(&self.inner), pp, from, to)
    }

    async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        let (_, last) = self
            .read(move |db| engine::bounds(db, pp))
            .await
            .map_err(LogError)?;
        Ok(last)
    }

    async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        match self.inner.writer.submit(Change::Trim { pp, up_to }).await {
            Outcome::Trim(result) => result,
            _ => Err(TrimError::Unavailable(
                "the writer answered something else".to_owned(),
            )),
        }
    }
}

impl Store for Embedded {
    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        if !subject::is_subject(key) {
            return Err(StoreError::Key(key.to_owned()));
        }
        let key = key.to_owned();
        self.read(move |db| engine::get(db, pp, &key))
            .await
            .map_err(StoreError::Unavailable)
    }

    async fn put(&self, pp: PartitionId, key: &str, value: Bytes, expected: Revision) -> Put {
        let change = Change::Put {
            pp,
            key: key.to_owned(),
            value,
            expected,
        };
        match self.inner.writer.submit(change).await {
            Outcome::Put(put) => put,
            _ => Put::Unclear,
        }
    }

    async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        match self
            .inner
            .writer
            .submit(Change::Purge {
                pp,
                prefix: prefix.to_owned(),
            })
            .await
        {
            Outcome::Purge(result) => result,
            _ => Err(StoreError::Unavailable(
                "the writer answered something else".to_owned(),
            )),
        }
    }

    async fn scan(
        &self,
        pp: PartitionId,
        prefix: &str,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        if !prefix.is_empty() && !subject::is_subject(prefix) {
            return Err(StoreError::Key(prefix.to_owned()));
        }
        let prefix = prefix.to_owned();
        self.read(move |db| engine::scan(db, pp, &prefix))
            .await
            .map_err(StoreError::Unavailable)
    }
}

impl Broker for Embedded {
    /// There is nothing to make: a partition is there from its first change.
    async fn provision(&self, _partitions: &[PartitionId]) -> Result<(), ProvisionError> {
        Ok(())
    }
}
