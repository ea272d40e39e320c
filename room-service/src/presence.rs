//! How many sockets are in each room, as the gateways last reported: every 10 s, forgotten after 30 s.
//! Exact presence belongs here later.

use std::{collections::HashMap, sync::Arc, time::Duration};

use broker::{Broker, Delivery, Subscription as _};
use parking_lot::Mutex;
use prost::Message as _;
use proto::{RoomId, bus::v1::SocketCounts};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::service::Shared;

/// A gateway that is silent for this long has nobody here (DESIGN section 6, Presence).
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// Sockets per room, by gateway and partition.
#[derive(Default)]
pub(crate) struct Presence {
    reports: Mutex<HashMap<(String, String), Report>>,
}

struct Report {
    at: Instant,
    sockets: HashMap<RoomId, u32>,
}

impl Presence {
    /// Sockets in a room, those of one gateway left out.
    pub(crate) fn online(&self, room: &RoomId, but: Option<&str>) -> u64 {
        let reports = self.reports.lock();
        let fresh = reports.iter().filter(|((gateway, _), report)| {
            but != Some(gateway.as_str()) && report.at.elapsed() < SILENT_AFTER
        });
        fresh
            .filter_map(|(_, report)| report.sockets.get(room))
            .map(|count| u64::from(*count))
            .sum()
    }

    /// Takes what a gateway reports of a partition, in place of its report before.
    fn report(&self, partition: &str, counts: SocketCounts) {
        let sockets = counts
            .rooms
            .iter()
            .filter_map(|count| Some((RoomId::parse(&count.room).ok()?, count.sockets)))
            .collect();
        let mut reports = self.reports.lock();
        reports.retain(|_, report| report.at.elapsed() < SILENT_AFTER);
        let report = Report {
            at: Instant::now(),
            sockets,
        };
        reports.insert((counts.gateway, partition.to_owned()), report);
    }
}

/// Listens to the gateways' reports until shutdown.
pub(crate) async fn run<B: Broker>(shared: Arc<Shared<B>>, shutdown: CancellationToken) {
    let listen = async {
        let mut reports = shared.subscribe(&shared.subjects.presence_all()).await;
        while let Some(delivery) = reports.next().await {
            let Delivery::Message(message) = delivery else {
                continue;
            };
            let partition = message.subject.rsplit('.').next().unwrap_or_default();
            if let Ok(counts) = SocketCounts::decode(message.payload.clone()) {
                shared.presence.report(partition, counts);
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = listen => {}
    }
}
