//! Who owns which partition: the highest epoch heard of. A hint for speed; an owner of the past refuses
//! by itself.

use proto::{
    PartitionCount, PartitionId,
    bus::v1::{Announcement, Owned},
};
use tokio::sync::{Semaphore, watch};

/// What is known of one partition's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// The highest epoch heard of; 0 when none was.
    epoch: u64,
    /// Whether the owner of that epoch is there, as far as is known.
    is_served: bool,
}

impl Route {
    /// The epoch to address.
    pub(super) fn epoch(self) -> Option<u64> {
        self.is_served.then_some(self.epoch)
    }
}

/// The routes of all partitions of rooms.
pub(super) struct Routes {
    partitions: Vec<Partition>,
}

struct Partition {
    route: watch::Sender<Route>,
    /// Held by whoever asks who owns it.
    asking: Semaphore,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            route: watch::Sender::default(),
            asking: Semaphore::new(1),
        }
    }
}

impl Routes {
    pub(super) fn new(count: PartitionCount) -> Self {
        let partitions = count.rooms().map(|_| Partition::default()).collect();
        Self { partitions }
    }

    /// The route of a partition, and its changes.
    pub(super) fn of(&self, pp: PartitionId) -> Option<watch::Receiver<Route>> {
        self.partition(pp)
            .map(|partition| partition.route.subscribe())
    }

    /// The right to ask who owns a partition.
    pub(super) fn asking(&self, pp: PartitionId) -> Option<&Semaphore> {
        self.partition(pp).map(|partition| &partition.asking)
    }

    /// Takes what owners say of themselves.
    pub(super) fn announced(&self, announcement: &Announcement) {
        for owned in &announcement.partitions {
            self.owned(owned);
        }
    }

    /// An owner said that `epoch` supersedes it.
    pub(super) fn superseded(&self, pp: PartitionId, asked: u64, by: u64) {
        self.update(pp, |route| {
            if by > route.epoch {
                // Known to exist, not yet heard of: it may not listen yet.
                *route = Route {
                    epoch: by,
                    is_served: true,
                };
            } else if route.epoch == asked {
                route.is_served = false;
            }
        });
    }

    /// Nobody answers under `epoch`: it is addressed no more until its owner is heard of again.
    pub(super) fn is_silent(&self, pp: PartitionId, epoch: u64) {
        self.update(pp, |route| {
            if route.epoch == epoch {
                route.is_served = false;
            }
        });
    }

    fn owned(&self, owned: &Owned) {
        let Ok(pp) = owned.partition.parse() else {
            return;
        };
        self.update(pp, |route| {
            if owned.released && owned.epoch >= route.epoch {
                *route = Route {
                    epoch: owned.epoch,
                    is_served: false,
                };
            } else if !owned.released && owned.epoch >= route.epoch {
                *route = Route {
                    epoch: owned.epoch,
                    is_served: true,
                };
            }
        });
    }

    fn update(&self, pp: PartitionId, change: impl FnOnce(&mut Route)) {
        if let Some(partition) = self.partition(pp) {
            partition.route.send_if_modified(|route| {
                let before = *route;
                change(route);
                *route != before
            });
        }
    }

    fn partition(&self, pp: PartitionId) -> Option<&Partition> {
        match pp {
            PartitionId::Rooms(number) => self.partitions.get(usize::from(number)),
            PartitionId::Meta => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PP: PartitionId = PartitionId::Rooms(0);

    fn announce(routes: &Routes, epoch: u64, released: bool) {
        routes.announced(&Announcement {
            owner: "r".to_owned(),
            partitions: vec![Owned {
                partition: "0".to_owned(),
                epoch,
                released,
                ..Owned::default()
            }],
            ..Announcement::default()
        });
    }

    fn epoch(routes: &Routes) -> Option<u64> {
        routes.of(PP).unwrap().borrow().epoch()
    }

    #[test]
    fn a_lower_epoch_is_ignored() {
        let routes = Routes::new(PartitionCount::new(1).unwrap());
        assert_eq!(epoch(&routes), None);
        announce(&routes, 3, false);
        announce(&routes, 2, false);
        announce(&routes, 2, true);
        assert_eq!(epoch(&routes), Some(3));
        announce(&routes, 3, true);
        assert_eq!(epoch(&routes), None);
        announce(&routes, 4, false);
        assert_eq!(epoch(&routes), Some(4));
    }

    #[test]
    fn an_owner_that_is_superseded_names_the_next() {
        let routes = Routes::new(PartitionCount::new(1).unwrap());
        announce(&routes, 3, false);
        routes.superseded(PP, 3, 0);
        assert_eq!(epoch(&routes), None);
        announce(&routes, 3, false);
        routes.superseded(PP, 3, 5);
        assert_eq!(epoch(&routes), Some(5));
        routes.is_silent(PP, 3);
        assert_eq!(epoch(&routes), Some(5));
        announce(&routes, 3, false);
        assert_eq!(epoch(&routes), Some(5));
    }
}
