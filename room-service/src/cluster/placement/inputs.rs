//! What each input changes. Nothing is decided here.

use std::time::Duration;

use proto::PartitionId;

use super::{
    super::{
        clock::Verdict,
        members::Life,
        process::{Moment, Process},
    },
    Announced, Effect, Ended, Input, News, Owned, Placement, TICK,
    partition::{Mine, Other},
};

/// How often a process says what it owns.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(250);
/// How long one that has just started listens before it takes part.
const LISTEN_AT_START: Duration = Duration::from_secs(1);
/// A tick that is later than this: the process has slept.
const LATE: Duration = Duration::from_millis(400);
/// How long one that has slept listens: every owner announces itself twice within it.
const LISTEN_AFTER_SLEEP: Duration = Duration::from_millis(500);
/// How long one that was cut off from the broker listens: others may come back as much later, by the
/// longest pause between attempts to connect.
const LISTEN_AFTER_CUT: Duration = Duration::from_millis(2_500);
/// How long a process that ends goes on serving until others ask for its partitions: they read ahead.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(2);

impl Placement {
    pub(super) fn take(&mut self, input: Input, now: Moment) {
        match input {
            Input::Begin(partitions) => self.begin(partitions, now.mono),
            Input::Tick { connected } => self.tick(connected, now),
            Input::Heard(announced) => self.heard(announced, now),
            Input::Answered {
                process,
                asked,
                told_unix_ms,
            } => {
                if self.members.answered(&process, asked, told_unix_ms, now) {
                    self.tell(News::Joined(process));
                }
                self.judge_clock(now);
            }
            Input::Unanswered {
                process,
                asked,
                why,
            } => self.unanswered(process, asked, why, now),
            Input::Looked { pp, answers } => self.looked(pp, answers, now.mono),
            Input::Owned { pp, epoch } => self.owned(pp, epoch, now.mono),
            Input::Ended { pp, how } => self.ended(pp, how, now.mono),
            Input::ReleaseAsked {
                pp,
                epoch,
                by,
                reply,
            } => self.release_asked(pp, epoch, &by, reply),
            Input::ReleaseAnswered { pp, of, released } => {
                self.release_answered(pp, &of, released, now.mono);
            }
            Input::Stop => self.stop_by = Some(now.mono + HAND_OVER_WITHIN),
        }
    }

    fn begin(&mut self, partitions: Vec<PartitionId>, now: Duration) {
        self.partitions = partitions
            .into_iter()
            .map(|pp| (pp, Default::default()))
            .collect();
        self.joined = self.alone;
        if !self.alone {
            self.listen_until = now + LISTEN_AT_START;
        }
        self.ticked = Some(now);
    }

    fn tick(&mut self, connected: bool, now: Moment) {
        let due = self.ticked.map_or(now.mono, |last| last + TICK);
        self.ticked = Some(now.mono);
        let late = now.mono.saturating_sub(due);
        if late > LATE && !self.alone {
            self.members.clear(now);
            self.listen(LISTEN_AFTER_SLEEP, now.mono);
            self.tell(News::Slept(late));
        }
        let was_connected = std::mem::replace(&mut self.connected, connected);
        if !connected {
            return;
        }
        if !was_connected && !self.alone {
            self.members.clear(now);
            self.listen(LISTEN_AFTER_CUT, now.mono);
        }
        for process in self.members.due(now) {
            self.effects.push(Effect::Ping(process));
        }
        if self.announce_at <= now.mono {
            self.announce_at = now.mono + ANNOUNCE_EVERY;
            let all = self.all_owned(now.mono);
            self.effects.push(Effect::Announce(all));
        }
    }

    fn listen(&mut self, time: Duration, now: Duration) {
        self.listen_until = self.listen_until.max(now + time);
    }

    fn heard(&mut self, announced: Announced, now: Moment) {
        let process = announced.process;
        if process == self.me || self.alone {
            return;
        }
        for owned in announced.owned {
            self.heard_owned(&process, owned, now.mono);
        }
        if announced.left {
            self.gone(&process);
            if self.members.left(&process) {
                self.tell(News::Left(process));
                self.judge_clock(now);
            }
        } else if announced.answers_pings {
            self.members.heard(&process, announced.profile, now);
        }
    }

    fn heard_owned(&mut self, process: &Process, owned: Owned, now: Duration) {
        let Some(partition) = self.partitions.get_mut(&owned.pp) else {
            return;
        };
        if partition
            .mine
            .epoch()
            .is_some_and(|mine| owned.epoch <= mine)
        {
            return;
        }
        let mut released = owned.released;
        if let Some(known) = &partition.other {
            if owned.epoch < known.epoch {
                return;
            }
            // An announcement from before the release may come after the answer that told of it.
            let same = owned.epoch == known.epoch && *process == known.process;
            released |= same && known.released;
        }
        partition.other = Some(Other {
            process: process.clone(),
            epoch: owned.epoch,
            released,
            heard: now,
            log_ok: now.saturating_sub(owned.log_ok_ago),
        });
    }

