//! Everything a browser needs, on either broker: so that one test holds for both.

use std::net::SocketAddr;

use broker::testing::NatsServer;
use tempfile::TempDir;

use crate::Parlor;

/// A running installation; ended when dropped.
pub struct Installation {
    /// Where browsers connect.
    pub gateway: SocketAddr,
    processes: Vec<Parlor>,
    dir: TempDir,
    more: Vec<&'static str>,
    /// `None` when the broker is embedded.
    nats: Option<NatsServer>,
}

impl Installation {
    /// One process with the embedded broker; `more` flags.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn embedded(more: &[&'static str]) -> Self {
        Self::start(more, None).await
    }

    /// A gateway and a room service on a real nats-server; both have the `more` flags.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn on_nats(more: &[&'static str]) -> Self {
        Self::start(more, Some(NatsServer::start().await)).await
    }

    /// kill -9 of everything but the broker's server, and a new start.
    ///
    /// # Panics
    /// When it does not come back.
    pub async fn restart(self) -> Self {
        for process in self.processes {
            process.kill().await;
        }
        Self::run(self.dir, self.more, self.nats).await
    }

    async fn start(more: &[&'static str], nats: Option<NatsServer>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self::run(dir, more.to_vec(), nats).await
    }

    async fn run(dir: TempDir, more: Vec<&'static str>, nats: Option<NatsServer>) -> Self {
        let processes = match &nats {
            None => vec![Parlor::serve(dir.path(), &more).await],
            Some(nats) => {
                let service = Parlor::room_service(&nats.url(), &more);
                let gateway = Parlor::gateway(&nats.url(), &more);
                service.ready().await;
                gateway.ready().await;
                vec![gateway, service]
            }
        };
        Self {
            gateway: processes[0].address("http").await,
            processes,
            dir,
            more,
            nats,
        }
    }
}
