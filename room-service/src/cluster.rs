//! Who owns what: this process's own partitions, announced, and those that others announce.
//!
//! Ownership is a hint for speed; the log's expectation is what keeps two owners from both writing. At
//! present one replica owns everything and another one stands by; placement over several living replicas
//! belongs here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use broker::{Broker, Bus, Delivery, Subscription as _};
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::{Announcement, Owned},
    subject::Subjects,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::service::Shared;

/// How often a replica says what it owns.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(250);
/// A partition that nobody announces for this long is free.
const FREE_AFTER: Duration = Duration::from_secs(1);

/// What this process knows of ownership.
pub(crate) struct Cluster<B> {
    bus: B,
    subjects: Subjects,
    me: Arc<str>,
    /// Alone on an embedded broker: nothing to listen for before a claim.
    alone: bool,
    started: Instant,
    state: Mutex<State>,
    /// Rises with every change of `state` that may make this process ready.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    mine: BTreeMap<PartitionId, u64>,
    others: HashMap<PartitionId, Instant>,
    /// When the log last confirmed an owner's state.
    confirmed: HashMap<PartitionId, Instant>,
    unfoldable: BTreeMap<PartitionId, String>,
}

impl<B: Bus> Cluster<B> {
    pub(crate) fn new(bus: B, subjects: Subjects, me: Arc<str>, alone: bool) -> Self {
        Self {
            bus,
            subjects,
            me,
            alone,
            started: Instant::now(),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Waits until no other living replica announces the partition. Cancel-safe.
    pub(crate) async fn free(&self, pp: PartitionId) {
        if self.alone {
            return;
        }
        loop {
            let seen = self.state.lock().others.get(&pp).copied();
            // At start nobody was listened to yet: listen first.
            let free_at = seen.unwrap_or(self.started) + FREE_AFTER;
            if free_at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(free_at).await;
        }
    }

    /// This process owns the partition now: everybody is told.
    pub(crate) async fn own(&self, pp: PartitionId, epoch: u64) {
        {
            let mut state = self.state.lock();
            state.mine.insert(pp, epoch);
            state.unfoldable.remove(&pp);
        }
        self.bump();
        self.announce(vec![owned(pp, epoch, false)]).await;
    }

    /// This process owns the partition no more. `released`: by its own will, so anybody may claim.
    pub(crate) async fn disown(&self, pp: PartitionId, released: bool) {
        let epoch = self.state.lock().mine.remove(&pp);
        self.bump();
        if let (Some(epoch), true) = (epoch, released) {
            self.announce(vec![owned(pp, epoch, true)]).await;
        }
    }

    /// The log has confirmed this process's state of the partition just now: an append was written, or a
    /// read reached the end.
    pub(crate) fn confirmed(&self, pp: PartitionId) {
        self.state.lock().confirmed.insert(pp, Instant::now());
    }

    /// The partition's log cannot be folded by this version.
    pub(crate) fn unfoldable(&self, pp: PartitionId, why: String) {
        self.state.lock().unfoldable.insert(pp, why);
        self.bump();
    }

    /// Whether this process owns the partition, as far as it knows.
    pub(crate) fn owns(&self, pp: PartitionId) -> bool {
        self.state.lock().mine.contains_key(&pp)
    }

    /// How many partitions this process owns.
    pub(crate) fn owned_count(&self) -> usize {
        self.state.lock().mine.len()
    }

    /// What is missing until every partition has an owner; `None` when nothing is.
    pub(crate) fn missing(&self, partitions: &[PartitionId]) -> Option<String> {
        let state = self.state.lock();
        if let Some((pp, why)) = state.unfoldable.iter().next() {
            return Some(format!("partition {pp} cannot be owned: {why}"));
        }
        let living = |pp| {
            state
                .others
                .get(pp)
                .is_some_and(|seen| seen.elapsed() < FREE_AFTER)
        };
        let missing = partitions
            .iter()
            .filter(|pp| !state.mine.contains_key(pp) && !living(pp));
        match missing.count() {
            0 => None,
            count => Some(format!(
                "{count} of {} partitions have no owner yet",
                partitions.len()
            )),
        }
    }

    /// Yields whenever [`missing`](Self::missing) may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn bump(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    async fn announce(&self, partitions: Vec<Owned>) {
        let announcement = Announcement {
            owner: self.me.to_string(),
            partitions,
        };
        let payload = announcement.encode_to_vec().into();
        if let Err(error) = self
            .bus
            .publish(&self.subjects.owners(), payload, None)
            .await
        {
            debug!(error = %error, "announcement was not sent");
        }
    }

    fn mine(&self) -> Vec<Owned> {
        self.state
            .lock()
            .mine
            .iter()
            .map(|(pp, epoch)| owned(*pp, *epoch, false))
            .collect()
    }

    fn heard(&self, announcement: &Announcement) {
        if announcement.owner == *self.me {
            return;
        }
        let now = Instant::now();
        let mut state = self.state.lock();
        for owned in &announcement.partitions {
            let Ok(pp) = owned.partition.parse() else {
                continue;
            };
            if owned.released {
                state
                    .others
                    .insert(pp, now.checked_sub(FREE_AFTER).unwrap_or(now));
            } else {
                state.others.insert(pp, now);
            }
        }
        drop(state);
        self.bump();
    }
}

/// Announces, listens to announcements, and answers who owns what, until shutdown.
pub(crate) async fn run<B: Broker>(shared: Arc<Shared<B>>, shutdown: CancellationToken) {
    let cluster = &shared.cluster;
    let talk = async {
        let mut tick = tokio::time::interval(ANNOUNCE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let mine = cluster.mine();
            if !mine.is_empty() {
                cluster.announce(mine).await;
            }
        }
    };
    let listen = async {
        let mut heard = shared.subscribe(&shared.subjects.owners()).await;
        while let Some(delivery) = heard.next().await {
            let Delivery::Message(message) = delivery else {
                continue;
            };
            if let Ok(announcement) = Announcement::decode(message.payload) {
                cluster.heard(&announcement);
            }
        }
    };
    let answer = async {
        let mut asked = shared.subscribe(&shared.subjects.who_all()).await;
        while let Some(delivery) = asked.next().await {
            let Delivery::Message(message) = delivery else {
                continue;
            };
            let pp = message
                .subject
                .rsplit('.')
                .next()
                .and_then(|token| token.parse().ok());
            let epoch = pp.and_then(|pp| cluster.state.lock().mine.get(&pp).copied());
            let (Some(pp), Some(epoch), Some(reply)) = (pp, epoch, message.reply) else {
                continue;
            };
            let partitions = vec![owned(pp, epoch, false)];
            let announcement = Announcement {
                owner: cluster.me.to_string(),
                partitions,
            };
            let payload = announcement.encode_to_vec().into();
            if let Err(error) = shared.broker.publish(&reply, payload, None).await {
                debug!(error = %error, "answer was not sent");
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = async { tokio::join!(talk, listen, answer); } => {}
    }
}

fn owned(pp: PartitionId, epoch: u64, released: bool) -> Owned {
    Owned {
        partition: pp.to_string(),
        epoch,
        released,
    }
}
