//! Holds what clients saw and what the logs hold to the promises. Shares no code with what it checks, and
//! reads nothing else of it.

mod fold;

use std::{collections::BTreeMap, fmt};

use bytes::{Buf as _, Bytes};
use prost::Message as _;
use proto::{
    PartitionId, RoomId,
    bus::v1::send::Body,
    log::v1::{Commit, CommitFrame, Event, RoomEvents, event::Kind},
};

use crate::seen::{Answer, Everything, Sent};
use fold::Folded;

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
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            records,
            epochs,
            events,
            acked,
            refused,
        } = self;
        write!(
            f,
            "{records} records of {epochs} epochs with {events} events, {acked} acked, {refused} refused"
        )
    }
}

/// Where an event stands, by who sent it: room, user, cid.
type ByCid<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a Event>;

/// Checks all promises.
///
/// # Errors
/// Each broken one, in words that begin with its name.
pub(crate) fn check(seen: &Everything, logs: &Logs) -> Result<Facts, Vec<String>> {
    let mut broken = seen.wrong.clone();
    let mut facts = Facts::default();
    let mut rooms: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for (pp, log) in logs {
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
    for (room, events) in &rooms {
        facts.events += events.len();
        broken.extend(order(room, events));
    }
    let (by_cid, doubled) = by_cid(&rooms);
    broken.extend(doubled);
    for sent in &seen.sent {
        match &sent.answer {
            Answer::Acked { .. } => facts.acked += 1,
            Answer::Refused { .. } => facts.refused += 1,
        }
        broken.extend(answered(sent, &by_cid));
    }
    let none = Vec::new();
    for screen in &seen.screens {
        let events = rooms.get(screen.room.as_str()).unwrap_or(&none);
        let who = format!("{} in {}", screen.client, screen.room);
        broken.extend(shown(&who, &screen.events, events));
    }
    for (room, read) in &seen.read {
        let events = rooms.get(room.as_str()).unwrap_or(&none);
        broken.extend(is_the_fold(room, read, events));
    }
    if broken.is_empty() {
        Ok(facts)
    } else {
        Err(broken)
    }
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
fn by_cid(rooms: &BTreeMap<String, Vec<Event>>) -> (ByCid<'_>, Vec<String>) {
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

/// ACK: what was acked is where the ack said, and says what was sent; what was refused is nowhere. A send
/// is refused only for what it refers to: in so short a life no cid expires.
fn answered(sent: &Sent, by_cid: &ByCid<'_>) -> Option<String> {
    let key = (sent.room.as_str(), sent.user.as_str(), sent.cid.as_str());
    let found = by_cid.get(&key);
    match (&sent.answer, found) {
        (Answer::Acked { seq, ts_ms }, Some(event)) => {
            let is_there = (event.seq, event.ts_ms) == (*seq, *ts_ms) && says(event, &sent.body);
            (!is_there).then(|| format!("ACK: {key:?} was acked as {seq} and is {event:?}"))
        }
        (Answer::Acked { seq, .. }, None) => {
            Some(format!("ACK: {key:?} was acked as {seq} and is nowhere"))
        }
        (Answer::Refused { code }, Some(event)) => {
            let seq = event.seq;
            Some(format!(
                "CLOSED: {key:?} was refused with {code} and is {seq}"
            ))
        }
        (Answer::Refused { code }, None) => {
            (code != "TARGET_UNKNOWN").then(|| format!("CLOSED: {key:?} was refused with {code}"))
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

/// ORDER and GAP: a screen shows the room's events from the first to the last, each once and in order. Its
/// texts may be those of later edits: what was read late is shown as it was then.
fn shown(who: &str, screen: &[Event], events: &[Event]) -> Option<String> {
    let ids = |events: &[Event]| -> Vec<_> {
        let id = |event: &Event| (event.seq, event.ts_ms, author(event).to_owned());
        events.iter().map(id).collect()
    };
    let (screen, events) = (ids(screen), ids(events));
    if screen == events {
        return None;
    }
    let differs = screen
        .iter()
        .zip(&events)
        .position(|(one, other)| one != other);
    Some(match differs {
        Some(at) => format!(
            "ORDER: {who}: the screen shows {:?} where {:?} belongs",
            screen[at], events[at]
        ),
        None => format!(
            "GAP: {who}: the screen has {} events, the room {}",
            screen.len(),
            events.len()
        ),
    })
}

/// What is read when all is well is what the log says, edits, deletions and reactions applied.
fn is_the_fold(room: &RoomId, read: &[Event], events: &[Event]) -> Vec<String> {
    let expected = Folded::of(events);
    let found = Folded::as_read(read);
    expected.differences(&found, room.as_str())
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

fn author(event: &Event) -> &str {
    event.from.as_ref().map_or("", |from| from.id.as_str())
}
