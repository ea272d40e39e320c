//! The rooms that somebody here is in: one subscription each, the check that no event is missing, and
//! the way of every event to every member. An event is encoded once for all. The hub asks owners for
//! what is missing; it never decides an order, and it forgets a room soon after its last member left.

mod delivery;
mod join;
mod listener;
mod repair;
mod room;
mod state;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use broker::Bus;
use parking_lot::Mutex;
use proto::{PartitionId, RoomId};
use tokio::sync::Semaphore;

use crate::shared::Shared;

pub(crate) use delivery::Form;
pub(crate) use join::{Join, Refusal, join};
pub(crate) use room::Room;

/// The map of rooms is locked in this many parts.
const SHARDS: usize = 16;
/// Readings of missing events at a time, in the whole process (DESIGN section 6).
const REPAIRS: usize = 50;

type Shard = Mutex<HashMap<RoomId, Arc<Room>>>;

/// The rooms here.
pub(crate) struct Hub {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    repairs: Semaphore,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            repairs: Semaphore::new(REPAIRS),
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
        let hash = self.hasher.hash_one(id.as_str());
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests;
