//! A summary of every room, in the order of their ids: what operators list.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use parking_lot::RwLock;
use proto::{PartitionId, RoomId};

use crate::domain::Summary;

/// The rooms of the partitions that this process owns.
#[derive(Default)]
pub(crate) struct Directory {
    rooms: RwLock<BTreeMap<RoomId, (PartitionId, Summary)>>,
}

impl Directory {
    /// Takes rooms as they are now.
    pub(crate) fn update(&self, pp: PartitionId, summaries: Vec<(RoomId, Summary)>) {
        if summaries.is_empty() {
            return;
        }
        let mut rooms = self.rooms.write();
        for (room, summary) in summaries {
            rooms.insert(room, (pp, summary));
        }
    }

    /// Takes rooms as a listing found them; what is known to be newer stays.
    pub(crate) fn list(&self, pp: PartitionId, summaries: Vec<(RoomId, Summary)>) {
        let mut rooms = self.rooms.write();
        for (room, summary) in summaries {
            let known = rooms.get(&room).map_or(0, |(_, known)| known.head);
            if known <= summary.head {
                rooms.insert(room, (pp, summary));
            }
        }
    }

    /// Replaces all rooms of a partition.
    pub(crate) fn replace(
        &self,
        pp: PartitionId,
        summaries: impl Iterator<Item = (RoomId, Summary)>,
    ) {
        let mut rooms = self.rooms.write();
        rooms.retain(|_, (of, _)| *of != pp);
        rooms.extend(summaries.map(|(room, summary)| (room, (pp, summary))));
    }

    /// One room.
    pub(crate) fn get(&self, room: &RoomId) -> Option<Summary> {
        self.rooms
            .read()
            .get(room)
            .map(|(_, summary)| summary.clone())
    }

    /// At most `count` rooms after `after`, whether there are more, and how many there are in all.
    pub(crate) fn page(
        &self,
        after: Option<&RoomId>,
        count: usize,
    ) -> (Vec<(RoomId, Summary)>, bool, usize) {
        let rooms = self.rooms.read();
        let from = after.map_or(Unbounded, |room| Excluded(room.clone()));
        let mut rest = rooms.range((from, Unbounded));
        let page = rest
            .by_ref()
            .take(count)
            .map(|(room, (_, summary))| (room.clone(), summary.clone()))
            .collect();
        (page, rest.next().is_some(), rooms.len())
    }
}
