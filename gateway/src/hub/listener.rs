//! The one task of a room: its subscription, for as long as somebody is in the room and 30 s more.

use std::{sync::Arc, time::Duration};

use broker::{Bus, Delivery, Message, Subscription as _};
use prost::Message as _;
use proto::bus::v1::Fanout;
use tokio::time::Instant;
use tracing::{trace_span, warn};

use super::Room;
use crate::shared::Shared;

/// A room stays subscribed this long after its last member left: people reload pages.
const LINGER: Duration = Duration::from_secs(30);

/// Listens until the room is given up or the bus is closed.
pub(super) async fn run<B: Bus>(room: Arc<Room>, shared: Arc<Shared<B>>) {
    let pattern = shared.subjects.outbound(room.pp(), room.id());
    let mut subscription = shared.subscribe(&pattern).await;
    room.is_listening();
    loop {
        let give_up_at = room.is_idle().then(|| Instant::now() + LINGER);
        let gone = tokio::select! {
            gone = follow(&room, &shared, &mut subscription) => gone,
            () = room.changed() => false,
            () = at(give_up_at) => shared.hub.give_up_if_idle(&room),
        };
        if gone {
            break;
        }
    }
    shared.metrics.hub_rooms.dec();
}

/// Takes one delivery after another; `true` at the end of the subscription. Cancel-safe: a delivery is
/// taken whole before the next wait.
async fn follow<B: Bus>(
    room: &Arc<Room>,
    shared: &Arc<Shared<B>>,
    subscription: &mut B::Subscription,
) -> bool {
    while let Some(delivery) = subscription.next().await {
        match delivery {
            Delivery::Message(message) => take(room, shared, &message),
            Delivery::Lost => room.lost(shared),
        }
    }
    true
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn take<B: Bus>(room: &Arc<Room>, shared: &Arc<Shared<B>>, message: &Message) {
    match Fanout::decode(message.payload.clone()) {
        Ok(fanout) if fanout.room == room.id().as_str() => {
            let span = match &message.traceparent {
                Some(_) => trace_span!(
                    target: broker::trace::TARGET,
                    parent: None,
                    "parlor.gateway.fanout",
                    otel.kind = "consumer",
                    parlor.events = fanout.events.len(),
                ),
                None => tracing::Span::none(),
            };
            broker::trace::set_parent(&span, message.traceparent.as_deref());
            span.in_scope(|| room.fanout(shared, fanout));
        }
        Ok(_) => warn!(bus.subject = message.subject, "fan-out of another room"),
        Err(error) => {
            warn!(bus.subject = message.subject, error = %error, "fan-out could not be decoded");
            // Whatever it said is missing now.
            room.lost(shared);
        }
    }
}
