//! The store of a partition: values under keys, changed by compare-and-set, read through the leader.

use std::future::Future;

use bytes::Bytes;
use proto::PartitionId;

/// Values per partition. A key is tokens joined by dots, as on a subject, without wildcards.
pub trait Store: Clone + Send + Sync + 'static {
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

    /// All keys and values at and below `prefix` by whole tokens, in no promised order; everything when
    /// `prefix` is empty.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(
        &self,
        pp: PartitionId,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<(String, Value)>, StoreError>> + Send;
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
}
