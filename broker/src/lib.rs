//! The broker port and its adapters. Gateways and room service know the traits of this file's modules
//! and nothing else: [`Bus`] for messages that may be lost, [`Log`] for what must not be, [`Store`] for
//! values that are compared and set. [`nats`] runs on nats-server with JetStream, [`embedded`] inside
//! one process on redb. Both pass the conformance suite in `tests/`, and so does the simulated broker behind
//! the feature `sim`.

pub mod backoff;
pub mod bus;
pub mod embedded;
pub mod log;
pub mod nats;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
mod subject;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;

use std::future::Future;

pub use bus::{Bus, Delivery, Message, PublishError, RequestError, SubscribeError, Subscription};
pub use log::{Append, Log, LogError, ReadError, Reader, TrimError};
pub use store::{Put, Revision, Scan, Store, StoreError, Value};

/// Most bytes of a bus payload; every adapter refuses more.
pub const MAX_BUS_PAYLOAD: usize = 768 * 1024;
/// Most bytes of a log record or a store value; every adapter refuses more.
pub const MAX_RECORD: usize = 1024 * 1024 - 16 * 1024;

/// All three ports of one broker.
pub trait Broker: Bus + Log + Store {
    /// Makes sure that these partitions have a log and a store with the settings that the promises of
    /// [`Log`] and [`Store`] need; makes what is missing, verifies what is there.
    ///
    /// Cancel-safe: may be repeated.
    ///
    /// # Errors
    /// [`ProvisionError`].
    fn provision(
        &self,
        partitions: &[proto::PartitionId],
    ) -> impl Future<Output = Result<(), ProvisionError>> + Send;

    /// Rewrites what is stored of a partition, its store and its trimmed log, so that no superseded or
    /// purged value and no trimmed record is left in any file. Current values, records that can be read and
    /// the log's `last` stay as they were; revisions may change, so a put that was prepared before may meet
    /// a conflict. Slow, and heavy on the disk: for an operator's command, not for every day.
    ///
    /// Trim the log to its end at any time before: on NATS a trimmed record stays in the block that it
    /// shares with one that can be read, until a trim to the end takes the whole block.
    ///
    /// Cancel-safe: scrubbed in part or whole, nothing lost, and may be repeated.
    ///
    /// # Errors
    /// [`StoreError`]: something may be left, and the same call helps once the store is reachable.
    fn scrub(&self, pp: proto::PartitionId) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A partition's log or store is not there, or not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// It is there with settings that break a promise. The words name the setting, what was found, what
    /// is expected, and what to do. Trying again does not help.
    #[error("{0}")]
    Settings(String),
    /// The broker is not reachable. Trying again may help.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
}
