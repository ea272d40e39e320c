//! What of the log is not in the store yet: which values differ since which commit, in the order of the
//! commits. It says how far the log may be trimmed and which value should be put next.

use std::collections::{BTreeSet, HashMap, VecDeque};

use proto::RoomId;

use super::Now;

/// A round over all dirty values takes this long: none stays dirty longer than 60 s (DESIGN section 5).
const ROUND_US: u64 = 50_000_000;
/// … or this many bytes of log, so that no more than 4 MiB of it are ever needed.
const ROUND_BYTES: u64 = 3 * 1024 * 1024;
/// … or this long when nothing is committed any more.
const IDLE_ROUND_US: u64 = 3_000_000;
/// No commit for this long is idleness.
const IDLE_AFTER_US: u64 = 2_000_000;
/// Puts that may be caught up with at once.
const MAX_CREDIT: f64 = 64.0;
/// The checkpoint stays three seconds behind the log, and a mark's tenth: whoever was deposed a moment ago
/// can still read on.
const BEHIND_US: u64 = 3_100_000;
/// Pauses of a value that the store refused: the first, which doubles, and the longest.
const FIRST_PAUSE_US: u64 = 1_000_000;
const LONGEST_PAUSE_US: u64 = 30_000_000;

/// A value of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// Commits of a room that is not loaded.
    Tail,
    /// The room's own value: its record and open page.
    Record,
    /// A full page.
    Page(u64),
    /// Who reacted to the events of a page.
    Reacts(u64),
}

/// The dirty values of a partition.
#[derive(Default)]
pub(super) struct Ledger {
    /// By the first commit that is not in the store.
    dirty: BTreeSet<(u64, RoomId, Part)>,
    /// Those that cannot be put for now: none waits for them, and the log is kept for them.
    parked: BTreeSet<(u64, RoomId, Part)>,
    /// Values that the store refused.
    refused: HashMap<(RoomId, Part), Pause>,
    /// When the pause of a room's value ends.
    pauses: BTreeSet<(u64, RoomId)>,
    /// Superseded versions that are to be erased.
    erasures: VecDeque<(RoomId, Part, u64)>,
    /// To be put without waiting for their turn.
    urgent: VecDeque<(RoomId, Part)>,
    /// Puts that may be made now, beyond the urgent ones.
    credit: f64,
    credited_us: u64,
    /// Commits of late: when, their log seq, and the bytes of log up to them.
    commits: VecDeque<Mark>,
    bytes: u64,
    credited_bytes: u64,
}

#[derive(Clone, Copy)]
struct Pause {
    until_us: u64,
    length_us: u64,
}

#[derive(Clone, Copy)]
struct Mark {
    at_us: u64,
    log_seq: u64,
}

impl Ledger {
    /// A record of the log was folded.
    pub(super) fn committed(&mut self, log_seq: u64, bytes: usize, now: Now) {
        self.bytes += bytes as u64;
        let is_recent = |mark: &&mut Mark| now.mono_us.saturating_sub(mark.at_us) < 100_000;
        // One mark for each tenth of a second: its time is that of its first commit.
        match self.commits.back_mut().filter(is_recent) {
            Some(mark) => mark.log_seq = log_seq,
            None => self.commits.push_back(Mark {
                at_us: now.mono_us,
                log_seq,
            }),
        }
    }

    pub(super) fn mark(&mut self, room: &RoomId, part: Part, log_seq: u64) {
        self.dirty.insert((log_seq, room.clone(), part));
    }

    pub(super) fn unmark(&mut self, room: &RoomId, part: Part, log_seq: u64) {
        let mark = (log_seq, room.clone(), part);
        if !self.dirty.remove(&mark) {
            self.parked.remove(&mark);
        }
    }

    /// A dirty value cannot be put for now.
    pub(super) fn park(&mut self, mark: (u64, RoomId, Part)) {
        if self.dirty.remove(&mark) {
            self.parked.insert(mark);
        }
    }

