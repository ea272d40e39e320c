//! Sees what is asked of one replica, as it would itself.

use std::{collections::HashMap, sync::Arc};

use broker::{Bus as _, Delivery, Subscription as _, nats::Nats};
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::{Request, request},
    subject::Subjects,
};
use tokio::task::JoinSet;

/// Listens until it is dropped.
pub(crate) struct Spy {
    sends: Arc<Mutex<HashMap<(String, String), usize>>>,
    _listening: JoinSet<()>,
}

impl Spy {
    /// Listens to requests to the owner of these partitions under these epochs.
    pub(crate) async fn on(bus: &Nats, owned: &[(PartitionId, u64)]) -> Self {
        let sends: Arc<Mutex<HashMap<_, usize>>> = Arc::default();
        let mut listening = JoinSet::new();
        for (pp, epoch) in owned {
            let pattern = Subjects::default().inbound_all(*pp, *epoch);
            let mut requests = bus.subscribe(&pattern).await.unwrap();
            let sends = Arc::clone(&sends);
            listening.spawn(async move {
                while let Some(delivery) = requests.next().await {
                    let Delivery::Message(message) = delivery else {
                        continue;
                    };
                    let asked = Request::decode(message.payload).unwrap();
                    if let Some(request::Op::Send(send)) = asked.op {
                        *sends.lock().entry((asked.room, send.cid)).or_default() += 1;
                    }
                }
            });
        }
        Self {
            sends,
            _listening: listening,
        }
    }

    /// How many sends were asked more than once, and how many sends there were.
    pub(crate) fn repeated(&self) -> (usize, usize) {
        let sends = self.sends.lock();
        let repeated = sends.values().filter(|times| **times > 1).count();
        (repeated, sends.len())
    }
}
