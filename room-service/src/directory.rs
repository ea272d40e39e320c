//! A summary of every room of the partitions that this process owns, in the order of their ids: what
//! operators list.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound::{Excluded, Unbounded},
};

use parking_lot::RwLock;
use proto::{PartitionId, RoomId};

use crate::domain::Summary;

/// The rooms, partition by partition.
#[derive(Default)]
pub(crate) struct Directory {
    partitions: RwLock<HashMap<PartitionId, BTreeMap<RoomId, Summary>>>,
    /// Partitions of which every room is here.
    listed: RwLock<HashSet<PartitionId>>,
}

impl Directory {
    /// Takes rooms as they are now.
    pub(crate) fn update(&self, pp: PartitionId, summaries: Vec<(RoomId, Summary)>) {
        if !summaries.is_empty() {
            let mut partitions = self.partitions.write();
            partitions.entry(pp).or_default().extend(summaries);
        }
    }

    /// Takes rooms as a listing found them; what is known to be newer stays.
    pub(crate) fn list(&self, pp: PartitionId, summaries: Vec<(RoomId, Summary)>) {
        let mut partitions = self.partitions.write();
        let rooms = partitions.entry(pp).or_default();
        for (room, summary) in summaries {
            if rooms.get(&room).map_or(0, |known| known.head) <= summary.head {
                rooms.insert(room, summary);
            }
        }
    }

    /// Every room of the partition is here from now on.
    pub(crate) fn is_listed(&self, pp: PartitionId) {
        self.listed.write().insert(pp);
    }

    /// Whether every room of the partition is here.
    pub(crate) fn is_whole(&self, pp: PartitionId) -> bool {
        self.listed.read().contains(&pp)
    }

    /// Forgets the rooms of a partition.
    pub(crate) fn forget(&self, pp: PartitionId) {
        self.listed.write().remove(&pp);
        self.partitions.write().remove(&pp);
    }

    /// One room of a partition.
    pub(crate) fn get(&self, pp: PartitionId, room: &RoomId) -> Option<Summary> {
        self.partitions.read().get(&pp)?.get(room).cloned()
    }

    /// At most `count` rooms of a partition after `after`, whether there are more, and how many it has in
    /// all.
    pub(crate) fn page(
        &self,
        pp: PartitionId,
        after: Option<&RoomId>,
        count: usize,
    ) -> (Vec<(RoomId, Summary)>, bool, usize) {
        let partitions = self.partitions.read();
        let Some(rooms) = partitions.get(&pp) else {
            return (Vec::new(), false, 0);
        };
        let from = after.map_or(Unbounded, |room| Excluded(room.clone()));
        let mut rest = rooms.range((from, Unbounded));
        let page = rest
            .by_ref()
            .take(count)
            .map(|(room, summary)| (room.clone(), summary.clone()))
            .collect();
        (page, rest.next().is_some(), rooms.len())
    }
}