    /// What kept values of a room from being put is over, or may be.
    pub(super) fn unpark(&mut self, room: &RoomId) {
        let back = self.parked.iter().filter(|(_, of, _)| of == room);
        let back: Vec<_> = back.cloned().collect();
        for mark in back {
            self.parked.remove(&mark);
            self.dirty.insert(mark);
        }
    }

    /// The store refused a value: it is put again after a pause, which grows.
    pub(super) fn refused(&mut self, room: &RoomId, part: Part, now: Now) {
        let key = (room.clone(), part);
        let before = self.refused.get(&key);
        let length_us = before.map_or(FIRST_PAUSE_US, |pause| pause.length_us * 2);
        let length_us = length_us.min(LONGEST_PAUSE_US);
        let until_us = now.mono_us + length_us;
        let pause = Pause {
            until_us,
            length_us,
        };
        self.refused.insert(key, pause);
        self.pauses.insert((until_us, room.clone()));
    }

    /// The store took a value.
    pub(super) fn taken(&mut self, room: &RoomId, part: Part) {
        if !self.refused.is_empty() {
            self.refused.remove(&(room.clone(), part));
        }
        self.unpark(room);
    }

    /// Whether the store refused a value a short while ago.
    pub(super) fn is_paused(&self, room: &RoomId, part: Part, now: Now) -> bool {
        let pause = self.refused.get(&(room.clone(), part));
        pause.is_some_and(|pause| now.mono_us < pause.until_us)
    }

    /// Ends the pauses that are over; the refused values that may be put again.
    pub(super) fn end_pauses(&mut self, now: Now) -> Vec<(RoomId, Part)> {
        let mut over = Vec::new();
        while let Some((until_us, room)) = self.pauses.pop_first() {
            if until_us > now.mono_us {
                self.pauses.insert((until_us, room));
                break;
            }
            let values = self.refused.keys().filter(|(of, _)| *of == room);
            over.extend(values.cloned());
            self.unpark(&room);
        }
        over
    }

    /// A superseded version is to be erased.
    pub(super) fn erase(&mut self, room: &RoomId, part: Part, revision: u64) {
        self.erasures.push_back((room.clone(), part, revision));
    }

    pub(super) fn next_erasure(&mut self) -> Option<(RoomId, Part, u64)> {
        self.erasures.pop_front()
    }

    pub(super) fn hurry(&mut self, room: &RoomId, part: Part) {
        self.urgent.push_back((room.clone(), part));
    }

    pub(super) fn next_urgent(&mut self) -> Option<(RoomId, Part)> {
        self.urgent.pop_front()
    }

    /// The dirty values, oldest first.
    pub(super) fn oldest(&self) -> impl Iterator<Item = &(u64, RoomId, Part)> {
        self.dirty.iter()
    }

    /// Begins to earn now: what was committed before is put in the round that begins. A claim ends with this,
    /// or all that it has read would be due at once, and requests would wait for it.
    pub(super) fn begin_round(&mut self, now: Now) {
        self.credited_us = now.mono_us;
        self.credited_bytes = self.bytes;
    }

    /// Earns what has passed, in time and bytes; whether a put may be made now.
    pub(super) fn has_credit(&mut self, now: Now) -> bool {
        let round_us = if self.is_idle(now) {
            IDLE_ROUND_US
        } else {
            ROUND_US
        };
        let passed_us = now.mono_us.saturating_sub(self.credited_us);
        let passed_bytes = self.bytes - self.credited_bytes;
        self.credited_us = now.mono_us;
        self.credited_bytes = self.bytes;
        let by_time = passed_us as f64 / round_us as f64;
        let by_bytes = passed_bytes as f64 / ROUND_BYTES as f64;
        let earned = by_time.max(by_bytes) * self.dirty.len() as f64;
        self.credit = (self.credit + earned).min(MAX_CREDIT);
        self.credit >= 1.0
    }

    pub(super) fn spend(&mut self) {
        self.credit -= 1.0;
    }

