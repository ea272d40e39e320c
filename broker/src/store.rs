//! The store of a partition: values under keys, changed by compare-and-set, read through the leader.

use std::future::Future;

use bytes::Bytes;
use proto::PartitionId;

/// Values per partition. A key is tokens joined by dots, as on a subject, without wildcards.
pub trait Store: Clone + Send + Sync + 'static {
    /// What [`scan`](Self::scan) returns.
    type Scan: Scan;

    /// The value under a key, as the store's leader has it.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(
        &self,
        pp: PartitionId,
        key: &str,
    ) -> impl Future<Output = Result<Option<Value>, StoreError>> + Send;

    /// Puts a value if the key's revision is `expected`; [`Revision::NONE`] for a key that has none.
    ///
    /// Not cancel-safe: a dropped put may still be written, like [`Put::Unclear`].
    fn put(
        &self,
        pp: PartitionId,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> impl Future<Output = Put> + Send;

    /// Removes the key `prefix` itself and all keys below it, by whole tokens: `a.b` takes `a.b` and
    /// `a.b.c`, not `a.bc`.
    ///
    /// Cancel-safe: removed or not, and may be repeated.
    ///
    /// # Errors
    /// [`StoreError`].
    fn purge(
        &self,
        pp: PartitionId,
        prefix: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Streams the keys and values at and below `prefix` by whole tokens, in no promised order; everything
    /// when `prefix` is empty. A key that has a value from the scan's begin to its end comes once, with
    /// one of the values it had meanwhile; one that is made or purged meanwhile may come or not. Holds a
    /// few values at a time, and may hold the names of all keys.
    fn scan(&self, pp: PartitionId, prefix: &str) -> Self::Scan;

    /// Erases the bytes of the version `revision` of `key` after a put has superseded it, so that they are
    /// in no file. Does nothing when that version is the current one or is gone. Bytes of versions before
    /// it may stay in files until [`Broker::scrub`](crate::Broker::scrub).
    ///
    /// Cancel-safe: erased or not, and may be repeated.
    ///
    /// # Errors
    /// [`StoreError`].
    fn erase(
        &self,
        pp: PartitionId,
        key: &str,
        revision: Revision,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Keys and values, one after the other.
pub trait Scan: Send {
    /// The next key and its value; `None` after the last one.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StoreError`], after which the scan is done.
    fn next(&mut self) -> impl Future<Output = Result<Option<(String, Value)>, StoreError>> + Send;

    /// All that is left of the scan at once, for prefixes that hold few values.
    ///
    /// # Errors
    /// [`StoreError`].
    fn all(mut self) -> impl Future<Output = Result<Vec<(String, Value)>, StoreError>> + Send
    where
        Self: Sized,
    {
        async move {
            let mut found = Vec::new();
            while let Some(entry) = self.next().await? {
                found.push(entry);
            }
            Ok(found)
        }
    }
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The content.
    pub bytes: Bytes,
    /// What a put must expect to replace it.
    pub revision: Revision,
}

/// Which version of a value; only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// Of a key that has no value.
    pub const NONE: Self = Self(0);
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// Written and durable, under this revision.
    Written(Revision),
    /// Not written: the key's revision is another.
    Conflict {
        /// The revision, where the refusal told it.
        revision: Revision,
    },
    /// It may be written, or may still be.
    Unclear,
    /// Not written, and the same put never will be: too large, no space, denied, not a key.
    Refused {
        /// Why, for the log.
        why: String,
    },
}

/// The store did not answer, or the key is none.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The key or prefix is not tokens joined by dots.
    #[error("not a key: {0:?}")]
    Key(String),
    /// The store is not reachable.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored under the key is not what was written: the words say where, and what to do. Trying
    /// again does not help; other values are not concerned.
    #[error("damaged: {0}")]
    Damaged(String),
}
