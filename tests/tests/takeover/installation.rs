//! Several room services and two gateways on one NATS, and who owns what there.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use broker::{
    Bus as _, RequestError,
    nats::{Nats, Options},
    testing::NatsServer,
};
use bytes::Bytes;
use nix::sys::signal::Signal;
use prost::Message as _;
use proto::{PartitionCount, PartitionId, RoomId, bus::v1::Announcement, subject::Subjects};
use tests::{Parlor, eventually};
use tokio::sync::{Mutex, MutexGuard};

use super::spy::Spy;

/// How long an owner has to say that it is one.
const WHO_WITHIN: Duration = Duration::from_millis(200);

/// These tests measure, so they run one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// A running installation with four partitions.
pub(crate) struct Installation {
    services: BTreeMap<String, Parlor>,
    pub(crate) gateways: Vec<SocketAddr>,
    bus: Nats,
    _gateways: Vec<Parlor>,
    nats: NatsServer,
    _turn: MutexGuard<'static, ()>,
}

/// The partitions of rooms.
pub(crate) fn count() -> PartitionCount {
    PartitionCount::new(4).unwrap()
}

impl Installation {
    /// Starts it with room services of these replica ids, and waits until each owns its share.
    pub(crate) async fn start(names: &[&str]) -> Self {
        let turn = TURN.lock().await;
        let nats = NatsServer::start().await;
        let started = [0, 1].map(|_| Parlor::gateway(&nats.url(), &["--limits", "off"]));
        let options = Options {
            url: nats.url(),
            creds: None,
            subjects: Subjects::default(),
            role: "room-service".to_owned(),
            replicas: 1,
        };
        let bus = Nats::connect(options).await.unwrap();
        let mut installation = Self {
            services: BTreeMap::new(),
            gateways: Vec::new(),
            bus,
            _gateways: Vec::new(),
            nats,
            _turn: turn,
        };
        for name in names {
            installation.add(name).await;
        }
        for gateway in started {
            gateway.ready().await;
            installation.gateways.push(gateway.address("http").await);
            installation._gateways.push(gateway);
        }
        eventually("every replica owns something", || async {
            let owners = installation.owners().await?;
            let owns = |name: &&str| owners.values().any(|owner| owner == name);
            names.iter().all(owns).then_some(())
        })
        .await;
        installation
    }

    /// Starts one more room service.
    pub(crate) async fn add(&mut self, name: &str) {
        let service = self.service(name);
        service.ready().await;
        self.services.insert(name.to_owned(), service);
    }

    /// A room service of this replica id, not awaited.
    pub(crate) fn service(&self, name: &str) -> Parlor {
        let args = ["--limits", "off", "--replica-id", name];
        Parlor::room_service(&self.nats.url(), &args)
    }

    /// The replica ids of the owners; `None` while a partition has none.
    pub(crate) async fn owners(&self) -> Option<BTreeMap<PartitionId, String>> {
        let mut owners = BTreeMap::new();
        for pp in count().rooms() {
            let (replica, _) = self.owner(pp).await?;
            owners.insert(pp, replica);
        }
        Some(owners)
    }

    async fn owner(&self, pp: PartitionId) -> Option<(String, u64)> {
        let subject = Subjects::default().who(pp);
        let asked = self.bus.request(&subject, Bytes::new(), None, WHO_WITHIN);
        let said = Announcement::decode(asked.await.ok()?).ok()?;
        let replica = said.owner.rsplit_once('.')?.0.to_owned();
        Some((replica, said.partitions.first()?.epoch))
    }

    /// The replica that owns most partitions.
    pub(crate) async fn busiest(&self) -> String {
        let owners = eventually("every partition has an owner", || self.owners()).await;
        let owned = |name: &&String| owners.values().filter(|owner| owner == name).count();
        self.services.keys().max_by_key(owned).unwrap().clone()
    }

    /// The partitions that a replica owns, and under which epochs.
    pub(crate) async fn owned_by(&self, name: &str) -> Vec<(PartitionId, u64)> {
        let mut owned = Vec::new();
        for pp in count().rooms() {
            let owner = eventually("the partition has an owner", || self.owner(pp)).await;
            if owner.0 == name {
                owned.push((pp, owner.1));
            }
        }
        owned
    }

    /// kill -9; how many partitions it owned.
    pub(crate) async fn kill(&mut self, name: &str) -> usize {
        let owned = self.owned_by(name).await.len();
        self.services.remove(name).unwrap().kill().await;
        owned
    }

    /// SIGTERM, and its end; how many partitions it owned.
    pub(crate) async fn terminate(&mut self, name: &str) -> usize {
        let owned = self.owned_by(name).await.len();
        let status = self.services.remove(name).unwrap().terminate().await;
        assert!(status.success(), "{status}");
        owned
    }

    /// Where its NATS is.
    pub(crate) fn url(&self) -> String {
        self.nats.url()
    }

    /// Asks whoever listens to a subject.
    pub(crate) async fn ask(
        &self,
        subject: &str,
        payload: Bytes,
        within: Duration,
    ) -> Result<Bytes, RequestError> {
        self.bus.request(subject, payload, None, within).await
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self, name: &str) {
        self.services[name].signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self, name: &str) {
        self.services[name].signal(Signal::SIGCONT);
    }

    /// Sees all requests to a replica as long as it lives.
    pub(crate) async fn spy(&self, name: &str) -> Spy {
        Spy::on(&self.bus, &self.owned_by(name).await).await
    }
}

/// Rooms, two of each partition.
pub(crate) fn rooms() -> Vec<String> {
    let mut rooms = Vec::new();
    for pp in count().rooms() {
        let of_pp = |name: &String| count().of(&RoomId::parse(name).unwrap()) == pp;
        let names = (0..).map(|n| format!("hall-{n}")).filter(of_pp);
        rooms.extend(names.take(2));
    }
    rooms
}
