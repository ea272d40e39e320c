//! Holds what clients saw and what the logs hold to the promises. Shares no code with what it checks, and
//! reads nothing else of it.

mod fold;
mod gone;
mod reading;

use std::{collections::BTreeMap, fmt};

use broker::Value;
use bytes::{Buf as _, Bytes};
use prost::Message as _;
use proto::{
    PartitionId,
    bus::v1::send::Body,
    log::v1::{Commit, CommitFrame, Event, RoomEvents, event::Kind},
    time::rfc3339,
};

use crate::seen::{Answer, Everything, Sent};
use gone::Gone;

/// Logs as they were ever appended to.
pub(crate) type Logs = BTreeMap<PartitionId, Vec<(u64, Bytes)>>;

/// What there was to check.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) records: usize,
    pub(crate) epochs: usize,
    pub(crate) events: usize,
    pub(crate) acked: usize,
    pub(crate) refused: usize,
    pub(crate) histories: usize,
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            records,
            epochs,
            events,
            acked,
            refused,
            histories,
        } = self;
        write!(
            f,
            "{records} records of {epochs} epochs with {events} events, {acked} acked, {refused} refused, {histories} histories"
        )
    }
}

/// Where an event stands, by who sent it: room, user, cid.
type ByCid<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a Event>;

/// What logs and stores hold at the end, and what sort of world it was.
pub(crate) struct Kept {
    pub(crate) logs: Logs,
    /// Up to where each log was trimmed.
    pub(crate) trimmed: BTreeMap<PartitionId, u64>,
    pub(crate) stores: BTreeMap<PartitionId, BTreeMap<String, Value>>,
    /// There was time enough for what was redacted to be gone.
    pub(crate) must_be_gone: bool,
    /// Messages may have been stamped an hour ago, or tomorrow.
    pub(crate) clocks_jump: bool,
}

impl Kept {
    /// Full pages in the stores.
    pub(crate) fn pages(&self) -> usize {
        let keys = self.stores.values().flat_map(BTreeMap::keys);
        keys.filter(|key| key.starts_with("page.")).count()
    }
}

/// The rooms as the logs tell them.
type Rooms = BTreeMap<String, Vec<Event>>;

/// Checks all promises.
///
/// # Errors
/// Each broken one, in words that begin with its name.
pub(crate) fn check(seen: &Everything, kept: &Kept) -> Result<Facts, Vec<String>> {
    let mut broken = seen.wrong.clone();
    let mut facts = Facts::default();
    let rooms = rooms(kept, &mut facts, &mut broken);
    for (room, events) in &rooms {
        facts.events += events.len();
        broken.extend(order(room, events));
    }
    let (by_cid, doubled) = by_cid(&rooms);
    broken.extend(doubled);
    let gone = Gone::of(&rooms);
    for sent in &seen.sent {
        match &sent.answer {
            Answer::Acked { .. } => facts.acked += 1,
            Answer::Refused { .. } => facts.refused += 1,
        }
        broken.extend(answered(sent, &by_cid, &gone, kept.clocks_jump));
    }
    facts.histories = seen.histories.len();
    broken.extend(reading::check(seen, &rooms));
    if kept.must_be_gone {
        broken.extend(gone.traces(&rooms, kept));
    }
    if broken.is_empty() {
        Ok(facts)
    } else {
        Err(broken)
    }
}

/// The rooms as the logs tell them, with what is wrong with the logs.
fn rooms(kept: &Kept, facts: &mut Facts, broken: &mut Vec<String>) -> Rooms {
    let mut rooms = Rooms::new();
    for (pp, log) in &kept.logs {
        facts.records += log.len();
        let mut writers = Writers::default();
        for (log_seq, record) in log {
            match decode(record) {
                Ok(commit) => {
                    let at = format!("record {log_seq} of {pp}");
                    broken.extend(writers.see(&at, &commit));
                    for events in commit.rooms {
                        rooms.entry(events.room).or_default().extend(events.events);
                    }
                }
                Err(error) => broken.push(format!("record {log_seq} of {pp}: {error}")),
            }
        }
        facts.epochs += writers.of_epoch.len();
    }
    rooms
}

/// Who wrote a partition's log.
#[derive(Default)]
struct Writers {
    epoch: u64,
    of_epoch: BTreeMap<u64, String>,
}

impl Writers {
    /// FENCE: epochs never fall, and each has one writer.
    fn see(&mut self, at: &str, commit: &Commit) -> Option<String> {
        if commit.epoch < self.epoch {
            return Some(format!(
                "FENCE: {at} of epoch {} stands after one of epoch {}",
                commit.epoch, self.epoch
            ));
        }
        self.epoch = commit.epoch;
        let writer = self.of_epoch.entry(commit.epoch);
        let writer = writer.or_insert_with(|| commit.owner.clone());
        (*writer != commit.owner).then(|| {
            format!(
                "FENCE: {at}: epoch {} has two writers, {writer} and {}",
                commit.epoch, commit.owner
            )
        })
    }
}