    /// A process is no more: what it owned is free.
    fn gone(&mut self, process: &Process) {
        for partition in self.partitions.values_mut() {
            if let Some(other) = &mut partition.other
                && other.process == *process
            {
                other.released = true;
            }
        }
    }

    fn unanswered(
        &mut self,
        process: Process,
        asked: Moment,
        why: Option<super::Silence>,
        now: Moment,
    ) {
        let Some(why) = why else {
            self.members.not_asked(&process);
            return;
        };
        let counts = self.connected && self.listen_until <= now.mono;
        if self.members.silent(&process, asked, why, counts, now) {
            let is_its = |other: &Other| other.process == process && !other.released;
            let others = self.partitions.values().filter_map(|p| p.other.as_ref());
            let owned = others.filter(|other| is_its(other)).count();
            self.tell(News::Died { process, owned });
            self.judge_clock(now);
        }
    }

    fn looked(&mut self, pp: PartitionId, answers: bool, now: Duration) {
        let Some(partition) = self.partitions.get_mut(&pp) else {
            return;
        };
        let is_news = partition.log.ended(answers, now);
        if answers {
            partition.log_ok = now;
        }
        if is_news {
            self.effects.push(Effect::Announce(Vec::new()));
        }
    }

    fn owned(&mut self, pp: PartitionId, epoch: u64, now: Duration) {
        let Some(partition) = self.partitions.get_mut(&pp) else {
            return;
        };
        // A claim that was to stop may have succeeded all the same; then it stops as an ownership.
        partition.mine = match partition.mine {
            Mine::Ending { .. } => Mine::Ending { epoch: Some(epoch) },
            _ => Mine::Owned { epoch, since: now },
        };
        partition.log_ok = now;
        partition.cannot = None;
        partition.other = partition.other.take().filter(|other| other.epoch > epoch);
        self.announce(pp, epoch, false);
    }

    fn ended(&mut self, pp: PartitionId, how: Ended, now: Duration) {
        let Some(partition) = self.partitions.get_mut(&pp) else {
            return;
        };
        let was = std::mem::take(&mut partition.mine);
        let since = match was {
            Mine::Owned { since, .. } => Some(since),
            _ => None,
        };
        let asked_to = matches!(was, Mine::Ending { .. });
        let superseded = partition
            .other
            .as_ref()
            .is_some_and(|other| Some(other.epoch) > was.epoch());
        let (mut released, mut refused) = (None, Some("it was deposed"));
        match how {
            Ended::Stopped if asked_to && (was.epoch().is_none() || !superseded) => {
                refused = None;
                if let Some(epoch) = was.epoch() {
                    partition.other = Some(Other {
                        process: self.me.clone(),
                        epoch,
                        released: true,
                        heard: now,
                        log_ok: now,
                    });
                    released = Some(epoch);
                }
            }
            Ended::Stopped | Ended::Deposed => {
                partition.rest.deposed(&self.me, pp, since, now);
                partition.unheard_since = now;
            }
            Ended::CannotOwn(why) => {
                refused = Some("this version cannot own it");
                partition.cannot(why, now);
                partition.unheard_since = now;
                self.effects.push(Effect::Announce(Vec::new()));
            }
        }
        let replies = std::mem::take(&mut partition.replies);
        if let Some(epoch) = released {
            self.announce(pp, epoch, true);
        }
        for reply in replies {
            self.effects.push(Effect::AnswerRelease { reply, refused });
        }
    }

    fn release_asked(&mut self, pp: PartitionId, epoch: u64, by: &Process, reply: String) {
        let refused = match self.partitions.get(&pp).map(|partition| partition.mine) {
            Some(Mine::Ending { epoch: Some(mine) }) if mine == epoch => None,
            Some(Mine::Owned { epoch: mine, .. }) if mine == epoch => {
                let should = self.winner(pp) == Some(by);
                let clear = !matches!(self.verdict, Verdict::Unclear(_));
                if !self
                    .members
                    .life(by)
                    .is_some_and(|life| life == Life::Living)
                {
                    Some("the asker is not known to live")
                } else if !should {
                    Some("it should not move, as seen from here")
                } else if !clear {
                    Some("the clocks of the two differ")
                } else {
                    None
                }
            }
            _ => Some("it is not owned here under this epoch"),
        };
        match (refused, self.partitions.get_mut(&pp)) {
            (None, Some(partition)) => {
                partition.replies.push(reply);
                self.stop(pp);
            }
            (refused, _) => self.effects.push(Effect::AnswerRelease { reply, refused }),
        }
    }

    fn release_answered(&mut self, pp: PartitionId, of: &Process, released: bool, now: Duration) {
        let Some(partition) = self.partitions.get_mut(&pp) else {
            return;
        };
        partition.asked.answered(now);
        if let Some(other) = &mut partition.other
            && other.process == *of
        {
            other.released |= released;
        }
    }

    pub(super) fn tell(&mut self, news: News) {
        self.effects.push(Effect::Tell(news));
    }
}
