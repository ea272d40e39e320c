//! The gateway: browsers' sockets on one side, the bus on the other. It serves the pages, opens sockets,
//! knows who listens to which room and passes events on in order. It never decides the order of events,
//! stores nothing, and knows of the broker only [`broker::Bus`].

mod accept;
mod admission;
mod drain;
mod http;
mod identity;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use broker::Bus;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use drain::Life;
pub use drain::Lifecycle;
pub use http::origin::{OriginPattern, OriginPatternError};

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
}

/// A gateway that listens. [`run`](Self::run) serves.
pub struct Gateway<B> {
    bus: B,
    listener: TcpListener,
    local_addr: SocketAddr,
    handle: Handle,
}

/// What others may ask of a running gateway.
#[derive(Clone)]
pub struct Handle {
    life: Life,
    /// Whether what the gateway needs of others is there; why not, in words.
    needs: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl<B: Bus> Gateway<B> {
    /// Binds the socket and registers the metrics. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(options: Options, bus: B, registry: &mut Registry) -> Result<Self, Error> {
        let listener = accept::listener::bind(options.listen)?;
        let local_addr = listener.local_addr().map_err(|source| Error::Listen {
            address: options.listen,
            advice: source.to_string(),
            source,
        })?;
        let lifecycle = drain::LifecycleMetric::default();
        registry.register(
            "parlor_gateway_lifecycle",
            "1 for the state the gateway is in",
            lifecycle.clone(),
        );
        let life = Life::new(lifecycle);
        let needs_bus = bus.clone();
        let handle = Handle {
            life,
            needs: Arc::new(move || {
                if needs_bus.is_connected() {
                    Ok(())
                } else {
                    Err("the broker is not connected".to_owned())
                }
            }),
        };
        Ok(Self {
            bus,
            listener,
            local_addr,
            handle,
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
    /// # Errors
    /// When it can serve no more.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let _ = (&self.bus, &self.listener);
        shutdown.cancelled().await;
        self.handle.life.advance(Lifecycle::Ended);
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
            Lifecycle::Starting | Lifecycle::Ready => (self.needs)(),
            state @ (Lifecycle::Draining | Lifecycle::Ended) => {
                Err(format!("the gateway is {state}"))
            }
        }
    }

    /// Returns when the gateway has become ready for the first time; never, if it is stopped before.
    ///
    /// Cancel-safe.
    pub async fn ready(&self) {
        self.life.ready().await;
    }
}
