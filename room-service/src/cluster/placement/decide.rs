//! What is to be done about each partition, from what is known.

use std::time::Duration;

use proto::PartitionId;

use super::{
    super::{
        clock::Verdict,
        members::Life,
        process::{Moment, Process},
        rendezvous,
    },
    Effect, News, Placement,
    partition::{LOG_SILENT, Mine, Other, Partition},
};

/// Releases that may be asked for at a time: a replica that joins takes its share step by step.
const MOVES_AT_ONCE: usize = 8;
/// How often the log of a partition is looked at that its owner had no reason to ask, and that of one that
/// is being claimed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What others have to do with a partition.
enum Standing<'a> {
    /// A living replica owns it.
    Owned(&'a Other),
    /// Its owner is dead, or has released it.
    Free,
    /// Nobody has announced it for a while.
    Silent,
    /// Somebody may be about to announce it.
    Unheard,
}

/// What this process should do about a partition that it does not own.
enum Wish {
    Nothing,
    /// Claim it once its log is seen to answer.
    Claim,
    /// The same, when its log has answered for long enough to doubt the owner.
    Supersede(Process),
    AskRelease {
        of: Process,
        epoch: u64,
    },
}

impl Placement {
    /// Compares this machine's clock with those of the living, just after one of them told its own.
    pub(super) fn judge_clock(&mut self, now: Moment) {
        let verdict = self.clock.judge(self.members.ahead_ms(), now);
        if std::mem::discriminant(&verdict) != std::mem::discriminant(&self.verdict) {
            self.tell(News::Clock(verdict));
        }
        self.verdict = verdict;
    }

    /// Looks at whether this process may take part: its name, and whether it has listened for long enough.
    pub(super) fn judge_myself(&mut self, now: Duration) {
        let doubled = self.elder_twin().cloned();
        if doubled != self.doubled {
            self.tell(News::Doubled(doubled.clone()));
        }
        self.doubled = doubled;
        let begun = !self.partitions.is_empty();
        self.joined |= begun && self.connected && self.listen_until <= now;
        if self.is_aside() != self.said_aside {
            self.said_aside = self.is_aside();
            self.effects.push(Effect::Announce(Vec::new()));
        }
    }

    /// A living process with this replica id that takes part and was started before this one.
    fn elder_twin(&self) -> Option<&Process> {
        let me = (self.start_ms, &self.me);
        let is_elder_twin = |(process, profile): &(&Process, &super::Profile)| {
            process.replica() == self.me.replica()
                && !profile.aside
                && (profile.start_ms, *process) < me
        };
        self.members.living().find(is_elder_twin).map(|twin| twin.0)
    }

    /// Whether this process takes part in no placement now.
    pub(super) fn is_aside(&self) -> bool {
        !self.joined || self.must_give_up()
    }

    /// Whether this process must own nothing.
    fn must_give_up(&self) -> bool {
        self.stop_by.is_some() || self.is_wrong()
    }

    /// Whether it must own nothing at once.
    fn is_wrong(&self) -> bool {
        self.doubled.is_some() || matches!(self.verdict, Verdict::Off(_))
    }

    /// Whether to go on serving a partition at the end of this process, until whoever should own it next
    /// asks for it.
    fn awaits_heir(&self, pp: PartitionId, now: Duration) -> bool {
        let is_clear = !matches!(self.verdict, Verdict::Unclear(_));
        let has_time = self.stop_by.is_some_and(|by| now < by);
        has_time && is_clear && self.connected && self.winner(pp).is_some()
    }

    fn may_claim(&self, now: Duration) -> bool {
        !self.is_aside() && self.connected && self.listen_until <= now
    }

    pub(super) fn decide(&mut self, now: Duration) {
        let all: Vec<_> = self.partitions.keys().copied().collect();
        for pp in all {
            let Some(mine) = self.partitions.get(&pp).map(|partition| partition.mine) else {
                continue;
            };
            match mine {
                Mine::No => self.decide_to_own(pp, now),
                Mine::Claiming => self.decide_to_go_on_claiming(pp, now),
                Mine::Owned { epoch, .. } => self.decide_to_keep(pp, epoch, now),
                Mine::Ending { .. } => {}
            }
        }
    }

    fn decide_to_keep(&mut self, pp: PartitionId, epoch: u64, now: Duration) {
        let Some(partition) = self.partitions.get(&pp) else {
            return;
        };
        let other = partition.other.as_ref();
        let superseded = other.is_some_and(|other| other.epoch > epoch);
        let must_end = self.is_wrong() || (self.must_give_up() && !self.awaits_heir(pp, now));
        if must_end || superseded {
            self.stop(pp);
        } else if !self.alone && self.connected && partition.log_ok + LOOK_EVERY <= now {
            self.look(pp, now);
        }
    }

    fn decide_to_go_on_claiming(&mut self, pp: PartitionId, now: Duration) {
        if self.alone && !self.must_give_up() {
            return;
        }
        let Some(partition) = self.partitions.get(&pp) else {
            return;
        };
        let is_owned = match self.standing(partition, now) {
            Standing::Owned(other) => other.log_ok + LOG_SILENT > now,
            Standing::Free | Standing::Silent | Standing::Unheard => false,
        };
        let fresh = partition.log.is_fresh(now);
        if !self.may_claim(now) || is_owned || partition.log.is_away() {
            self.stop(pp);
        } else if !fresh {
            self.look(pp, now);
        }
    }

