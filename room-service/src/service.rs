//! Starts the room service, keeps it going, and stops it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use broker::{Broker, ProvisionError};
use prometheus_client::registry::Registry;
use proto::{
    Limits, PartitionCount, PartitionId, RoomId, log::v1::Installation, subject::Subjects,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    admin::{self, AdminOptions},
    backoff::Backoff,
    clock::{Clock, WallClock},
    cluster::{self, Cluster},
    directory::Directory,
    domain::{BodyTagger, NewRooms, Rules},
    installation::{self, Unknown},
    listing,
    metrics::Metrics,
    presence::{self, Presence},
};

/// Partitions that list their rooms at once: after a start all of them want to, and requests go first.
const LISTINGS_AT_ONCE: usize = 2;

/// What a room service is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names on the bus.
    pub subjects: Subjects,
    /// What is allowed.
    pub limits: Limits,
    /// Name of this replica, unlike that of any other living one.
    pub replica_id: String,
    /// The number of partitions that the installation must have, when given.
    pub partitions: Option<PartitionCount>,
    /// The number of partitions of an installation made now, when none is given.
    pub default_partitions: PartitionCount,
    /// Whether a first message makes a room.
    pub auto_create: bool,
    /// No other process shares the broker: partitions are claimed at once.
    pub alone: bool,
    /// gRPC for operators; `None` for none.
    pub admin: Option<AdminOptions>,
    /// What all its rooms may hold in memory beyond what is not stored yet, about, in bytes.
    pub memory_bytes: usize,
    /// What events are stamped with.
    pub wall_clock: WallClock,
}

impl Options {
    /// [`memory_bytes`](Self::memory_bytes) of an ordinary process.
    pub const MEMORY_BYTES: usize = 48 * 1024 * 1024;
}

/// Why the room service ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The admin address cannot be listened on.
    #[error("cannot listen on --admin-listen {address}: {error}; choose another address or port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The installation's value is not as this process needs it.
    #[error("{0}")]
    Installation(String),
    /// A log or store has settings that break a promise.
    #[error("{0}")]
    Settings(String),
    /// The gRPC server failed.
    #[error("the admin server failed: {0}")]
    Admin(String),
}

/// What all parts of a room service share.
pub(crate) struct Shared<B> {
    pub(crate) broker: B,
    pub(crate) subjects: Subjects,
    /// Replica id and a random id of this process.
    pub(crate) me: Arc<str>,
    pub(crate) clock: Clock,
    /// What all rooms may hold in memory beyond what is not stored yet.
    pub(crate) memory_bytes: usize,
    pub(crate) cluster: Cluster,
    pub(crate) directory: Directory,
    /// Turns of partitions that list their rooms.
    pub(crate) listings: Arc<Semaphore>,
    pub(crate) presence: Presence,
    pub(crate) metrics: Metrics,
    installed: OnceLock<(Installation, Arc<Rules>)>,
    /// Why the service is not ready; `None` when it is.
    unready: watch::Sender<Option<String>>,
}

