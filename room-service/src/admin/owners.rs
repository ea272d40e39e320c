//! Asks the owners of partitions, in this process or another: over the bus, like a gateway.

use std::time::Duration;

use broker::{Broker, RequestError};
use prost::Message as _;
use proto::{
    PartitionCount, PartitionId, RoomId,
    bus::v1::{Announcement, ListRooms, Reply, Request, RoomList, reply, request},
};
use tokio::time::Instant;
use tonic::Status;

use super::errors;
use crate::service::Shared;

/// How long an operator waits while a partition changes hands.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time of one attempt.
const DEADLINE: Duration = Duration::from_secs(1);
/// The time of one attempt to list; an owner that has just claimed does not answer yet.
const LIST_DEADLINE: Duration = Duration::from_millis(250);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the owner of a room. A send in `op` needs a cid: it may be seen more than once.
pub(super) async fn ask<B: Broker>(
    shared: &Shared<B>,
    room: &RoomId,
    op: request::Op,
) -> Result<reply::Result, Status> {
    let pp = partitions(shared)?.of(room);
    let request = Request {
        room: room.to_string(),
        op: Some(op),
    };
    let payload = bytes::Bytes::from(request.encode_to_vec());
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(epoch) = epoch_of(shared, pp).await {
            let subject = shared.subjects.inbound(pp, epoch, room);
            let asked = shared
                .broker
                .request(&subject, payload.clone(), None, DEADLINE);
            if let Ok(reply) = asked.await
                && let Ok(reply) = Reply::decode(reply)
                && let Some(result) = reply.result
                && !matches!(result, reply::Result::NotOwner(_))
            {
                return Ok(result);
            }
        }
        pause(pp, give_up).await?;
    }
}

/// The rooms of a partition after `after`, at most `count`.
pub(super) async fn list<B: Broker>(
    shared: &Shared<B>,
    pp: PartitionId,
    after: Option<&RoomId>,
    count: usize,
) -> Result<RoomList, Status> {
    let question = ListRooms {
        after: after.map_or_else(String::new, RoomId::to_string),
        count: u32::try_from(count).unwrap_or(u32::MAX),
    };
    let payload = bytes::Bytes::from(question.encode_to_vec());
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(epoch) = epoch_of(shared, pp).await {
            let subject = shared.subjects.admin(pp, epoch);
            let asked = shared
                .broker
                .request(&subject, payload.clone(), None, LIST_DEADLINE);
            if let Ok(list) = asked.await
                && let Ok(list) = RoomList::decode(list)
            {
                return Ok(list);
            }
        }
        pause(pp, give_up).await?;
    }
}

/// The partitions of rooms.
pub(super) fn partitions<B: Broker>(shared: &Shared<B>) -> Result<PartitionCount, Status> {
    PartitionCount::new(shared.installation().partitions)
        .map_err(|error| errors::not_ready(&error.to_string()))
}

async fn pause(pp: PartitionId, give_up: Instant) -> Result<(), Status> {
    if Instant::now() >= give_up {
        return Err(errors::no_owner(pp));
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// The epoch under which a partition is owned now, as its owner says.
async fn epoch_of<B: Broker>(shared: &Shared<B>, pp: PartitionId) -> Option<u64> {
    if let Some(epoch) = shared.cluster.epoch(pp) {
        return Some(epoch);
    }
    let subject = shared.subjects.who(pp);
    let asked = shared
        .broker
        .request(&subject, bytes::Bytes::new(), None, DEADLINE);
    match asked.await {
        Ok(answer) => {
            let announcement = Announcement::decode(answer).ok()?;
            let owned = announcement.partitions.iter();
            let mut owned = owned.filter(|owned| owned.partition == pp.to_string());
            owned.next().map(|owned| owned.epoch)
        }
        Err(RequestError::NoResponder | RequestError::Timeout) => None,
        Err(RequestError::TooLarge(_) | RequestError::Unavailable(_)) => None,
    }
}
