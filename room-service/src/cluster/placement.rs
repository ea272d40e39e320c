//! Who should own what, without IO: takes what was heard, asked and timed, and says what to do. Ownership
//! is a hint for speed; the log's expectation is what keeps two owners from both writing, so everything
//! here may be wrong for a moment and nothing is lost.

mod decide;
mod inputs;
mod partition;
mod report;

use std::{collections::BTreeMap, time::Duration};

use proto::PartitionId;

use super::{
    clock::{ClockCheck, Verdict},
    members::{Members, Profile, Silence},
    process::{Moment, Process},
};
use partition::Partition;

pub(super) use report::off_by;

/// How often the placement must be told the time.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// Something happened.
#[derive(Debug)]
pub(super) enum Input {
    /// These are the installation's partitions; from now on others are listened to.
    Begin(Vec<PartitionId>),
    /// Time passes. `connected`: whether the broker is reachable.
    Tick { connected: bool },
    /// Another process announced itself.
    Heard(Announced),
    /// A member answered a ping that was sent at `asked`, by its clock at `told_unix_ms`.
    Answered {
        process: Process,
        asked: Moment,
        told_unix_ms: u64,
    },
    /// A member did not answer; without `why` the ping could not be sent.
    Unanswered {
        process: Process,
        asked: Moment,
        why: Option<Silence>,
    },
    /// A look at a partition's log ended.
    Looked { pp: PartitionId, answers: bool },
    /// The claim succeeded.
    Owned { pp: PartitionId, epoch: u64 },
    /// The claim or the ownership ended.
    Ended { pp: PartitionId, how: Ended },
    /// Another process asks for the release of a partition, and awaits the answer at `reply`.
    ReleaseAsked {
        pp: PartitionId,
        epoch: u64,
        by: Process,
        reply: String,
    },
    /// What came of asking `of` for release.
    ReleaseAnswered {
        pp: PartitionId,
        of: Process,
        released: bool,
    },
    /// The process is to end.
    Stop,
}

/// How a claim or an ownership ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was told to stop, and has answered what it had received.
    Stopped,
    /// The log shows another owner.
    Deposed,
    /// This version cannot own the partition, and why.
    CannotOwn(String),
}

/// What another process announced.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) process: Process,
    pub(super) answers_pings: bool,
    pub(super) left: bool,
    pub(super) profile: Profile,
    pub(super) owned: Vec<Owned>,
}

/// A partition in an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) pp: PartitionId,
    pub(super) epoch: u64,
    pub(super) released: bool,
    pub(super) log_ok_ago: Duration,
}

/// Something is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Announce this process, with these partitions.
    Announce(Vec<Owned>),
    /// Ping a member, and say what came of it.
    Ping(Process),
    /// Claim a partition and own it; say when it is owned, and when that ended.
    Claim(PartitionId),
    /// Stop claiming or owning a partition.
    Stop(PartitionId),
    /// Ask a living owner to release a partition.
    AskRelease {
        pp: PartitionId,
        of: Process,
        epoch: u64,
    },
    /// Answer who asked for a release; `refused`: why not.
    AnswerRelease {
        reply: String,
        refused: Option<&'static str>,
    },
    /// See whether a partition's log answers.
    Look(PartitionId),
    /// Tell the operator.
    Tell(News),
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A replica answers, for the first time or again.
    Joined(Process),
    /// A replica has ended in good order.
    Left(Process),
    /// A replica does not answer any more; it owned so many partitions.
    Died { process: Process, owned: usize },
    /// This process did not run for a while.
    Slept(Duration),
    /// What is thought of this machine's clock has changed.
    Clock(Verdict),
    /// Another process has this replica's id; `None`: not any more.
    Doubled(Option<Process>),
    /// The owner of a partition does not reach its log, which answers here.
    LogSilent { pp: PartitionId, owner: Process },
}

/// Who owns what, and who should.
pub(super) struct Placement {
    me: Process,
    start_ms: u64,
    /// No other process shares the broker: nothing to listen for, nobody to ask.
    alone: bool,
    partitions: BTreeMap<PartitionId, Partition>,
    members: Members,
    clock: ClockCheck,
    verdict: Verdict,
    doubled: Option<Process>,
    connected: bool,
    /// It has listened since its start, and takes part.
    joined: bool,
    /// The process is to end: by then everything is released, asked for or not.
    stop_by: Option<Duration>,
    /// Whether it was last announced as standing aside.
    said_aside: bool,
    /// Nothing is claimed before: who just came, slept or was cut off listens first.
    listen_until: Duration,
    ticked: Option<Duration>,
    announce_at: Duration,
    effects: Vec<Effect>,
}

impl Placement {
    pub(super) fn new(me: Process, start_ms: u64, alone: bool) -> Self {
        Self {
            me,
            start_ms,
            alone,
            partitions: BTreeMap::new(),
            members: Members::default(),
            clock: ClockCheck::default(),
            verdict: Verdict::Right,
            doubled: None,
            connected: true,
            joined: false,
            stop_by: None,
            said_aside: true,
            listen_until: Duration::ZERO,
            ticked: None,
            announce_at: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// Takes what happened and returns what is to be done, in order.
    pub(super) fn handle(&mut self, input: Input, now: Moment) -> Vec<Effect> {
        self.take(input, now);
        self.judge_myself(now.mono);
        self.decide(now.mono);
        std::mem::take(&mut self.effects)
    }

    /// The log has confirmed the state of a partition that this process owns. Comes with every commit, and
    /// changes nothing that is to be done.
    pub(super) fn confirmed(&mut self, pp: PartitionId, now: Duration) {
        if let Some(partition) = self.partitions.get_mut(&pp) {
            partition.log_ok = now;
        }
    }
}

#[cfg(test)]
mod tests;