impl<B: Broker> Shared<B> {
    /// The rules. Nothing that needs them runs before the installation is known.
    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.installed().1
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.installed().0
    }

    fn installed(&self) -> &(Installation, Arc<Rules>) {
        self.installed
            .get()
            .unwrap_or_else(|| unreachable!("started before the installation"))
    }

    /// Why the service is not ready; `None` when it is.
    pub(crate) fn unready(&self) -> Option<String> {
        self.unready.borrow().clone()
    }

    /// Follows [`unready`](Self::unready).
    pub(crate) fn watch_unready(&self) -> watch::Receiver<Option<String>> {
        self.unready.subscribe()
    }

    /// Listens to a pattern, however long the broker is away. Cancel-safe.
    pub(crate) async fn subscribe(&self, pattern: &str) -> B::Subscription {
        let mut backoff = Backoff::new();
        loop {
            match self.broker.subscribe(pattern).await {
                Ok(subscription) => return subscription,
                Err(error) => {
                    if backoff.is_first() {
                        warn!(bus.pattern = pattern, error = %error, "cannot subscribe, trying again");
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    /// Sockets in a room now.
    pub(crate) fn online(&self, room: &RoomId) -> u64 {
        self.presence.online(room, None)
    }
}

/// A room service that has its listener and is about to run.
pub struct RoomService<B: Broker> {
    options: Options,
    shared: Arc<Shared<B>>,
    admin: Option<admin::Server>,
}

/// Looks at a running room service.
#[derive(Clone)]
pub struct Handle {
    unready: watch::Receiver<Option<String>>,
}

impl Handle {
    /// Whether admin calls are served and every partition has a living owner.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn readiness(&self) -> Result<(), String> {
        self.unready.borrow().clone().map_or(Ok(()), Err)
    }

    /// Waits until it is ready, or for ever when it ended before. Cancel-safe.
    pub async fn ready(&self) {
        let mut unready = self.unready.clone();
        if unready.wait_for(Option::is_none).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl<B: Broker> RoomService<B> {
    /// Binds the admin listener and registers the metrics; nothing is claimed yet.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn bind(options: Options, broker: B, registry: &mut Registry) -> Result<Self, Error> {
        let admin = match &options.admin {
            Some(admin) => Some(admin::Server::bind(admin.clone()).await?),
            None => None,
        };
        let me: Arc<str> = format!("{}.{:016x}", options.replica_id, rand::random::<u64>()).into();
        let subjects = options.subjects.clone();
        let shared = Arc::new(Shared {
            cluster: Cluster::new(&me, options.alone, options.wall_clock.clone()),
            broker,
            subjects,
            me,
            clock: Clock::start(options.wall_clock.clone()),
            memory_bytes: options.memory_bytes,
            directory: Directory::default(),
            listings: Arc::new(Semaphore::new(LISTINGS_AT_ONCE)),
            presence: Presence::default(),
            metrics: Metrics::register(registry),
            installed: OnceLock::new(),
            unready: watch::Sender::new(Some("starting".to_owned())),
        });
        Ok(Self {
            options,
            shared,
            admin,
        })
    }

    /// Where gRPC listens.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(admin::Server::local_addr)
    }

    /// A handle to look at it while it runs.
    pub fn handle(&self) -> Handle {
        Handle {
            unready: self.shared.unready.subscribe(),
        }
    }

    /// Claims and serves until `shutdown`, then answers what was received, gives its partitions up and
    /// returns. A broker that is away is waited for.
    ///
    /// Not cancel-safe: dropped, it leaves requests without an answer (their gateways retry).
    ///
    /// # Errors
    /// [`Error`], for what does not pass by waiting.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            options,
            shared,
            admin,
        } = self;
        let mut tasks = JoinSet::new();
        // The admin server outlives the owners, so that operators can watch the end.
        let admin_shutdown = CancellationToken::new();
        let admin = admin
            .map(|server| tokio::spawn(server.run(Arc::clone(&shared), admin_shutdown.clone())));
        let partitions = tokio::select! {
            () = shutdown.cancelled() => Vec::new(),
            installed = install(&options, &shared) => installed?,
        };
        if !partitions.is_empty() {
            tasks.spawn(presence::run(Arc::clone(&shared), shutdown.clone()));
            tasks.spawn(installation::run(Arc::clone(&shared), shutdown.clone()));
            tasks.spawn(listing::run(Arc::clone(&shared), shutdown.clone()));
            tasks.spawn(watch_readiness(
                Arc::clone(&shared),
                partitions.clone(),
                shutdown.clone(),
            ));
            tasks.spawn(cluster::run(
                Arc::clone(&shared),
                partitions,
                shutdown.clone(),
            ));
        }
        shutdown.cancelled().await;
        shared
            .unready
            .send_replace(Some("shutting down".to_owned()));
        tasks.join_all().await;
        admin_shutdown.cancel();
        match admin {
            Some(admin) => admin
                .await
                .unwrap_or_else(|error| Err(Error::Admin(error.to_string()))),
            None => Ok(()),
        }
    }
}

/// Makes sure of logs, stores and the installation's value, however long the broker is away; the
/// partitions there are.
async fn install<B: Broker>(
    options: &Options,
    shared: &Shared<B>,
) -> Result<Vec<PartitionId>, Error> {
    let mut backoff = Backoff::new();
    loop {
        match try_install(options, shared).await {
            Ok(partitions) => return Ok(partitions),
            Err(Unknown::Fatal(error)) => return Err(error),
            Err(Unknown::Again(why)) => {
                if backoff.is_first() {
                    warn!(error = why, "the broker does not serve yet, trying again");
                }
                shared
                    .unready
                    .send_replace(Some(format!("the broker does not serve: {why}")));
                backoff.wait().await;
            }
        }
    }
}

async fn try_install<B: Broker>(
    options: &Options,
    shared: &Shared<B>,
) -> Result<Vec<PartitionId>, Unknown> {
    let failed = |error| match error {
        ProvisionError::Settings(why) => Unknown::Fatal(Error::Settings(why)),
        ProvisionError::Unavailable(why) => Unknown::Again(why),
    };
    shared
        .broker
        .provision(&[PartitionId::Meta])
        .await
        .map_err(failed)?;
    let installation = installation::load_or_create(
        &shared.broker,
        options.partitions,
        options.default_partitions,
        shared.clock.now().unix_ms,
    )
    .await?;
    let count = PartitionCount::new(installation.partitions)
        .map_err(|error| Unknown::Fatal(Error::Installation(error.to_string())))?;
    let partitions: Vec<_> = std::iter::once(PartitionId::Meta)
        .chain(count.rooms())
        .collect();
    shared.broker.provision(&partitions).await.map_err(failed)?;
    let rules = Rules {
        limits: options.limits.clone(),
        auto_create: options.auto_create,
        tagger: BodyTagger::new(&installation.tag_key),
        new_rooms: Arc::new(NewRooms::new(options.limits.new_rooms_per_hour)),
    };
    shared
        .installed
        .get_or_init(|| (installation, Arc::new(rules)));
    Ok(partitions)
}

/// Keeps `unready` true.
async fn watch_readiness<B: Broker>(
    shared: Arc<Shared<B>>,
    partitions: Vec<PartitionId>,
    shutdown: CancellationToken,
) {
    let mut changes = shared.cluster.changes();
    // Another replica's silence is no change of ours, so look now and then as well.
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        let owned = i64::try_from(shared.cluster.owned_count()).unwrap_or(i64::MAX);
        shared.metrics.partitions_owned.set(owned);
        let unready = if shared.broker.is_connected() {
            shared.cluster.missing(&partitions)
        } else {
            Some("the broker is away".to_owned())
        };
        shared.unready.send_if_modified(|now| {
            let changed = *now != unready;
            match (&*now, &unready) {
                (None, Some(why)) => warn!(unready.why = why, "room service is not ready any more"),
                (Some(_), None) => info!(partitions.owned = owned, "room service is ready"),
                _ => {}
            }
            *now = unready;
            changed
        });
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = changes.changed() => {}
            _ = tick.tick() => {}
        }
    }
}
