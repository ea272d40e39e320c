//! A broker whose logs are never trimmed: its checkpoints wait for ever. What is behind the last checkpoint
//! then grows to any size, which an owner by itself does not let it.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use broker::{
    Append, Broker, Bus, Log, LogError, ProvisionError, PublishError, Put, RequestError, Revision,
    Store, StoreError, SubscribeError, TrimError, Value,
};
use bytes::Bytes;
use proto::PartitionId;

/// The key of a partition's checkpoint (DESIGN section 5, Checkpoint).
const CHECKPOINT: &str = "ckpt";

/// A broker that can be told to keep its logs.
#[derive(Clone)]
pub(crate) struct Held<B> {
    broker: B,
    is_held: Arc<AtomicBool>,
    appended: Arc<AtomicU64>,
}

impl<B> Held<B> {
    pub(crate) fn new(broker: B) -> Self {
        Self {
            broker,
            is_held: Arc::default(),
            appended: Arc::default(),
        }
    }

    /// From now on no checkpoint is put.
    pub(crate) fn hold(&self) {
        self.appended.store(0, Ordering::Relaxed);
        self.is_held.store(true, Ordering::Relaxed);
    }

    /// Bytes appended since, to all logs together.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }
}

impl<B: Broker> Broker for Held<B> {
    async fn provision(&self, partitions: &[PartitionId]) -> Result<(), ProvisionError> {
        self.broker.provision(partitions).await
    }

    async fn scrub(&self, pp: PartitionId) -> Result<(), StoreError> {
        self.broker.scrub(pp).await
    }
}

impl<B: Broker> Bus for Held<B> {
    type Subscription = B::Subscription;

    async fn publish(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
    ) -> Result<(), PublishError> {
        self.broker.publish(subject, payload, traceparent).await
    }

    async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        traceparent: Option<&str>,
        deadline: Duration,
    ) -> Result<Bytes, RequestError> {
        self.broker
            .request(subject, payload, traceparent, deadline)
            .await
    }

    async fn subscribe(&self, pattern: &str) -> Result<Self::Subscription, SubscribeError> {
        self.broker.subscribe(pattern).await
    }

    fn is_connected(&self) -> bool {
        self.broker.is_connected()
    }
}

impl<B: Broker> Log for Held<B> {
    type Reader = B::Reader;

    async fn append(&self, pp: PartitionId, expected_last: u64, record: Bytes) -> Append {
        let bytes = record.len() as u64;
        self.appended.fetch_add(bytes, Ordering::Relaxed);
        self.broker.append(pp, expected_last, record).await
    }

    fn read(&self, pp: PartitionId, from: u64, to: u64) -> Self::Reader {
        self.broker.read(pp, from, to)
    }

    async fn last(&self, pp: PartitionId) -> Result<u64, LogError> {
        self.broker.last(pp).await
    }

    async fn trim(&self, pp: PartitionId, up_to: u64) -> Result<(), TrimError> {
        self.broker.trim(pp, up_to).await
    }
}

impl<B: Broker> Store for Held<B> {
    type Scan = B::Scan;

    async fn get(&self, pp: PartitionId, key: &str) -> Result<Option<Value>, StoreError> {
        self.broker.get(pp, key).await
    }

    async fn put(&self, pp: PartitionId, key: &str, value: Bytes, expected: Revision) -> Put {
        if key == CHECKPOINT && self.is_held.load(Ordering::Relaxed) {
            return future::pending().await;
        }
        self.broker.put(pp, key, value, expected).await
    }

    async fn purge(&self, pp: PartitionId, prefix: &str) -> Result<(), StoreError> {
        self.broker.purge(pp, prefix).await
    }

    fn scan(&self, pp: PartitionId, prefix: &str) -> Self::Scan {
        self.broker.scan(pp, prefix)
    }

    async fn erase(
        &self,
        pp: PartitionId,
        key: &str,
        revision: Revision,
    ) -> Result<(), StoreError> {
        self.broker.erase(pp, key, revision).await
    }
}
