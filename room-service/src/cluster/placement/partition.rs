//! What this process knows of one partition: whether it owns it, who else says so, and what was asked.

use std::time::Duration;

use proto::PartitionId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::process::Process;

/// A partition that nobody announces for this long is free.
pub(super) const FREE_AFTER: Duration = Duration::from_secs(1);
/// An owner whose log is silent for longer may be superseded by one whom the log answers.
pub(super) const LOG_SILENT: Duration = Duration::from_secs(2);
/// For so long must the log have answered the claimer: after an election it may answer one before the
/// other, and the owner looks often enough to be back in time.
pub(super) const LOG_ANSWERS: Duration = Duration::from_millis(1_500);
/// How long the log's answer stands for its being there.
pub(super) const LOOK_GOOD_FOR: Duration = Duration::from_millis(500);
/// Pause after a look that the log did not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A log that was away is claimed from only this long after it came back: by then its owner is heard.
const LISTEN_AFTER_AWAY: Duration = Duration::from_secs(1);
/// A release that was refused or not answered is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A partition that this version cannot fold is looked at again after this, if nobody owns it then.
const CANNOT_OWN_FOR: Duration = Duration::from_secs(30);
/// Pauses of one that was deposed: the first, the longest, and how long it must then own to begin anew.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// One partition.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) mine: Mine,
    /// When the log last answered this process as its owner.
    pub(super) log_ok: Duration,
    /// The highest epoch that another process announced.
    pub(super) other: Option<Other>,
    /// Owned by somebody unheard before this, as far as is known.
    pub(super) unheard_since: Duration,
    pub(super) asked: Asked,
    pub(super) log: LogLook,
    pub(super) rest: Rest,
    /// Why this process cannot own it, and until when that is taken for granted.
    pub(super) cannot: Option<(String, Duration)>,
    /// Where to answer those who asked for its release.
    pub(super) replies: Vec<String>,
}

/// What this process has to do with a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mine {
    #[default]
    No,
    Claiming,
    Owned {
        epoch: u64,
        since: Duration,
    },
    /// It was told to stop. `epoch`: under which it owned it, if it did.
    Ending {
        epoch: Option<u64>,
    },
}

impl Mine {
    pub(super) fn epoch(self) -> Option<u64> {
        match self {
            Self::Owned { epoch, .. } => Some(epoch),
            Self::Ending { epoch } => epoch,
            Self::No | Self::Claiming => None,
        }
    }
}

/// An owner, as it announces itself.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) process: Process,
    pub(super) epoch: u64,
    pub(super) released: bool,
    pub(super) heard: Duration,
    /// When the log last answered it.
    pub(super) log_ok: Duration,
}

/// A request for release.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) is_open: bool,
    again: Duration,
}

impl Asked {
    pub(super) fn may(&self, now: Duration) -> bool {
        !self.is_open && self.again <= now
    }

    pub(super) fn answered(&mut self, now: Duration) {
        self.is_open = false;
        self.again = now + ASK_AGAIN;
    }
}

/// What looks at the partition's log came to.
#[derive(Default)]
pub(super) struct LogLook {
    is_open: bool,
    answered: Option<Duration>,
    /// The first of the answers in a row.
    answers_since: Option<Duration>,
    again: Duration,
    is_away: bool,
    listen_until: Duration,
}

impl LogLook {
    /// Whether to look now; from then on a look is open.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let may = !self.is_open && self.again <= now;
        self.is_open |= may;
        may
    }

    /// Takes what a look came to; whether that is news.
    pub(super) fn ended(&mut self, answers: bool, now: Duration) -> bool {
        self.is_open = false;
        let was_away = std::mem::replace(&mut self.is_away, !answers);
        if answers {
            self.answered = Some(now);
            self.answers_since.get_or_insert(now);
            if was_away {
                self.listen_until = now + LISTEN_AFTER_AWAY;
            }
        } else {
            (self.answered, self.answers_since) = (None, None);
            self.again = now + LOOK_AGAIN;
        }
        was_away == answers
    }

    pub(super) fn is_away(&self) -> bool {
        self.is_away
    }

    /// Whether it was seen to answer just now, and not only just after it was away.
    pub(super) fn is_good(&self, now: Duration) -> bool {
        self.is_fresh(now) && self.listen_until <= now
    }

    /// Whether it was seen to answer just now.
    pub(super) fn is_fresh(&self, now: Duration) -> bool {
        self.answered.is_some_and(|at| at + LOOK_GOOD_FOR > now)
    }

    /// Whether it has been answering for long enough to doubt an owner whom it does not answer. Looks that
    /// lie far apart say nothing about what was between.
    pub(super) fn answers_steadily(&mut self, now: Duration) -> bool {
        if self.answered.is_none_or(|at| at + 2 * LOOK_GOOD_FOR < now) {
            self.answers_since = None;
        }
        self.is_fresh(now) && self.answers_since.is_some_and(|at| at + LOG_ANSWERS <= now)
    }
}

/// The pauses of a process that was deposed: 1 s, doubling, ± 50 %, at most 30 s.
#[derive(Default)]
pub(super) struct Rest {
    until: Duration,
    times: u32,
}

impl Rest {
    /// It was deposed after it had owned the partition since `since`, if it had.
    pub(super) fn deposed(
        &mut self,
        me: &Process,
        pp: PartitionId,
        since: Option<Duration>,
        now: Duration,
    ) {
        if since.is_some_and(|since| since + SETTLED_AFTER <= now) {
            self.times = 0;
        }
        let doubled = FIRST_REST.saturating_mul(1 << self.times.min(5));
        self.times += 1;
        let pause = doubled.mul_f64(jitter(me, pp, self.times));
        self.until = now + pause.min(LONGEST_REST);
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.until <= now
    }
}

/// From 0.5 to 1.5, another one for each process, partition and time, so that two who deposed each other
/// do not come back together.
fn jitter(me: &Process, pp: PartitionId, times: u32) -> f64 {
    let hash = xxh3_64_with_seed(format!("{me} {pp}").as_bytes(), u64::from(times));
    0.5 + (hash % 1_000) as f64 / 1_000.0
}

impl Partition {
    /// This process cannot own it.
    pub(super) fn cannot(&mut self, why: String, now: Duration) {
        self.cannot = Some((why, now + CANNOT_OWN_FOR));
    }

    /// Whether another process announced it so short a time ago.
    pub(super) fn was_heard_within(&self, now: Duration, time: Duration) -> bool {
        let other = self.other.as_ref();
        other.is_some_and(|other| now < other.heard + time)
    }

    /// Whether somebody else may be about to announce it.
    pub(super) fn is_unheard(&self, now: Duration) -> bool {
        let heard = self
            .other
            .as_ref()
            .map_or(Duration::ZERO, |other| other.heard);
        heard.max(self.unheard_since) + FREE_AFTER <= now
    }
}
