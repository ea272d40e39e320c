//! Which owner tells heads of a partition, and when it was last heard of.

use std::time::Duration;

use proto::{PartitionCount, PartitionId};
use tokio::time::Instant;

/// Heads come each second; a partition without any for so long is silent (DESIGN section 6). The rooms
/// of one that stays silent are read again after twice as long each time …
const SILENT: Duration = Duration::from_secs(3);
/// … up to this.
const MOST_SILENT: Duration = Duration::from_secs(60);

/// The partitions of rooms.
pub(super) struct Watch(Vec<(PartitionId, Heard)>);

#[derive(Clone, Copy)]
struct Heard {
    /// The highest epoch heard of.
    epoch: u64,
    /// When it is silent.
    due: Instant,
    patience: Duration,
}

impl Watch {
    pub(super) fn new(count: PartitionCount, now: Instant) -> Self {
        let heard = Heard {
            epoch: 0,
            due: now + SILENT,
            patience: SILENT,
        };
        Self(count.rooms().map(|pp| (pp, heard)).collect())
    }

    /// An owner told heads; `false` when it is one of the past, or of no partition.
    pub(super) fn heard(&mut self, pp: PartitionId, epoch: u64, now: Instant) -> bool {
        let Some((_, heard)) = self.0.iter_mut().find(|(of, _)| *of == pp) else {
            return false;
        };
        if epoch < heard.epoch {
            return false;
        }
        *heard = Heard {
            epoch,
            due: now + SILENT,
            patience: SILENT,
        };
        true
    }

    /// Nobody could be heard.
    pub(super) fn wait_anew(&mut self, now: Instant) {
        for (_, heard) in &mut self.0 {
            heard.due = now + SILENT;
            heard.patience = SILENT;
        }
    }

    /// The partitions that have been silent for too long, once for each such time.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<PartitionId> {
        let mut silent = Vec::new();
        for (pp, heard) in self.0.iter_mut().filter(|(_, heard)| heard.due <= now) {
            heard.patience = (heard.patience * 2).min(MOST_SILENT);
            heard.due = now + heard.patience;
            silent.push(*pp);
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PP: PartitionId = PartitionId::Rooms(0);

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_silent_after_three_seconds_and_then_ever_more_rarely() {
        let begin = Instant::now();
        let mut watch = Watch::new(PartitionCount::new(1).unwrap(), begin);
        let silent_at = |watch: &mut Watch, from: u64, to: u64| -> Vec<u64> {
            (from..to)
                .filter(|s| !watch.silent(begin + Duration::from_secs(*s)).is_empty())
                .collect()
        };
        assert_eq!(silent_at(&mut watch, 0, 30), [3, 9, 21]);
        assert!(watch.heard(PP, 1, begin + Duration::from_secs(30)));
        assert_eq!(silent_at(&mut watch, 30, 40), [33, 39]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_of_the_past_is_not_heard() {
        let now = Instant::now();
        let mut watch = Watch::new(PartitionCount::new(1).unwrap(), now);
        assert!(watch.heard(PP, 2, now));
        let later = now + SILENT;
        assert!(!watch.heard(PP, 1, later));
        assert!(!watch.heard(PartitionId::Rooms(7), 9, later));
        assert_eq!(watch.silent(later), [PP]);
        assert!(watch.heard(PP, 2, later));
    }
}
