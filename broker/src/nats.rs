//! The NATS adapter: the bus on core NATS, log and store on JetStream.
//!
//! Four connections, so that a burst on one path does not hold up another: messages in, messages out,
//! requests, and log and store. A gateway (role `gateway`) has no JetStream at all.

mod api;
mod batch;
mod bus;
mod confirm;
mod connect;
mod events;
mod log;
mod login;
mod provision;
mod scan;
mod scrub;
mod store;

use std::{path::PathBuf, sync::Arc, time::Duration};

use proto::subject::Subjects;

use crate::{Broker, ProvisionError, StoreError};
use api::JetStream;
use connect::{Connection, Dialer};

pub use bus::NatsSubscription;
pub use connect::ConnectError;
pub use log::NatsReader;
pub use scan::NatsScan;

/// How often [`Nats::connected`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How to reach NATS.
#[derive(Clone, Debug)]
pub struct Options {
    /// Server addresses, separated by commas; `user:password@` in one of them is used for all.
    pub url: String,
    /// A `.creds` file, or a file whose first line is `user:password`.
    pub creds: Option<PathBuf>,
    /// Names on the bus, in the log and in the store.
    pub subjects: Subjects,
    /// What this process is (`gateway`, `room-service`, `serve`): names its inbox, which permissions go
    /// by.
    pub role: String,
    /// Replicas of each stream, 1 to 5.
    pub replicas: u8,
}

/// A connection to NATS with all three ports. Cheap to clone.
#[derive(Clone)]
pub struct Nats {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    dialer: Dialer,
    incoming: Connection,
    outgoing: Connection,
    requests: Connection,
    jetstream: JetStream,
}

impl Nats {
    /// Begins to connect, and goes on trying with jitter as long as NATS is away.
    ///
    /// # Errors
    /// When the address or the credentials file cannot be used. An absent server is no error here.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let dialer = Dialer::new(&options)?;
        let subjects = options.subjects.clone();
        let log = match options.role.as_str() {
            "gateway" => None,
            _ => Some(dialer.dial("log").await?),
        };
        let shared = Shared {
            incoming: dialer.dial("in").await?,
            outgoing: dialer.dial("out").await?,
            requests: dialer.dial("requests").await?,
            jetstream: JetStream::new(log, subjects),
            dialer,
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Waits until every connection is there. Cancel-safe.
    pub async fn connected(&self) {
        while !self.shared.is_up() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until NATS is there, and checks that it is one we can run on: it lets us in, is new enough,
    /// and takes our payloads. Cancel-safe.
    ///
    /// # Errors
    /// What does not pass by waiting: [`ConnectError::Credentials`], [`ConnectError::TooOld`],
    /// [`ConnectError::MaxPayload`].
    pub async fn verify(&self) -> Result<(), ConnectError> {
        let verified = self.shared.dialer.verify(self.shared.options.replicas);
        verified.await?;
        self.connected().await;
        Ok(())
    }
}

impl Shared {
    fn is_up(&self) -> bool {
        let bus = [&self.incoming, &self.outgoing, &self.requests];
        bus.iter().all(|connection| connection.is_up()) && self.jetstream.is_up_if_needed()
    }
}

impl Broker for Nats {
    async fn provision(&self, partitions: &[proto::PartitionId]) -> Result<(), ProvisionError> {
        provision::provision(
            &self.shared.jetstream,
            self.shared.options.replicas,
            partitions,
        )
        .await
    }

    async fn scrub(&self, pp: proto::PartitionId) -> Result<(), StoreError> {
        scrub::scrub(self, pp).await
    }
}
