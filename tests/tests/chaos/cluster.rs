//! Three room services and three gateways on one nats-server or three: each can be killed, stopped and put to
//! sleep, and comes back where it was.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use broker::testing::NatsServer;
use nix::sys::signal::Signal;
use rand::{RngExt as _, rngs::StdRng};
use tempfile::TempDir;
use tests::{
    Parlor,
    nats::{self, Streams},
};

/// Replica ids by which each of the three owns at least one of four partitions.
const REPLICAS: [&str; 3] = ["red", "green", "blue"];
const GATEWAYS: usize = 3;

/// A running installation with four partitions.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<NatsServer>,
    /// The streams of the partitions.
    streams: Streams,
    url: String,
    services: BTreeMap<&'static str, Parlor>,
    gateways: Vec<Gateway>,
    flags: Flags,
    /// Of the credentials.
    _dir: TempDir,
}

/// A gateway, and where it listens, also after a new start.
struct Gateway {
    process: Parlor,
    address: SocketAddr,
}

#[derive(Default)]
struct Flags {
    service: Vec<String>,
    gateway: Vec<String>,
}

impl Flags {
    /// The credentials of room services.
    fn creds(&self) -> Option<PathBuf> {
        let at = self.service.iter().position(|flag| flag == "--nats-creds");
        at.map(|at| self.service[at + 1].clone().into())
    }
}

fn more(flags: &mut Vec<String>, more: &str) {
    flags.extend(more.split(' ').map(str::to_owned));
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

impl Cluster {
    /// On one server.
    pub(crate) async fn on_one() -> Self {
        let server = NatsServer::start().await;
        let url = server.url();
        let dir = tempfile::tempdir().unwrap();
        Self::start(dir, vec![server], url, Flags::default()).await
    }

    /// On three servers, which keep three copies of everything.
    pub(crate) async fn on_three() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (servers, url) = nats::cluster(dir.path()).await;
        let file = |user, password| nats::credentials(dir.path(), user, password);
        let creds = "--nats-creds".to_owned();
        let service = file("room-service", nats::ROOM_SERVICE);
        let gateway = file("gateway", nats::GATEWAY);
        let mut flags = Flags {
            service: vec![creds.clone(), service],
            gateway: vec![creds, gateway],
        };
        more(&mut flags.service, "--nats-replicas 3");
        Self::start(dir, servers, url, flags).await
    }

    async fn start(dir: TempDir, servers: Vec<NatsServer>, url: String, mut flags: Flags) -> Self {
        more(&mut flags.service, "--limits off");
        // So few that whoever is away for some seconds meets a gap.
        let few = "--limits off --limit-catch-up 60 --limit-history 20 --drain-window 1s";
        more(&mut flags.gateway, few);
        let mut cluster = Self {
            servers,
            streams: Streams::at(&url, flags.creds()).await,
            url,
            services: BTreeMap::new(),
            gateways: Vec::new(),
            flags,
            _dir: dir,
        };
        for name in REPLICAS {
            let service = cluster.service(name);
            cluster.services.insert(name, service);
        }
        for service in cluster.services.values() {
            service.ready().await;
        }
        for _ in 0..GATEWAYS {
            let process = Parlor::gateway(&cluster.url, &words(&cluster.flags.gateway));
            process.ready().await;
            let address = process.address("http").await;
            cluster.gateways.push(Gateway { process, address });
        }
        cluster
    }

    /// A room service of this replica id, not awaited.
    pub(crate) fn service(&self, name: &str) -> Parlor {
        let mut flags = words(&self.flags.service);
        flags.extend(["--replica-id", name]);
        Parlor::room_service(&self.url, &flags)
    }

    /// The names of the room services.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.services.keys().copied().collect()
    }

    /// Where browsers connect.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways
            .iter()
            .map(|gateway| gateway.address)
            .collect()
    }

    /// The server that leads the log of some partition.
    pub(crate) async fn leader_of_some(&self, rng: &mut StdRng) -> usize {
        let log = format!("PARLOR_LOG_{}", rng.random_range(0..4));
        let leader = self.streams.leader(&log).await;
        leader.trim_start_matches('n').parse().unwrap()
    }

    /// Waits until each of three servers has everything.
    pub(crate) async fn is_whole(&self) {
        for kind in ["LOG", "ROOM"] {
            let streams = ["meta", "0", "1", "2", "3"].map(|pp| format!("PARLOR_{kind}_{pp}"));
            self.streams.are_whole(&streams).await;
        }
    }

    /// kill -9 of a room service, and a new start.
    pub(crate) async fn kill_service(&mut self, name: &'static str) {
        self.services.remove(name).unwrap().kill().await;
        self.add(name).await;
    }

    /// kill -9 of all room services before any of them starts again.
    pub(crate) async fn kill_services(&mut self) {
        for service in std::mem::take(&mut self.services).into_values() {
            service.kill().await;
        }
        for name in REPLICAS {
            self.add(name).await;
        }
    }

    /// SIGTERM of a room service, its end, and a new start.
    pub(crate) async fn restart_service(&mut self, name: &'static str) {
        let status = self.services.remove(name).unwrap().terminate().await;
        assert!(status.success(), "{status}");
        self.add(name).await;
    }

    async fn add(&mut self, name: &'static str) {
        let service = self.service(name);
        service.ready().await;
        self.services.insert(name, service);
    }

    /// SIGSTOP of a room service until every other one has taken it for dead.
    pub(crate) async fn freeze_service(&self, name: &str) {
        let others = self.services.iter().filter(|(other, _)| **other != name);
        let others: Vec<_> = others
            .map(|(_, service)| (service, service.stderr().len()))
            .collect();
        self.services[name].signal(Signal::SIGSTOP);
        let dead = format!("replica.process={name}");
        for (other, seen) in others {
            other
                .line_after(seen, "replica is dead", |line| {
                    line.contains("replica is dead") && line.contains(&dead)
                })
                .await;
        }
    }

    /// SIGCONT, and that it has noticed.
    pub(crate) async fn thaw_service(&self, name: &str) {
        let service = &self.services[name];
        let seen = service.stderr().len();
        service.signal(Signal::SIGCONT);
        let noticed = |line: &str| line.contains("did not run for a while");
        service.line_after(seen, "it slept", noticed).await;
    }

    /// kill -9 of a gateway, and a new start.
    pub(crate) async fn kill_gateway(&mut self, at: usize) {
        let gateway = self.gateways.remove(at);
        gateway.process.kill().await;
        self.listen_again(at, gateway.address).await;
    }

    /// Sends a signal to a gateway.
    pub(crate) fn signal_gateway(&self, at: usize, signal: Signal) {
        self.gateways[at].process.signal(signal);
    }

    /// SIGTERM of a gateway, its end, and a new start.
    pub(crate) async fn restart_gateway(&mut self, at: usize) {
        let gateway = self.gateways.remove(at);
        let status = gateway.process.terminate().await;
        assert!(status.success(), "{status}");
        self.listen_again(at, gateway.address).await;
    }

    async fn listen_again(&mut self, at: usize, address: SocketAddr) {
        let listen = address.to_string();
        let mut args = vec!["gateway", "--nats", &self.url, "--listen", &listen];
        args.extend(["--metrics-listen", "off"]);
        args.extend(words(&self.flags.gateway));
        let process = Parlor::spawn(&args, &[]);
        process.ready().await;
        self.gateways.insert(at, Gateway { process, address });
    }
}
