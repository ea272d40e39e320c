//! The other room services, and whether they live: each is asked every 200 ms. Nothing here knows who
//! owns what.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::PartitionId;

use super::{
    clock,
    process::{Moment, Process},
};

/// How often each member is pinged, and how long it has to answer (DESIGN section 5, Who owns what).
pub(super) const PING_EVERY: Duration = Duration::from_millis(200);
/// A ping that nobody took is repeated this soon: a connection that breaks for an instant is back by then,
/// a killed process is not.
const PING_AGAIN: Duration = Duration::from_millis(50);
/// So many pings in a row that nobody took: dead.
const DEAD_AFTER_REFUSALS: u32 = 2;
/// So many pings in a row without an answer: dead.
const DEAD_AFTER_MISSES: u32 = 4;
/// A member that was not heard of for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// What is known of a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It has announced itself, and has not answered yet.
    New,
    /// It answers.
    Living,
    /// It does not answer any more.
    Dead,
}

/// Why a ping had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nobody listens: the process is gone, or its connection is.
    NoResponder,
    /// No answer in time.
    Timeout,
}

/// What a member says of itself in an announcement.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub(super) aside: bool,
    pub(super) start_ms: u64,
    /// Partitions that its version cannot own.
    pub(super) cannot_own: BTreeSet<PartitionId>,
    /// Partitions whose log does not answer it.
    pub(super) no_log: BTreeSet<PartitionId>,
}

/// Another room service.
pub(super) struct Member {
    pub(super) profile: Profile,
    life: Life,
    heard: Duration,
    next_ping: Duration,
    is_asked: bool,
    refusals: u32,
    misses: u32,
    /// How far its clock was ahead of ours when it last answered.
    ahead_ms: Option<i64>,
}

/// All other room services that are heard of.
#[derive(Default)]
pub(super) struct Members {
    members: BTreeMap<Process, Member>,
    /// Silence of pings that were sent before counts for nothing.
    cleared: Duration,
}

impl Members {
    /// A member has announced itself. One that is taken for dead is asked again: only an answer brings it
    /// back.
    pub(super) fn heard(&mut self, process: &Process, profile: Profile, now: Moment) {
        let member = self
            .members
            .entry(process.clone())
            .or_insert_with(|| Member {
                profile: Profile::default(),
                life: Life::New,
                heard: now.mono,
                next_ping: now.mono,
                is_asked: false,
                refusals: 0,
                misses: 0,
                ahead_ms: None,
            });
        member.profile = profile;
        member.heard = now.mono;
    }

    /// A member has said that it ends.
    pub(super) fn left(&mut self, process: &Process) -> bool {
        self.members.remove(process).is_some()
    }

    /// The members to ping now.
    pub(super) fn due(&mut self, now: Moment) -> Vec<Process> {
        self.members.retain(|_, member| {
            member.life == Life::Living || member.heard + FORGET_AFTER > now.mono
        });
        let mut due = Vec::new();
        for (process, member) in &mut self.members {
            // The dead are asked as long as they are heard: they may have slept.
            let is_asleep = member.life == Life::Dead && member.heard + 2 * PING_EVERY <= now.mono;
            if !member.is_asked && !is_asleep && member.next_ping <= now.mono {
                member.is_asked = true;
                member.next_ping = now.mono + PING_EVERY;
                due.push(process.clone());
            }
        }
        due
    }

    /// A ping was answered; whether the member was not living before.
    pub(super) fn answered(
        &mut self,
        process: &Process,
        asked: Moment,
        told_unix_ms: u64,
        now: Moment,
    ) -> bool {
        let Some(member) = self.members.get_mut(process) else {
            return false;
        };
        member.is_asked = false;
        member.heard = now.mono;
        (member.refusals, member.misses) = (0, 0);
        member.ahead_ms = Some(clock::ahead_ms(asked, told_unix_ms, now));
        std::mem::replace(&mut member.life, Life::Living) != Life::Living
    }

    /// A ping had no answer; whether that ends the member's life. `counts`: false while this process
    /// itself may be what is wrong.
    pub(super) fn silent(
        &mut self,
        process: &Process,
        asked: Moment,
        why: Silence,
        counts: bool,
        now: Moment,
    ) -> bool {
        let cleared = self.cleared;
        let Some(member) = self.members.get_mut(process) else {
            return false;
        };
        member.is_asked = false;
        if !counts || asked.mono < cleared {
            return false;
        }
        member.misses += 1;
        if why == Silence::NoResponder {
            member.refusals += 1;
            member.next_ping = now.mono + PING_AGAIN;
        } else {
            member.refusals = 0;
        }
        let is_dead = member.refusals >= DEAD_AFTER_REFUSALS || member.misses >= DEAD_AFTER_MISSES;
        if !is_dead {
            return false;
        }
        std::mem::replace(&mut member.life, Life::Dead) == Life::Living
    }

    /// A ping could not be sent.
    pub(super) fn not_asked(&mut self, process: &Process) {
        if let Some(member) = self.members.get_mut(process) {
            member.is_asked = false;
        }
    }

    /// Forgets all suspicion: this process slept, or was cut off, and the silence was its own.
    pub(super) fn clear(&mut self, now: Moment) {
        self.cleared = now.mono;
        for member in self.members.values_mut() {
            (member.refusals, member.misses) = (0, 0);
        }
    }

    /// Those who answer.
    pub(super) fn living(&self) -> impl Iterator<Item = (&Process, &Profile)> {
        self.members
            .iter()
            .filter(|(_, member)| member.life == Life::Living)
            .map(|(process, member)| (process, &member.profile))
    }

    /// How far the clocks of the living are ahead of ours.
    pub(super) fn ahead_ms(&self) -> Vec<i64> {
        self.members
            .values()
            .filter(|member| member.life == Life::Living)
            .filter_map(|member| member.ahead_ms)
            .collect()
    }

    /// What is known of a process; `None` when it is not heard of, or does not answer pings at all.
    pub(super) fn life(&self, process: &Process) -> Option<Life> {
        self.members.get(process).map(|member| member.life)
    }
}

#[cfg(test)]
mod tests;
