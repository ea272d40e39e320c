//! What a placement says of itself: to other replicas and gateways, and to operators.

use std::time::Duration;

use proto::PartitionId;

use super::{
    super::{
        clock::Verdict,
        members::{Life, Profile},
    },
    Effect, Owned, Placement,
    partition::{Mine, Partition},
};

/// A process that ends takes no longer to come back, as a rule.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(5);

impl Placement {
    /// What goes with every announcement of this process.
    pub(in crate::cluster) fn profile(&self) -> Profile {
        let those = |wanted: fn(&Partition) -> bool| {
            let all = self.partitions.iter();
            all.filter(|(_, partition)| wanted(partition))
                .map(|(pp, _)| *pp)
                .collect()
        };
        Profile {
            aside: self.is_aside(),
            start_ms: self.start_ms,
            cannot_own: those(|partition| partition.cannot.is_some()),
            no_log: those(|partition| partition.log.is_away()),
        }
    }

    pub(in crate::cluster) fn answers_pings(&self) -> bool {
        !self.alone
    }

    /// The epoch under which this process owns a partition.
    pub(in crate::cluster) fn epoch(&self, pp: PartitionId) -> Option<u64> {
        match self.partitions.get(&pp)?.mine {
            Mine::Owned { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// How many partitions this process owns.
    pub(in crate::cluster) fn owned_count(&self) -> usize {
        let owned = |mine| matches!(mine, Mine::Owned { .. });
        self.partitions.values().filter(|p| owned(p.mine)).count()
    }

    /// Why this replica is not ready; `None` when it is.
    pub(in crate::cluster) fn missing(
        &self,
        among: &[PartitionId],
        now: Duration,
    ) -> Option<String> {
        if let Some(twin) = &self.doubled {
            return Some(format!(
                "replica ids doubled: process {twin} runs with this replica's id; give each room service a \
                 --replica-id of its own"
            ));
        }
        if let Verdict::Off(ahead_ms) = self.verdict {
            return Some(format!(
                "this machine's clock is {}: correct it; nothing is owned here until then",
                off_by(ahead_ms)
            ));
        }
        let unowned: Vec<_> = among
            .iter()
            .filter(|pp| !self.is_served(**pp, now))
            .collect();
        let cannot = unowned.iter().find_map(|pp| {
            let (why, _) = self.partitions.get(*pp)?.cannot.as_ref()?;
            Some(format!("partition {pp} cannot be owned: {why}"))
        });
        let none_yet = || {
            format!(
                "{} of {} partitions have no owner yet",
                unowned.len(),
                among.len()
            )
        };
        cannot.or_else(|| (!unowned.is_empty()).then(none_yet))
    }

    /// Whether neither this process nor any that lives can own the partition, as far as is known, nor one
    /// that owned it a moment ago: it may be about to come back.
    pub(in crate::cluster) fn nobody_can_own(&self, pp: PartitionId, now: Duration) -> bool {
        let cannot = |partition: &Partition| {
            partition.cannot.is_some() && !partition.was_heard_within(now, COMES_BACK_WITHIN)
        };
        let may = |profile: &Profile| !profile.aside && !profile.cannot_own.contains(&pp);
        self.partitions.get(&pp).is_some_and(cannot)
            && !self.is_served(pp, now)
            && !self.members.living().any(|(_, profile)| may(profile))
    }

    /// Whether this process or a living replica owns the partition, or is about to: one that was just
    /// released is on its way.
    fn is_served(&self, pp: PartitionId, now: Duration) -> bool {
        let Some(partition) = self.partitions.get(&pp) else {
            return false;
        };
        let by_other = partition.other.as_ref().is_some_and(|other| {
            let is_dead = self.members.life(&other.process) == Some(Life::Dead);
            !is_dead && !partition.is_unheard(now)
        });
        by_other || matches!(partition.mine, Mine::Owned { .. })
    }

    /// All that this process owns, to be announced.
    pub(super) fn all_owned(&self, now: Duration) -> Vec<Owned> {
        // One that is about to end still answers, and nobody else does yet.
        let owned = |(pp, partition): (&PartitionId, &Partition)| {
            Some(Owned {
                pp: *pp,
                epoch: partition.mine.epoch()?,
                released: false,
                log_ok_ago: now.saturating_sub(partition.log_ok),
            })
        };
        self.partitions.iter().filter_map(owned).collect()
    }

    pub(super) fn announce(&mut self, pp: PartitionId, epoch: u64, released: bool) {
        self.effects.push(Effect::Announce(vec![Owned {
            pp,
            epoch,
            released,
            log_ok_ago: Duration::ZERO,
        }]));
    }
}

/// In words, how far a clock is off whose peers are `ahead_ms` ahead of it.
pub(in crate::cluster) fn off_by(ahead_ms: i64) -> String {
    let seconds = ahead_ms.unsigned_abs() as f64 / 1_000.0;
    let side = if ahead_ms > 0 { "behind" } else { "ahead of" };
    format!("{seconds:.1} s {side} its peers'")
}
