//! Brokers to run the suite on.

use std::{future::Future, path::Path, time::Duration};

use broker::{
    Broker, Delivery, Message, Reader as _, Revision, Subscription,
    embedded::Embedded,
    nats::{Nats, Options},
    sim::{Faults, Sim, SimBroker},
    testing::NatsServer,
};
use bytes::Bytes;
use proto::{PartitionId, subject::Subjects};
use tempfile::TempDir;

/// The partition of most tests.
pub(crate) const PP: PartitionId = PartitionId::Rooms(0);
/// Another one.
pub(crate) const OTHER: PartitionId = PartitionId::Rooms(1);
/// All that a fixture provisions.
pub(crate) const PARTITIONS: [PartitionId; 3] = [PP, OTHER, PartitionId::Meta];

/// Longest a behaviour may take on a busy machine; more is a hang.
const TIME: Duration = Duration::from_secs(90);

/// A broker in its own place, and how to crash it.
pub(crate) trait Fixture: Send + Sync + 'static {
    type Broker: Broker;

    fn start() -> impl Future<Output = Self> + Send;

    /// What one process has of it.
    fn broker(&self) -> Self::Broker;

    /// What another process has of it; where there is only one process, another handle.
    fn another(&self) -> impl Future<Output = Self::Broker> + Send;

    /// Ends it without notice and starts it again on the same files.
    fn crash(&mut self) -> impl Future<Output = ()> + Send;

    /// Where its files are, if it has any.
    fn files(&self) -> Option<&Path> {
        None
    }
}

/// The embedded broker on a folder.
pub(crate) struct OnFolder {
    broker: Option<Embedded>,
    dir: TempDir,
}

impl Fixture for OnFolder {
    type Broker = Embedded;

    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            broker: Some(Embedded::open(dir.path()).unwrap()),
            dir,
        }
    }

    fn broker(&self) -> Embedded {
        self.broker.clone().unwrap()
    }

    async fn another(&self) -> Embedded {
        self.broker()
    }

    /// Closes and opens the folder; a real kill -9 is in `embedded.rs`.
    async fn crash(&mut self) {
        self.broker = None;
        self.broker = Some(Embedded::open(self.dir.path()).unwrap());
    }

    fn files(&self) -> Option<&Path> {
        Some(self.dir.path())
    }
}

/// NATS with a server of its own.
pub(crate) struct OnNats {
    broker: Nats,
    pub(crate) server: NatsServer,
}

impl Fixture for OnNats {
    type Broker = Nats;

    async fn start() -> Self {
        let server = NatsServer::start().await;
        let broker = connect(&server.url(), "room-service").await;
        broker.provision(&PARTITIONS).await.unwrap();
        Self { broker, server }
    }

    fn broker(&self) -> Nats {
        self.broker.clone()
    }

    async fn another(&self) -> Nats {
        connect(&self.server.url(), "room-service").await
    }

    async fn crash(&mut self) {
        self.server.kill().await;
        self.server.restart().await;
        until(|| async { self.broker.provision(&PARTITIONS).await.ok() }).await;
    }

    fn files(&self) -> Option<&Path> {
        Some(self.server.store())
    }
}

/// The simulated broker, with nothing that goes wrong but its processes.
pub(crate) struct OnSim(Sim);

impl Fixture for OnSim {
    type Broker = SimBroker;

    async fn start() -> Self {
        Self(Sim::new(4, Faults::none()))
    }

    fn broker(&self) -> SimBroker {
        self.0.broker("one")
    }

    async fn another(&self) -> SimBroker {
        self.0.broker("another")
    }

    /// Ends the processes: the broker's own data has no place to be lost from.
    async fn crash(&mut self) {
        self.0.crash("one");
        self.0.crash("another");
    }
}

/// Options as `main` makes them.
pub(crate) fn options(url: &str, role: &str) -> Options {
    Options {
        url: url.to_owned(),
        creds: None,
        subjects: Subjects::default(),
        role: role.to_owned(),
        replicas: 1,
    }
}

/// A connected adapter.
pub(crate) async fn connect(url: &str, role: &str) -> Nats {
    let nats = Nats::connect(options(url, role)).await.unwrap();
    nats.verify().await.unwrap();
    connected(&nats).await;
    nats
}

/// Waits until every connection is up.
pub(crate) async fn connected(broker: &impl Broker) {
    until(|| async { broker.is_connected().then_some(()) }).await;
}

/// Fails a behaviour that hangs.
pub(crate) async fn in_time<T>(behaviour: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIME, behaviour)
        .await
        .expect("the behaviour hangs")
}

/// Tries until there is something; how tests wait for a condition.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let look = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look)
        .await
        .expect("the condition never came")
}

/// The next message, where none may be lost.
pub(crate) async fn message(subscription: &mut impl Subscription) -> Message {
    match subscription.next().await {
        Some(Delivery::Message(message)) => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// All of a range of the log.
pub(crate) async fn read(
    broker: &impl Broker,
    pp: PartitionId,
    from: u64,
    to: u64,
) -> Result<Vec<(u64, Bytes)>, broker::ReadError> {
    let mut reader = broker.read(pp, from, to);
    let mut records = Vec::new();
    while let Some(record) = reader.next().await? {
        records.push(record);
    }
    Ok(records)
}

/// Appends records `"1"`, `"2"` … to an empty log.
pub(crate) async fn fill(broker: &impl Broker, pp: PartitionId, records: u64) {
    for last in 0..records {
        let appended = broker.append(pp, last, numbered(last + 1).1).await;
        assert_eq!(appended, broker::Append::Written(last + 1));
    }
}

/// Record number `seq` of a log that [`fill`] made.
pub(crate) fn numbered(seq: u64) -> (u64, Bytes) {
    (seq, seq.to_string().into())
}

/// Puts a value that must be taken.
pub(crate) async fn put(
    broker: &impl Broker,
    pp: PartitionId,
    key: &str,
    value: &'static str,
    expected: Revision,
) -> Revision {
    match broker.put(pp, key, value.into(), expected).await {
        broker::Put::Written(revision) => revision,
        other => panic!("expected {key} to be written, got {other:?}"),
    }
}
