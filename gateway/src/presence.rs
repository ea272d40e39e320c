//! Tells the owners how many sockets are in each room: every 10 s, and soon after somebody came into a
//! room where nobody was. Exact presence, of users, comes later.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use broker::Bus;
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::{RoomCount, SocketCounts},
};
use tokio::{sync::Notify, time::Instant};
use tracing::debug;

use crate::shared::Shared;

/// How often everything is told.
const EVERY: Duration = Duration::from_secs(10);
/// What changed is gathered this long before it is told.
const GATHER: Duration = Duration::from_millis(500);

/// Which partitions have news.
#[derive(Default)]
pub(crate) struct Presence {
    changed: Mutex<BTreeSet<PartitionId>>,
    /// Partitions whose owners believe that somebody is here.
    told: Mutex<BTreeSet<PartitionId>>,
    news: Notify,
}

impl Presence {
    /// A room of this partition has its first member here.
    pub(crate) fn changed(&self, pp: PartitionId) {
        if self.changed.lock().insert(pp) {
            self.news.notify_one();
        }
    }
}

/// Reports for as long as it is polled.
pub(crate) async fn run<B: Bus>(shared: Arc<Shared<B>>) {
    let mut next = Instant::now() + EVERY;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {
                next = Instant::now() + EVERY;
                shared.presence.changed.lock().clear();
                report(&shared, |_| true).await;
            }
            () = shared.presence.news.notified() => {
                tokio::time::sleep(GATHER).await;
                let changed = std::mem::take(&mut *shared.presence.changed.lock());
                report(&shared, |pp| changed.contains(&pp)).await;
            }
        }
    }
}

/// Tells the owners that nobody is here any more.
pub(crate) async fn leave<B: Bus>(shared: &Shared<B>) {
    let told = std::mem::take(&mut *shared.presence.told.lock());
    for pp in told {
        tell(shared, pp, Vec::new()).await;
    }
}

async fn report<B: Bus>(shared: &Shared<B>, wanted: impl Fn(PartitionId) -> bool) {
    let mut rooms: BTreeMap<PartitionId, Vec<RoomCount>> = BTreeMap::new();
    for count in shared.hub.counts() {
        rooms.entry(count.pp).or_default().push(RoomCount {
            room: count.room.to_string(),
            sockets: count.sockets,
        });
    }
    let before = shared.presence.told.lock().clone();
    let all: BTreeSet<PartitionId> = rooms.keys().copied().chain(before).collect();
    for pp in all.into_iter().filter(|pp| wanted(*pp)) {
        let rooms = rooms.remove(&pp).unwrap_or_default();
        let is_empty = rooms.is_empty();
        let sent = tell(shared, pp, rooms).await;
        let mut told = shared.presence.told.lock();
        if sent && is_empty {
            told.remove(&pp);
        } else {
            told.insert(pp);
        }
    }
}

/// Whether it was sent.
async fn tell<B: Bus>(shared: &Shared<B>, pp: PartitionId, rooms: Vec<RoomCount>) -> bool {
    let counts = SocketCounts {
        gateway: shared.me.to_string(),
        rooms,
    };
    let payload = counts.encode_to_vec().into();
    let subject = shared.subjects.presence(pp);
    match shared.bus.publish(&subject, payload, None).await {
        Ok(()) => true,
        Err(error) => {
            debug!(partition.id = %pp, error = %error, "socket counts were not sent");
            false
        }
    }
}