    /// Up to which log seq everything is in the store, and long enough ago.
    pub(super) fn checkpoint(&mut self, folded: u64, now: Now) -> u64 {
        let is_old = |mark: &Mark| now.mono_us.saturating_sub(mark.at_us) >= BEHIND_US;
        while self.commits.get(1).is_some_and(is_old) {
            self.commits.pop_front();
        }
        let oldest = self.dirty.first().into_iter().chain(self.parked.first());
        let stored = oldest
            .map(|(log_seq, _, _)| log_seq - 1)
            .min()
            .unwrap_or(folded);
        let old_enough = match self.commits.front() {
            // Everything is old.
            None => folded,
            Some(mark) if is_old(mark) => mark.log_seq,
            Some(_) => 0,
        };
        stored.min(old_enough)
    }

    fn is_idle(&self, now: Now) -> bool {
        self.commits
            .back()
            .is_none_or(|mark| now.mono_us.saturating_sub(mark.at_us) >= IDLE_AFTER_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            unix_ms: 0,
            mono_us: ms * 1_000,
        }
    }

    fn room(name: &str) -> RoomId {
        RoomId::parse(name).unwrap()
    }

    #[test]
    fn what_a_claim_has_read_is_not_due_at_once() {
        let mut ledger = Ledger::default();
        for number in 0..1_000 {
            ledger.mark(&room(&format!("r{number}")), Part::Tail, 1);
        }
        ledger.committed(1, 4 * 1024 * 1024, at(3_600_000));
        ledger.begin_round(at(3_600_000));
        assert!(!ledger.has_credit(at(3_600_000)));
        assert!(ledger.has_credit(at(3_600_100)), "a fiftieth a second");
    }

    #[test]
    fn the_log_is_kept_from_the_oldest_commit_that_is_not_stored() {
        let mut ledger = Ledger::default();
        for log_seq in 1..=10 {
            ledger.committed(log_seq, 100, at(log_seq * 1_000));
        }
        assert_eq!(ledger.checkpoint(10, at(10_000)), 6, "three seconds behind");
        ledger.mark(&room("a"), Part::Record, 4);
        ledger.mark(&room("b"), Part::Page(0), 2);
        assert_eq!(ledger.checkpoint(10, at(10_000)), 1);
        ledger.unmark(&room("b"), Part::Page(0), 2);
        assert_eq!(ledger.checkpoint(10, at(10_000)), 3);
        ledger.unmark(&room("a"), Part::Record, 4);
        assert_eq!(ledger.checkpoint(10, at(20_000)), 10, "idle: to the end");
    }

    /// Puts in `seconds` of 10 ms steps, each put value dirty again at once.
    fn puts(rooms: usize, commits_per_step: u64, bytes: usize, seconds: u64) -> u64 {
        let mut ledger = Ledger::default();
        for number in 0..rooms {
            ledger.mark(&room(&format!("r{number}")), Part::Record, 1);
        }
        let mut puts = 0;
        ledger.begin_round(at(0));
        for step in 1..=seconds * 100 {
            for _ in 0..commits_per_step {
                ledger.committed(step, bytes, at(step * 10));
            }
            while ledger.has_credit(at(step * 10)) {
                ledger.spend();
                puts += 1;
            }
        }
        puts / seconds
    }

    #[test]
    fn quiet_rooms_are_put_at_a_steady_rate() {
        // 2,000 rooms in one partition, 400 messages of 150 bytes a second.
        assert_eq!(puts(2_000, 4, 150, 60), 40);
        // 20,000 messages a second in 32 partitions: 625 messages and 63 rooms in each.
        assert_eq!(puts(63, 6, 150, 60), 1);
    }

    #[test]
    fn four_mebibytes_of_log_are_never_needed() {
        // 30 MB/s of log in one partition: a round over its 100 rooms takes a tenth of a second.
        let per_second = puts(100, 1, 300_000, 10);
        assert!((900..1_100).contains(&per_second), "{per_second}");
    }
}
