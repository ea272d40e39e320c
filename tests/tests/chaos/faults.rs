//! What is done to the processes, one fault after the other.

use std::time::Duration;

use nix::sys::signal::Signal;
use rand::{RngExt as _, rngs::StdRng};

use super::{
    cluster::Cluster,
    load::{LIVING, Load},
};

/// How long something is stopped that is missed: short of what others take for its end.
const PAUSE: Duration = Duration::from_secs(2);

/// A fault, and the end of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    KillService,
    RestartService,
    FreezeService,
    KillServices,
    DoubleReplicaId,
    KillGateway,
    FreezeGateway,
    RollGateways,
    KillNats,
    FreezeNats,
    KillLeader,
    RollServers,
    CutServerOff,
}

impl Fault {
    /// Of three servers.
    pub(crate) const OF_THREE: [Self; 3] =
        [Self::KillLeader, Self::RollServers, Self::CutServerOff];
    /// With one server.
    pub(crate) const WITH_ONE: [Self; 10] = [
        Self::KillService,
        Self::RestartService,
        Self::FreezeService,
        Self::KillServices,
        Self::DoubleReplicaId,
        Self::KillGateway,
        Self::FreezeGateway,
        Self::RollGateways,
        Self::KillNats,
        Self::FreezeNats,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::KillService => "kill -9 of a room service",
            Self::RestartService => "restart of a room service",
            Self::FreezeService => "room service asleep past its death",
            Self::KillServices => "kill -9 of all room services",
            Self::DoubleReplicaId => "replica id doubled",
            Self::KillGateway => "kill -9 of a gateway",
            Self::FreezeGateway => "gateway stopped for 2 s",
            Self::RollGateways => "restart of each gateway in turn",
            Self::KillNats => "kill -9 of nats-server",
            Self::FreezeNats => "nats-server stopped for 2 s",
            Self::KillLeader => "kill -9 of the leader of a log",
            Self::RollServers => "restart of each nats-server in turn",
            Self::CutServerOff => "one nats-server cut off",
        }
    }

    /// Does it, and undoes it.
    pub(crate) async fn inflict(self, cluster: &mut Cluster, load: &mut Load, rng: &mut StdRng) {
        load.begin(self.name());
        let names = cluster.names();
        let name = names[rng.random_range(..names.len())];
        match self {
            Self::KillService => cluster.kill_service(name).await,
            Self::RestartService => cluster.restart_service(name).await,
            Self::FreezeService => {
                cluster.freeze_service(name).await;
                load.goes_on().await;
                cluster.thaw_service(name).await;
            }
            Self::KillServices => cluster.kill_services().await,
            Self::DoubleReplicaId => {
                let twin = cluster.service(name);
                let told = |line: &str| line.contains("replica ids doubled");
                twin.line("replica ids doubled", told).await;
                load.goes_on().await;
                assert!(twin.terminate().await.success());
            }
            Self::KillGateway => {
                let mortal = LIVING..cluster.addresses().len();
                cluster.kill_gateway(rng.random_range(mortal)).await;
            }
            Self::RollGateways => {
                for at in 0..cluster.addresses().len() {
                    cluster.restart_gateway(at).await;
                }
            }
            Self::FreezeGateway => {
                let at = rng.random_range(0..LIVING);
                cluster.signal_gateway(at, Signal::SIGSTOP);
                tokio::time::sleep(PAUSE).await;
                cluster.signal_gateway(at, Signal::SIGCONT);
            }
            Self::KillNats => cluster.servers[0].restart().await,
            Self::FreezeNats => {
                cluster.servers[0].pause();
                tokio::time::sleep(PAUSE).await;
                cluster.servers[0].resume();
            }
            Self::KillLeader => {
                let at = cluster.leader_of_some(rng).await;
                cluster.servers[at].kill().await;
                load.goes_on().await;
                cluster.servers[at].restart().await;
                cluster.is_whole().await;
            }
            Self::RollServers => {
                for at in 0..cluster.servers.len() {
                    cluster.servers[at].stop().await;
                    cluster.servers[at].restart().await;
                    cluster.is_whole().await;
                }
            }
            Self::CutServerOff => {
                let at = cluster.leader_of_some(rng).await;
                cluster.servers[at].pause();
                load.goes_on().await;
                cluster.servers[at].resume();
                cluster.is_whole().await;
            }
        }
        load.is_over().await;
    }
}
