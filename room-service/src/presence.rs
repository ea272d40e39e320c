//! How many sockets are in each room, as the gateways last reported: every 10 s, forgotten after 30 s.
//! Exact presence belongs here later.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use broker::{Broker, Delivery, Subscription as _};
use parking_lot::RwLock;
use prost::Message as _;
use proto::{PartitionCount, PartitionId, RoomId, bus::v1::SocketCounts};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::service::Shared;

/// A gateway that is silent for this long has nobody here (DESIGN section 6, Presence).
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// Sockets per room. Every join asks, so the way to a room is by its partition: there are as many reports
/// below it as gateways, not all that there are.
#[derive(Default)]
pub(crate) struct Presence {
    partitions: RwLock<HashMap<PartitionId, ByGateway>>,
    /// Known before the first report is heard.
    count: OnceLock<PartitionCount>,
}

type ByGateway = HashMap<String, Report>;

struct Report {
    at: Instant,
    sockets: HashMap<RoomId, u32>,
}

impl Report {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < SILENT_AFTER
    }
}

impl Presence {
    /// Sockets in a room, those of one gateway left out.
    pub(crate) fn online(&self, room: &RoomId, but: Option<&str>) -> u64 {
        let Some(count) = self.count.get() else {
            return 0;
        };
        let partitions = self.partitions.read();
        let reports = partitions.get(&count.of(room)).into_iter().flatten();
        let fresh =
            reports.filter(|(gateway, report)| but != Some(gateway.as_str()) && report.is_fresh());
        fresh
            .filter_map(|(_, report)| report.sockets.get(room))
            .map(|count| u64::from(*count))
            .sum()
    }

    /// Takes what a gateway reports of a partition, in place of its report before.
    fn report(&self, pp: PartitionId, counts: SocketCounts) {
        let sockets = counts
            .rooms
            .iter()
            .filter_map(|count| Some((RoomId::parse(&count.room).ok()?, count.sockets)))
            .collect();
        let report = Report {
            at: Instant::now(),
            sockets,
        };
        let mut partitions = self.partitions.write();
        let reports = partitions.entry(pp).or_default();
        reports.retain(|_, report| report.is_fresh());
        reports.insert(counts.gateway, report);
    }
}

/// Listens to the gateways' reports until shutdown.
pub(crate) async fn run<B: Broker>(shared: Arc<Shared<B>>, shutdown: CancellationToken) {
    let partitions = PartitionCount::new(shared.installation().partitions);
    if let Ok(partitions) = partitions {
        shared.presence.count.get_or_init(|| partitions);
    }
    let listen = async {
        let mut reports = shared.subscribe(&shared.subjects.presence_all()).await;
        while let Some(delivery) = reports.next().await {
            let Delivery::Message(message) = delivery else {
                continue;
            };
            let partition = message.subject.rsplit('.').next().unwrap_or_default();
            let counts = SocketCounts::decode(message.payload.clone());
            if let (Ok(pp), Ok(counts)) = (partition.parse(), counts) {
                shared.presence.report(pp, counts);
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = listen => {}
    }
}

#[cfg(test)]
mod tests {
    use proto::bus::v1::RoomCount;

    use super::*;

    fn presence() -> (Presence, RoomId, PartitionId) {
        let presence = Presence::default();
        let count = PartitionCount::new(4).unwrap();
        presence.count.set(count).unwrap();
        let room = RoomId::parse("lobby").unwrap();
        let pp = count.of(&room);
        (presence, room, pp)
    }

    fn counts(gateway: &str, sockets: u32) -> SocketCounts {
        SocketCounts {
            gateway: gateway.to_owned(),
            rooms: vec![RoomCount {
                room: "lobby".to_owned(),
                sockets,
            }],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gateways_add_up_until_they_are_silent() {
        let (presence, room, pp) = presence();
        presence.report(pp, counts("a", 2));
        presence.report(pp, counts("b", 3));
        presence.report(pp, counts("a", 4));
        assert_eq!(presence.online(&room, None), 7);
        assert_eq!(presence.online(&room, Some("b")), 4);
        tokio::time::advance(SILENT_AFTER / 2).await;
        presence.report(pp, counts("b", 1));
        tokio::time::advance(SILENT_AFTER / 2).await;
        assert_eq!(presence.online(&room, None), 1);
    }

    #[tokio::test]
    async fn a_report_counts_for_the_rooms_of_its_partition_only() {
        let (presence, room, pp) = presence();
        let other = if pp == PartitionId::Rooms(0) { 1 } else { 0 };
        presence.report(PartitionId::Rooms(other), counts("a", 2));
        assert_eq!(presence.online(&room, None), 0);
    }
}
