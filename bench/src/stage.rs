//! What is measured: a broker, a room service on it, and the way to ask it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use broker::{
    Broker,
    embedded::Embedded,
    nats::{Nats, Options as NatsOptions},
    testing::NatsServer,
};
use prometheus_client::registry::Registry;
use prost::Message as _;
use proto::{
    Limits, PartitionCount, RoomId,
    bus::v1::{Announcement, Reply, Request, reply, request},
    subject::Subjects,
};
use room_service::{Options, RoomService, WallClock};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// The first attempt at a request, and the longest one: those of a gateway (DESIGN section 6).
const DEADLINES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];
/// Without an answer for so long a measurement is worthless.
const PATIENCE: Duration = Duration::from_secs(60);

/// A room service that is ready.
pub(crate) struct Stage<B> {
    pub(crate) broker: B,
    partitions: PartitionCount,
    epochs: Vec<u64>,
    registry: Registry,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), room_service::Error>>,
}

/// A folder on the disk that `TMPDIR` names.
pub(crate) fn folder() -> Result<TempDir> {
    tempfile::tempdir().context("cannot make a folder")
}

/// The embedded broker in a folder.
pub(crate) fn embedded(folder: &Path) -> Result<Embedded> {
    Ok(Embedded::open(folder)?)
}

/// A nats-server of our own.
pub(crate) async fn nats_server(sync_always: bool) -> Result<NatsServer> {
    if !sync_always {
        return Ok(NatsServer::start().await);
    }
    let folder = folder()?.keep();
    let config = folder.join("nats.conf");
    tokio::fs::write(&config, "jetstream { sync_interval: always }\n").await?;
    Ok(NatsServer::start_with(&config, &[]).await)
}

/// A connection to it.
pub(crate) async fn nats(url: &str) -> Result<Nats> {
    let options = NatsOptions {
        url: url.to_owned(),
        creds: None,
        subjects: Subjects::default(),
        role: "room-service".to_owned(),
        replicas: 1,
    };
    Ok(Box::pin(Nats::connect(options)).await?)
}

impl<B: Broker> Stage<B> {
    /// Starts a room service and waits until it serves.
    pub(crate) async fn start(broker: B, partitions: u16) -> Result<Arc<Self>> {
        let partitions = PartitionCount::new(partitions.into())?;
        let options = Options {
            subjects: Subjects::default(),
            limits: Limits {
                rates: false,
                new_rooms_per_hour: u32::MAX,
                ..Limits::default()
            },
            replica_id: "bench".to_owned(),
            partitions: Some(partitions),
            default_partitions: partitions,
            auto_create: true,
            alone: true,
            admin: None,
            memory_bytes: Options::MEMORY_BYTES,
            wall_clock: WallClock::default(),
        };
        let mut registry = Registry::default();
        let service = Box::pin(RoomService::bind(options, broker.clone(), &mut registry)).await?;
        let handle = service.handle();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(service.run(shutdown.clone()));
        handle.ready().await;
        let mut stage = Self {
            broker,
            partitions,
            epochs: Vec::new(),
            registry,
            shutdown,
            task,
        };
        for pp in partitions.rooms() {
            let epoch = stage.epoch(&Subjects::default().who(pp)).await?;
            stage.epochs.push(epoch);
        }
        Ok(Arc::new(stage))
    }

    /// Ends the service. It puts nothing then, so the next one finds the log as a crash would leave it.
    pub(crate) async fn end(self: Arc<Self>) -> Result<()> {
        let stage = Arc::into_inner(self).context("somebody still uses the service")?;
        stage.shutdown.cancel();
        Ok(stage.task.await??)
    }

    /// Values put into the store so far.
    pub(crate) fn puts(&self) -> Result<u64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        let mut lines = text.lines();
        let number = lines.find_map(|line| line.strip_prefix("parlor_room_service_puts_total "));
        let number = number.context("no metric of puts")?;
        Ok(number.parse()?)
    }

    /// Partitions of rooms.
    pub(crate) fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// Asks the owner of a room, again until it answers.
    pub(crate) async fn ask(&self, room: &RoomId, op: request::Op) -> Result<reply::Result> {
        let pp = self.partitions.of(room);
        let number = self.partitions.rooms().position(|other| other == pp);
        let epoch = self.epochs[number.context("a room has a partition")?];
        let subject = Subjects::default().inbound(pp, epoch, room);
        let request = Request {
            room: room.to_string(),
            op: Some(op),
        };
        let payload = bytes::Bytes::from(request.encode_to_vec());
        let [mut deadline, longest] = DEADLINES;
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let asked = self
                .broker
                .request(&subject, payload.clone(), None, deadline)
                .await;
            if let Ok(reply) = asked
                && let Some(result) = Reply::decode(reply)?.result
            {
                return Ok(result);
            }
            deadline = longest.min(deadline * 2);
        }
        bail!("no owner answers on {subject}")
    }

    async fn epoch(&self, who: &str) -> Result<u64> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let asked = self
                .broker
                .request(who, bytes::Bytes::new(), None, DEADLINES[0])
                .await;
            if let Ok(answer) = asked
                && let Some(owned) = Announcement::decode(answer)?.partitions.first()
            {
                return Ok(owned.epoch);
            }
        }
        bail!("nobody owns what {who} asks for")
    }
}
