//! The gateway: browsers' sockets on one side, the bus on the other. It serves the pages, opens sockets,
//! knows who listens to which room and passes events on in order. It never decides the order of events,
//! stores nothing, and knows of the broker only [`broker::Bus`].

mod accept;
mod admission;
mod clock;
mod close;
mod drain;
mod http;
mod hub;
mod identity;
mod metrics;
mod outbox;
mod presence;
mod session;
mod shared;
mod sweeper;
#[cfg(test)]
mod testing;
mod upstream;
mod user;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use accept::{Acceptor, Timeouts};
use broker::{Bus, backoff};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

pub use drain::Lifecycle;
use drain::{Departure, Life};
pub use http::origin::{OriginPattern, OriginPatternError};
use http::{Edge, client::TrustedProxies, metrics::EdgeMetrics};
#[cfg(feature = "testing")]
pub use session::socketless::{Browser, Heard, Socketless};
use shared::Shared;

/// How often a gateway that starts looks whether it is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the last messages to the owners of rooms may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a gateway is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where browsers connect to.
    pub listen: SocketAddr,
    /// Names on the bus.
    pub subjects: proto::subject::Subjects,
    /// What browsers may do.
    pub limits: proto::Limits,
    /// Pages of other hosts that may open sockets here.
    pub allowed_origins: Vec<OriginPattern>,
    /// Whose `X-Forwarded-…` headers are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// The time zone of the classic protocol.
    pub time_zone: chrono_tz::Tz,
    /// Whether somebody without a token may come in.
    pub guests: bool,
    /// How to stop.
    pub drain: DrainOptions,
    /// Who this process is on the bus.
    pub gateway_id: String,
}

/// How a gateway stops (DESIGN section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOptions {
    /// From being unready to accepting no more connections: as long as load balancers need to notice.
    pub delay: Duration,
    /// Over which the closing of sockets is spread.
    pub window: Duration,
    /// After the delay, when what is left is cut.
    pub deadline: Duration,
}

/// A gateway does not start or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on. The words name it and say what to do.
    #[error("cannot listen on {address}: {advice}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What is wrong and what helps.
        advice: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part of the gateway ended though nobody had told it to: a fault of ours.
    #[error("the gateway's {part} ended unexpectedly")]
    Ended {
        /// Which part.
        part: &'static str,
        /// How, if it panicked.
        #[source]
        source: Option<tokio::task::JoinError>,
    },
}

/// A gateway that listens. [`run`](Self::run) serves.
pub struct Gateway<B> {
    options: Options,
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared<B>>,
    metrics: EdgeMetrics,
    timeouts: Timeouts,
    handle: Handle,
}

/// What others may ask of a running gateway.
#[derive(Clone)]
pub struct Handle {
    life: Life,
    /// Whether what the gateway needs of others is there; why not, in words.
    needs: Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
}

impl<B: Bus> Gateway<B> {
    /// Binds the socket and registers the metrics. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(options: Options, bus: B, registry: &mut Registry) -> Result<Self, Error> {
        let (listener, local_addr) = accept::listener::bind(options.listen)?;
        let shared = Arc::new(Shared::new(&options, bus, registry));
        let needed = Arc::clone(&shared);
        Ok(Self {
            listener,
            local_addr,
            shared,
            metrics: EdgeMetrics::register(registry),
            timeouts: Timeouts::default(),
            handle: Handle {
                life: Life::register(registry),
                needs: Arc::new(move || needs(&needed)),
            },
            options,
        })
    }

    /// Where it listens; the port is the one the system chose when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// For readiness; outlives the gateway.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is cancelled and everybody has been seen off.
    ///
    /// Not cancel-safe: dropped, it cuts every HTTP connection and leaves sockets to end with the
    /// process.
    ///
    /// # Errors
    /// When a part of it fails, which is a fault of ours.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let life = self.handle.life.clone();
        let stop_accepting = CancellationToken::new();
        let stop_work = CancellationToken::new();
        let connections = TaskTracker::new();
        let departure = Departure {
            options: self.options.drain,
            life: life.clone(),
            shared: Arc::clone(&self.shared),
            stop_accepting: stop_accepting.clone(),
            connections: connections.clone(),
        };
        let edge = Arc::new(Edge {
            shared: Arc::clone(&self.shared),
            proxies: TrustedProxies::new(self.options.trusted_proxies),
            allowed_origins: self.options.allowed_origins,
            metrics: self.metrics.clone(),
        });
        let acceptor = Acceptor {
            listener: self.listener,
            router: http::router(edge),
            metrics: self.metrics,
            timeouts: self.timeouts,
            connections,
        };
        let mut accepting = spawn(acceptor.run(stop_accepting));
        let mut work = spawn(self.shared.run(stop_work.clone()));
        let _becoming_ready = spawn(self.handle.become_ready());
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = &mut accepting => return Err(Error::ended("accept loop", ended)),
            ended = &mut work => return Err(Error::ended("work behind the sockets", ended)),
        }
        departure.run().await;
        stop_work.cancel();
        // It only says goodbye to the owners of rooms, who would notice by themselves.
        let _ = tokio::time::timeout(GOODBYE, work).await;
        life.advance(Lifecycle::Ended);
        Ok(())
    }
}

/// A task that ends with whoever waits for it.
fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

fn needs<B: Bus>(shared: &Shared<B>) -> Result<(), &'static str> {
    if !shared.bus.is_connected() {
        Err("the broker is not connected")
    } else if shared.upstream.partitions().is_none() || !shared.identity.has_key() {
        Err("no room service has answered yet")
    } else {
        Ok(())
    }
}

impl Handle {
    /// Whether browsers should be sent here.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn readiness(&self) -> Result<(), String> {
        match self.life.now() {
            Lifecycle::Starting | Lifecycle::Ready => (self.needs)().map_err(str::to_owned),
            state @ (Lifecycle::Draining | Lifecycle::Ended) => {
                Err(format!("the gateway is {state}"))
            }
        }
    }

    /// Returns when the gateway has become ready for the first time; never, once it was told to stop.
    ///
    /// Cancel-safe.
    pub async fn ready(&self) {
        self.life.ready().await;
    }

    async fn become_ready(self) {
        // Nothing tells when a broker connects; this ends with the first time.
        while (self.needs)().is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.life.advance(Lifecycle::Ready);
    }
}

impl Error {
    fn ended(part: &'static str, how: Result<(), tokio::task::JoinError>) -> Self {
        Self::Ended {
            part,
            source: how.err(),
        }
    }
}
