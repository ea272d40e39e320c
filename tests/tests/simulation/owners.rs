//! Whom to ask: what a client's gateway knows of the owners of partitions, and a request that is repeated
//! until one of them answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use broker::{
    Bus as _, Delivery, Subscription as _,
    sim::{SimBroker, SimSubscription},
};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    PartitionCount, PartitionId, RoomId,
    bus::v1::{Announcement, Reply, Request, reply, request},
    subject::Subjects,
};
use tokio::time::sleep;

/// The first deadline of a request; it doubles …
const FIRST_DEADLINE: Duration = Duration::from_millis(300);
/// … up to this.
const LAST_DEADLINE: Duration = Duration::from_secs(1);
/// How long somebody has to say who owns a partition, and what lies between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// One gateway's way to the owners. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Owners {
    broker: SimBroker,
    subjects: Subjects,
    partitions: PartitionCount,
    epochs: Arc<Mutex<BTreeMap<PartitionId, u64>>>,
}

impl Owners {
    pub(crate) fn new(broker: SimBroker, partitions: PartitionCount) -> Self {
        Self {
            broker,
            subjects: Subjects::default(),
            partitions,
            epochs: Arc::default(),
        }
    }

    pub(crate) fn partition_of(&self, room: &RoomId) -> PartitionId {
        self.partitions.of(room)
    }

    /// Listens, however often it takes.
    pub(crate) async fn subscribe(&self, pattern: &str) -> SimSubscription {
        loop {
            match self.broker.subscribe(pattern).await {
                Ok(subscription) => return subscription,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Follows the announcements, for ever.
    pub(crate) async fn follow(self) {
        let mut heard = self.subscribe(&self.subjects.owners()).await;
        while let Some(delivery) = heard.next().await {
            if let Delivery::Message(message) = delivery {
                self.hear(message.payload);
            }
        }
    }

    /// Asks the owner of a room until one answers, whoever that is.
    pub(crate) async fn call(&self, room: &RoomId, op: request::Op) -> reply::Result {
        let request = Request {
            room: room.to_string(),
            op: Some(op),
        };
        let payload = Bytes::from(request.encode_to_vec());
        let pp = self.partition_of(room);
        let mut deadline = FIRST_DEADLINE;
        loop {
            let epoch = self.epochs.lock().get(&pp).copied();
            if let Some(epoch) = epoch {
                let subject = self.subjects.inbound(pp, epoch, room);
                let asked = self
                    .broker
                    .request(&subject, payload.clone(), None, deadline);
                let reply = asked.await.ok().and_then(|reply| Reply::decode(reply).ok());
                match reply.and_then(|reply| reply.result) {
                    Some(reply::Result::NotOwner(_)) | None => {}
                    Some(reply::Result::Refused(refused)) if refused.code == "UNAVAILABLE" => {}
                    Some(answer) => return answer,
                }
                deadline = (deadline * 2).min(LAST_DEADLINE);
            }
            let who = self.subjects.who(pp);
            let asked = self
                .broker
                .request(&who, Bytes::new(), None, FIRST_DEADLINE);
            if let Ok(answer) = asked.await {
                self.hear(answer);
            }
            sleep(PAUSE).await;
        }
    }

    fn hear(&self, payload: Bytes) {
        let Ok(announcement) = Announcement::decode(payload) else {
            return;
        };
        let mut epochs = self.epochs.lock();
        for owned in announcement.partitions {
            if let Ok(pp) = owned.partition.parse::<PartitionId>() {
                let known = epochs.entry(pp).or_default();
                *known = owned.epoch.max(*known);
            }
        }
    }
}