/// ORDER: 1, 2, 3 … and time that never runs backwards.
fn order(room: &str, events: &[Event]) -> Vec<String> {
    let mut broken = Vec::new();
    for (expected, event) in (1..).zip(events) {
        if event.seq != expected {
            let found = event.seq;
            broken.push(format!(
                "ORDER: {room} has {found} where {expected} belongs"
            ));
            break;
        }
    }
    for (before, event) in events.iter().zip(events.iter().skip(1)) {
        if event.ts_ms < before.ts_ms {
            broken.push(format!(
                "ORDER: time runs backwards at {room}:{}",
                event.seq
            ));
        }
    }
    broken
}

/// ONCE: no user's cid stands in a room twice.
fn by_cid(rooms: &Rooms) -> (ByCid<'_>, Vec<String>) {
    let (mut found, mut broken) = (ByCid::new(), Vec::new());
    for (room, events) in rooms {
        for event in events {
            let key = (room.as_str(), author(event), event.cid.as_str());
            if let Some(first) = found.insert(key, event) {
                broken.push(format!(
                    "ONCE: cid {} of {} is {room}:{} and {room}:{}",
                    event.cid, key.1, first.seq, event.seq
                ));
            }
        }
    }
    (found, broken)
}

/// ACK: what was acked is where the ack said, and says what was sent. CLOSED: what was refused is nowhere,
/// and was refused only for what it refers to: in so short a life no cid expires.
fn answered(sent: &Sent, by_cid: &ByCid<'_>, gone: &Gone, clocks_jump: bool) -> Option<String> {
    let key = (sent.room.as_str(), sent.user.as_str(), sent.cid.as_str());
    let found = by_cid.get(&key);
    match (&sent.answer, found) {
        (Answer::Acked { seq, ts }, Some(event)) => {
            // Of what is redacted nobody knows any more what it said.
            let is_so = if sent.is_other_body {
                gone.redacted.contains(&(key.0.to_owned(), *seq))
            } else {
                says(event, &sent.body)
            };
            let is_there = event.seq == *seq && rfc3339(event.ts_ms) == *ts && is_so;
            (!is_there).then(|| format!("ACK: {key:?} was acked as {seq} at {ts} and is {event:?}"))
        }
        (Answer::Acked { seq, .. }, None) => {
            Some(format!("ACK: {key:?} was acked as {seq} and is nowhere"))
        }
        (Answer::Refused { code }, Some(_)) if sent.is_other_body && code == "CID_REUSED" => None,
        (Answer::Refused { code }, Some(event)) => {
            let seq = event.seq;
            Some(format!(
                "CLOSED: {key:?} was refused with {code} and is {seq}"
            ))
        }
        (Answer::Refused { code }, None) => {
            let is_right = match code.as_str() {
                "TARGET_UNKNOWN" => gone.is(sent),
                "EDIT_TOO_LATE" => clocks_jump && matches!(sent.body, Body::Edit(_)),
                _ => false,
            };
            (!is_right).then(|| format!("CLOSED: {key:?} was refused with {code}: {:?}", sent.body))
        }
    }
}

/// Whether an event of the log says what was sent; counts are the owner's.
fn says(event: &Event, body: &Body) -> bool {
    match (&event.kind, body) {
        (Some(Kind::Message(is)), Body::Message(sent)) => is == sent,
        (Some(Kind::Edit(is)), Body::Edit(sent)) => is == sent,
        (Some(Kind::Delete(is)), Body::Delete(sent)) => is.target == sent.target,
        (Some(Kind::Reaction(is)), Body::Reaction(sent)) => {
            (is.target, &is.emoji, is.on) == (sent.target, &sent.emoji, sent.on)
        }
        _ => false,
    }
}

/// A record: the length of its frame, the frame, the rooms' events. Each message stands behind nine bytes,
/// 0 and the eight of its check sum.
fn decode(record: &Bytes) -> Result<Commit, String> {
    let words = |error: prost::DecodeError| error.to_string();
    let mut rest = record.clone();
    let frame_bytes = rest.try_get_u32_le().map_err(|error| error.to_string())?;
    let mut take = |bytes: u32| {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let is_there = bytes <= rest.len() && bytes >= 9;
        is_there.then(|| rest.split_to(bytes).slice(9..))
    };
    let frame = take(frame_bytes).ok_or("the frame is cut")?;
    let frame = CommitFrame::decode(frame).map_err(words)?;
    let mut rooms = Vec::new();
    for part in &frame.parts {
        let events = take(part.bytes).ok_or("a room's events are cut")?;
        rooms.push(RoomEvents::decode(events).map_err(words)?);
    }
    Ok(Commit {
        format: frame.format,
        epoch: frame.epoch,
        owner: frame.owner,
        ts_ms: frame.ts_ms,
        rooms,
    })
}

pub(crate) fn author(event: &Event) -> &str {
    event.from.as_ref().map_or("", |from| from.id.as_str())
}
