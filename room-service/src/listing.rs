//! Answers other replicas that list rooms, for the partitions that this process owns.

use std::sync::Arc;

use broker::{Broker, Delivery, Message, Subscription as _};
use prost::Message as _;
use proto::{
    PartitionId, RoomId,
    bus::v1::{ListRooms, RoomList},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::service::Shared;

/// Bytes of rooms in one answer; a payload of the bus is at most 768 KiB.
const MAX_BYTES: usize = 512 * 1024;

/// Answers until shutdown.
pub(crate) async fn run<B: Broker>(shared: Arc<Shared<B>>, shutdown: CancellationToken) {
    let answer = async {
        let mut asked = shared.subscribe(&shared.subjects.admin_all()).await;
        while let Some(delivery) = asked.next().await {
            let Delivery::Message(message) = delivery else {
                continue;
            };
            let (Some(list), Some(reply)) = (answer(&shared, &message), &message.reply) else {
                continue;
            };
            let payload = list.encode_to_vec().into();
            if let Err(error) = shared.broker.publish(reply, payload, None).await {
                debug!(error = %error, "answer was not sent");
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = answer => {}
    }
}

/// `None` when this process does not own what is asked for, under that epoch, or has not listed it yet.
fn answer<B: Broker>(shared: &Shared<B>, message: &Message) -> Option<RoomList> {
    let mut tokens = message.subject.rsplit('.');
    let epoch: u64 = tokens.next()?.parse().ok()?;
    let pp: PartitionId = tokens.next()?.parse().ok()?;
    if shared.cluster.epoch(pp) != Some(epoch) || !shared.directory.is_whole(pp) {
        return None;
    }
    let question = ListRooms::decode(message.payload.clone()).ok()?;
    let after = RoomId::parse(&question.after).ok();
    let count = usize::try_from(question.count).unwrap_or(usize::MAX);
    let (rooms, more, total) = shared.directory.page(pp, after.as_ref(), count);
    let mut list = RoomList {
        more,
        total: total as u64,
        ..RoomList::default()
    };
    let mut bytes = 0;
    for (room, summary) in rooms {
        let mut told = summary.told_of(&room);
        told.online = shared.online(&room);
        bytes += told.encoded_len() + 4;
        if bytes > MAX_BYTES && !list.rooms.is_empty() {
            list.more = true;
            break;
        }
        list.rooms.push(told);
    }
    Some(list)
}