    fn decide_to_own(&mut self, pp: PartitionId, now: Duration) {
        let is_away = self.partitions.get(&pp).is_some_and(|p| p.log.is_away());
        if is_away && self.may_claim(now) {
            // Whoever has no log claims nothing, so none is asked for what it has: when a log was away
            // from everybody, each must see by itself that it is back.
            self.look(pp, now);
        }
        let wish = self.wish(pp, now);
        let moves = self.partitions.values();
        let moves = moves.filter(|partition| partition.asked.is_open).count();
        let Some(partition) = self.partitions.get_mut(&pp) else {
            return;
        };
        match wish {
            Wish::Nothing => {}
            Wish::Claim if self.alone || partition.log.is_good(now) => self.claim(pp),
            Wish::Claim if partition.log.is_fresh(now) => {}
            Wish::Claim => self.look(pp, now),
            Wish::Supersede(owner) if partition.log.answers_steadily(now) => {
                self.tell(News::LogSilent { pp, owner });
                self.claim(pp);
            }
            Wish::Supersede(_) if partition.log.is_fresh(now) => {}
            Wish::Supersede(_) => self.look(pp, now),
            Wish::AskRelease { of, epoch } => {
                if moves < MOVES_AT_ONCE && partition.asked.may(now) {
                    partition.asked.is_open = true;
                    self.effects.push(Effect::AskRelease { pp, of, epoch });
                }
            }
        }
    }

    fn wish(&self, pp: PartitionId, now: Duration) -> Wish {
        let Some(partition) = self.partitions.get(&pp) else {
            return Wish::Nothing;
        };
        if !self.may_claim(now) {
            return Wish::Nothing;
        }
        let standing = self.standing(partition, now);
        let rested = partition.rest.is_over(now);
        let cannot = match (&partition.cannot, &standing) {
            (None, _) => false,
            (Some((_, until)), Standing::Free | Standing::Silent) => *until > now,
            (Some(_), Standing::Owned(_) | Standing::Unheard) => true,
        };
        if cannot {
            return Wish::Nothing;
        }
        let claims = |but| self.claimer(pp, but) == Some(&self.me);
        match standing {
            Standing::Free if claims(None) => Wish::Claim,
            Standing::Silent if rested && claims(None) => Wish::Claim,
            Standing::Owned(other) if rested && other.log_ok + LOG_SILENT <= now => {
                if claims(Some(&other.process)) {
                    Wish::Supersede(other.process.clone())
                } else {
                    Wish::Nothing
                }
            }
            // Between two whose clocks differ nothing moves: nobody knows which one to trust.
            Standing::Owned(other)
                if rested
                    && !matches!(self.verdict, Verdict::Unclear(_))
                    && self.winner(pp) == Some(&self.me) =>
            {
                Wish::AskRelease {
                    of: other.process.clone(),
                    epoch: other.epoch,
                }
            }
            _ => Wish::Nothing,
        }
    }

    fn standing<'a>(&self, partition: &'a Partition, now: Duration) -> Standing<'a> {
        match &partition.other {
            Some(other)
                if other.released || self.members.life(&other.process) == Some(Life::Dead) =>
            {
                Standing::Free
            }
            _ if self.alone => Standing::Silent,
            _ if partition.is_unheard(now) => Standing::Silent,
            Some(other) => Standing::Owned(other),
            None => Standing::Unheard,
        }
    }

    /// Who should own the partition.
    pub(super) fn winner(&self, pp: PartitionId) -> Option<&Process> {
        rendezvous::winner(
            pp,
            self.candidates(pp).map(|(process, ms, _)| (process, ms)),
        )
    }

    /// Who should claim it now, when its owner, if there is one, is not to be waited for: of those whom its
    /// log answers.
    fn claimer(&self, pp: PartitionId, but: Option<&Process>) -> Option<&Process> {
        let able = self
            .candidates(pp)
            .filter(|(process, _, has_log)| *has_log && Some(*process) != but);
        rendezvous::winner(pp, able.map(|(process, ms, _)| (process, ms)))
    }

    /// The living who may own the partition, when they started, and whether its log answers them.
    fn candidates(&self, pp: PartitionId) -> impl Iterator<Item = (&Process, u64, bool)> {
        let has_log = self.partitions.get(&pp).is_some_and(|p| !p.log.is_away());
        let me = (!self.is_aside()).then_some((&self.me, self.start_ms, has_log));
        let others = self
            .members
            .living()
            .filter(move |(_, profile)| !profile.aside && !profile.cannot_own.contains(&pp))
            .map(move |(process, profile)| {
                (process, profile.start_ms, !profile.no_log.contains(&pp))
            });
        me.into_iter().chain(others)
    }

    fn claim(&mut self, pp: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&pp) {
            partition.mine = Mine::Claiming;
            self.effects.push(Effect::Claim(pp));
        }
    }

    pub(super) fn stop(&mut self, pp: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&pp)
            && !matches!(partition.mine, Mine::Ending { .. })
        {
            let epoch = partition.mine.epoch();
            partition.mine = Mine::Ending { epoch };
            self.effects.push(Effect::Stop(pp));
        }
    }

    fn look(&mut self, pp: PartitionId, now: Duration) {
        if let Some(partition) = self.partitions.get_mut(&pp)
            && partition.log.begin(now)
        {
            self.effects.push(Effect::Look(pp));
        }
    }
}
