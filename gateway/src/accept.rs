//! Connections as they come in: accepted, bounded in time and number while they speak HTTP, and seen off
//! at the end. A connection that becomes a socket leaves this module with its upgrade.

mod connection;
pub(crate) mod listener;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::http::{Remote, metrics::EdgeMetrics};
use connection::Connection;
pub(crate) use connection::Timeouts;

/// Connections that may speak HTTP at once. Above it they wait in the system's backlog: each of these is
/// done or cut within seconds, and a storm of reconnects is taken in at the pace we can shake hands.
const MAX_HTTP: usize = 4_096;

/// Pauses after accepts that failed for lack of something; doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// At the limit, accepts fail and succeed by turns; it is said once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Accepts until told to stop.
pub(crate) struct Acceptor {
    pub(crate) listener: TcpListener,
    pub(crate) router: Router,
    pub(crate) metrics: EdgeMetrics,
    pub(crate) timeouts: Timeouts,
    /// The connections that speak HTTP.
    pub(crate) connections: TaskTracker,
}

impl Acceptor {
    /// Accepts until `stop`, which also ends HTTP on every connection: what was asked is answered.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(MAX_HTTP));
        let mut failures = Failures::default();
        while let Some((permit, accepted)) = self.next(&permits, &stop).await {
            match accepted {
                Ok((stream, remote)) => {
                    failures.over();
                    self.metrics.accepted.inc();
                    self.spawn(stream, Remote(remote), permit, stop.clone());
                }
                Err(error) => {
                    self.metrics.accept_errors.inc();
                    if let Some(pause) = failures.pause(&error, Instant::now()) {
                        // The end of it all is seen right after.
                        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                    }
                }
            }
        }
        self.connections.close();
    }

    /// The next connection; `None` when it is time to stop.
    async fn next(
        &self,
        permits: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Option<(OwnedSemaphorePermit, io::Result<(TcpStream, SocketAddr)>)> {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(permits).acquire_owned().await.ok()?;
            Some((permit, self.listener.accept().await))
        };
        stop.run_until_cancelled(next).await.flatten()
    }

    fn spawn(
        &self,
        stream: TcpStream,
        remote: Remote,
        permit: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) {
        let connection = Connection {
            stream,
            remote,
            router: self.router.clone(),
            timeouts: self.timeouts,
        };
        let slot = Slot::new(permit, self.metrics.http_connections.clone());
        self.connections.spawn(async move {
            connection.serve(stop).await;
            drop(slot);
        });
    }
}

/// What a connection takes up as long as it speaks HTTP, however it ends.
struct Slot {
    connections: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(permit: OwnedSemaphorePermit, connections: Gauge) -> Self {
        connections.inc();
        Self {
            connections,
            _permit: permit,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

/// Accepts that failed in a row.
#[derive(Default)]
struct Failures {
    pause: Option<Duration>,
    said: Option<Instant>,
}

impl Failures {
    /// How long to pause after this failure; `None` when it was only that one connection's.
    fn pause(&mut self, error: &io::Error, now: Instant) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return None;
        }
        // Out of descriptors or memory: it lasts, or comes and goes.
        if self.said.is_none_or(|said| now - said >= SAY_AGAIN) {
            self.said = Some(now);
            tracing::error!(%error, "connections cannot be accepted; they wait");
        }
        let pause = self
            .pause
            .map_or(FIRST_PAUSE, |pause| (pause * 2).min(LAST_PAUSE));
        self.pause = Some(pause);
        Some(pause)
    }

    fn over(&mut self) {
        self.pause = None;
    }
}

#[cfg(test)]
mod tests;
