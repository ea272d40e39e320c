//! Follows the heads that owners tell of each second: a loss is noticed even if it was a room's last
//! event, and so is an owner who is not heard of. One subscription for all rooms.

mod watch;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use broker::{Bus, Delivery, Message, Subscription as _};
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::{Heads, RoomHead},
};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, warn};

use super::Room;
use crate::shared::Shared;
use watch::Watch;

/// How long the events that a head tells of may still be on their way.
const GRACE: Duration = Duration::from_millis(200);
/// How often partitions are looked at for silence.
const TICK: Duration = Duration::from_secs(1);
/// Rooms give memory back after so many ticks.
const SHRINK_TICKS: u32 = 10;

/// Heads ahead of what has arrived, in the order in which they are looked at again.
#[derive(Default)]
struct Expected(VecDeque<(Instant, Arc<Room>, RoomHead)>);

/// Follows them for as long as it is polled.
pub(crate) async fn run<B: Bus>(shared: Arc<Shared<B>>) {
    shared.upstream.known().await;
    let mut told = shared.subscribe(&shared.subjects.heads_all()).await;
    let Some(count) = shared.upstream.partitions() else {
        return;
    };
    let mut watch = Watch::new(count, Instant::now());
    let mut expected = Expected::default();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0;
    loop {
        tokio::select! {
            // Whoever has been heard of is not silent.
            biased;
            delivery = told.next() => match delivery {
                Some(Delivery::Message(message)) => {
                    take(&shared, &mut watch, &mut expected, &message);
                }
                Some(Delivery::Lost) => doubt(&shared, None),
                None => return,
            },
            () = expected.due() => expected.look_again(&shared),
            _ = tick.tick() => {
                look_for_silence(&shared, &mut watch);
                ticks += 1;
                if ticks % SHRINK_TICKS == 0 {
                    shared.hub.rooms(None).iter().for_each(|room| room.shrink());
                }
            }
        }
    }
}

fn take<B: Bus>(
    shared: &Arc<Shared<B>>,
    watch: &mut Watch,
    expected: &mut Expected,
    message: &Message,
) {
    let pp = message
        .subject
        .rsplit('.')
        .next()
        .map(str::parse::<PartitionId>);
    let (Some(Ok(pp)), Ok(heads)) = (pp, Heads::decode(message.payload.clone())) else {
        warn!(bus.subject = message.subject, "heads could not be decoded");
        return;
    };
    let now = Instant::now();
    if !watch.heard(pp, heads.epoch, now) {
        debug!(partition.id = %pp, epoch.told = heads.epoch, "heads of an owner of the past");
        return;
    }
    for head in heads.rooms {
        let room = shared.hub.find(&head.room).filter(|room| room.pp() == pp);
        if let Some(room) = room
            && room.told(shared, &head, heads.epoch)
        {
            expected.0.push_back((now + GRACE, room, head));
        }
    }
}

/// Owners that have not been heard of may have told of a loss meanwhile.
fn look_for_silence<B: Bus>(shared: &Arc<Shared<B>>, watch: &mut Watch) {
    let now = Instant::now();
    if !shared.bus.is_connected() {
        // What is missed is told as a loss.
        watch.wait_anew(now);
        return;
    }
    for pp in watch.silent(now) {
        debug!(partition.id = %pp, "no heads of a partition");
        doubt(shared, Some(pp));
    }
}

/// Has all rooms read, or those of one partition.
fn doubt<B: Bus>(shared: &Arc<Shared<B>>, pp: Option<PartitionId>) {
    for room in shared.hub.rooms(pp) {
        room.lost(shared);
    }
}

impl Expected {
    /// Waits until the next one is to be looked at. Cancel-safe.
    async fn due(&self) {
        match self.0.front() {
            Some((due, ..)) => tokio::time::sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }

    fn look_again<B: Bus>(&mut self, shared: &Arc<Shared<B>>) {
        let now = Instant::now();
        while let Some((_, room, head)) = self.0.pop_front_if(|(due, ..)| *due <= now) {
            room.expects(shared, &head);
        }
    }
}
