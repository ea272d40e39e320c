//! The rooms that somebody here is in: one subscription each, the check that no event is missing, and
//! the way of every event to every member. An event is encoded once for all, and the last ones are
//! remembered for those who come back or read slowly. The hub asks owners for what is missing; it never
//! decides an order, and it forgets a room soon after its last member left.

mod amend;
mod delivery;
mod heads;
mod join;
mod joined;
mod listener;
mod reading;
mod refill;
mod repair;
mod ring;
mod room;
mod state;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use broker::Bus;
use parking_lot::Mutex;
use proto::{PartitionId, RoomId};
use tokio::sync::Semaphore;

use crate::shared::Shared;

pub(crate) use delivery::Form;
pub(crate) use heads::run;
pub(crate) use join::{Join, Refusal, join};
pub(crate) use room::Room;

/// The map of rooms is locked in this many parts.
const SHARDS: usize = 16;
/// Readings of rooms of one partition at a time (DESIGN section 6).
const READINGS: usize = 50;

type Shard = Mutex<HashMap<RoomId, Arc<Room>>>;

/// The rooms here.
pub(crate) struct Hub {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    /// The right to read a room, by partition: an owner who is away holds up nobody else's rooms.
    turns: Mutex<BTreeMap<PartitionId, Arc<Semaphore>>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            turns: Mutex::default(),
        }
    }
}

/// A room with members, for the presence report.
pub(crate) struct Count {
    pub(crate) pp: PartitionId,
    pub(crate) room: RoomId,
    pub(crate) sockets: u32,
}

impl Hub {
    /// The room, listened to from now on; the caller owes it one [`Room::leave`].
    pub(crate) fn enter<B: Bus>(
        shared: &Arc<Shared<B>>,
        id: &RoomId,
        pp: PartitionId,
    ) -> Arc<Room> {
        let mut shard = shared.hub.shard(id).lock();
        let room = shard.entry(id.clone()).or_insert_with(|| {
            let room = Arc::new(Room::new(id.clone(), pp));
            shared.metrics.hub_rooms.inc();
            tokio::spawn(listener::run(Arc::clone(&room), Arc::clone(shared)));
            room
        });
        // Under the lock of the shard: an idle room is given up under it too.
        room.retain();
        Arc::clone(room)
    }

    /// The room, if anybody listens to it here.
    pub(crate) fn get(&self, id: &RoomId) -> Option<Arc<Room>> {
        self.shard(id).lock().get(id).map(Arc::clone)
    }

    /// Sockets per room, of rooms that have any.
    pub(crate) fn counts(&self) -> Vec<Count> {
        let mut counts = Vec::new();
        for shard in &self.shards {
            let rooms: Vec<Arc<Room>> = shard.lock().values().map(Arc::clone).collect();
            counts.extend(rooms.into_iter().filter_map(|room| {
                let sockets = u32::try_from(room.members()).unwrap_or(u32::MAX);
                (sockets > 0).then(|| Count {
                    pp: room.pp(),
                    room: room.id().clone(),
                    sockets,
                })
            }));
        }
        counts
    }

    /// The room of this id, if anybody listens to it here.
    fn find(&self, id: &str) -> Option<Arc<Room>> {
        self.shard_of(id).lock().get(id).map(Arc::clone)
    }

    /// All rooms, or those of one partition, always in the same order.
    fn rooms(&self, pp: Option<PartitionId>) -> Vec<Arc<Room>> {
        let mut rooms = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let is_wanted = |room: &&Arc<Room>| pp.is_none_or(|pp| room.pp() == pp);
            rooms.extend(shard.values().filter(is_wanted).map(Arc::clone));
        }
        rooms.sort_by(|one, other| one.id().cmp(other.id()));
        rooms
    }

    /// The right to read a room of a partition.
    fn turns(&self, pp: PartitionId) -> Arc<Semaphore> {
        let mut turns = self.turns.lock();
        let turns = turns
            .entry(pp)
            .or_insert_with(|| Arc::new(Semaphore::new(READINGS)));
        Arc::clone(turns)
    }

    /// Gives the room up if nobody is in it or about to be; `true` when it is gone.
    fn give_up_if_idle(&self, room: &Room) -> bool {
        let mut shard = self.shard(room.id()).lock();
        let is_idle = room.is_idle();
        if is_idle {
            shard.remove(room.id());
        }
        is_idle
    }

    fn shard(&self, id: &RoomId) -> &Shard {
        self.shard_of(id.as_str())
    }

    fn shard_of(&self, id: &str) -> &Shard {
        let hash = self.hasher.hash_one(id);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests;
