//! Learns what the installation is (partition count, key of guest tokens) and listens to owners.

use std::{sync::Arc, time::Duration};

use broker::{Bus, Delivery, Subscription as _};
use bytes::Bytes;
use prost::Message as _;
use proto::{
    PartitionCount,
    bus::v1::{Announcement, Meta},
};
use tracing::{debug, error, info, warn};

use super::Routes;
use crate::{backoff::Backoff, shared::Shared};

/// How long the room service has to answer.
const META_DEADLINE: Duration = Duration::from_millis(500);

/// Asks until the installation is known, then follows its changes. Ends when the bus is closed.
pub(crate) async fn run<B: Bus>(shared: Arc<Shared<B>>) {
    let upstream = &shared.upstream;
    let pattern = upstream.subjects.meta();
    let mut changes = shared.subscribe(&pattern).await;
    ask(&shared).await;
    while let Some(delivery) = changes.next().await {
        match delivery {
            Delivery::Message(message) => learn(&shared, message.payload),
            Delivery::Lost => ask(&shared).await,
        }
    }
}

/// Follows the announcements of owners. Ends when the bus is closed.
pub(crate) async fn run_routes<B: Bus>(shared: Arc<Shared<B>>) {
    let upstream = &shared.upstream;
    let mut heard = shared.subscribe(&upstream.subjects.owners()).await;
    while let Some(delivery) = heard.next().await {
        let Delivery::Message(message) = delivery else {
            // They are repeated all the time.
            continue;
        };
        if let (Some(routes), Ok(announcement)) =
            (upstream.routes.get(), Announcement::decode(message.payload))
        {
            routes.announced(&announcement);
        }
    }
}

async fn ask<B: Bus>(shared: &Shared<B>) {
    let upstream = &shared.upstream;
    let subject = upstream.subjects.meta_get();
    let mut backoff = Backoff::between(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        let asked = upstream
            .bus
            .request(&subject, Bytes::new(), None, META_DEADLINE)
            .await;
        match asked {
            Ok(meta) => {
                learn(shared, meta);
                if upstream.partitions().is_some() {
                    return;
                }
            }
            Err(error) if backoff.is_first() => {
                info!(error = %error, "waiting for the room service");
            }
            Err(error) => debug!(error = %error, "the room service does not answer yet"),
        }
        backoff.wait().await;
    }
}

fn learn<B: Bus>(shared: &Shared<B>, meta: Bytes) {
    let upstream = &shared.upstream;
    let meta = match Meta::decode(meta) {
        Ok(meta) => meta,
        Err(error) => {
            warn!(error = %error, "what the room service says of the installation is unreadable");
            return;
        }
    };
    let count = match PartitionCount::new(meta.partitions) {
        Ok(count) => count,
        Err(error) => {
            warn!(error = %error, "the installation's partition count is wrong");
            return;
        }
    };
    match upstream.partitions() {
        Some(known) if known != count => {
            // It is fixed for good; another number is another installation on the same broker.
            error!(
                partition.count = known.get(),
                partition.count_announced = count.get(),
                "the room service is of another installation: restart this gateway"
            );
            return;
        }
        Some(_) => {}
        None => info!(partition.count = count.get(), "the installation is known"),
    }
    shared.identity.set_key(&meta.guest_key);
    upstream.routes.get_or_init(|| Routes::new(count));
    upstream
        .installation
        .send_if_modified(|known| known.replace(count) != Some(count));
}
