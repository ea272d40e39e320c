//! Judges a [journal](crate::journal): whether every acked message came to every reader exactly once and in
//! order. It reads only what clients wrote, and knows nothing of how any of it works.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use tokio::time::Instant;

use crate::journal::{Deed, Entry, Record};

/// Wrongs told in words; the others are only counted.
const TOLD: usize = 20;

/// What was done to the processes from a time on, until the next.
#[derive(Clone, Debug)]
pub struct Phase {
    /// In words.
    pub name: String,
    /// When it began.
    pub from: Instant,
}

/// The account of one phase: of the messages that were acked within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Messages acked.
    pub acked: usize,
    /// Messages that were not shown to a reader of their room, once for each.
    pub missing: usize,
    /// Messages shown twice to a reader, and places given to two messages.
    pub doubled: usize,
    /// Messages shown out of order, or elsewhere than their ack says.
    pub disordered: usize,
    /// The longest time from a first try to its ack.
    pub longest: Duration,
    /// The longest time from an ack until a steady reader was shown the message.
    pub latest: Duration,
}

/// The account of all phases.
#[derive(Debug)]
pub struct Account {
    /// A row for each phase.
    pub rows: Vec<(String, Row)>,
    /// The first wrongs in words.
    pub wrongs: Vec<String>,
}

/// Judges what was written.
pub fn check(record: &Record, phases: &[Phase]) -> Account {
    let mut judge = Judge::new(record, phases);
    for entry in &record.entries {
        judge.read(entry);
    }
    judge.miss();
    let names = phases.iter().map(|phase| phase.name.clone());
    Account {
        rows: names.zip(judge.rows).collect(),
        wrongs: judge.wrongs,
    }
}

/// Room and cid.
type Key<'a> = (&'a str, &'a str);

struct Judge<'a> {
    record: &'a Record,
    phases: &'a [Phase],
    rows: Vec<Row>,
    wrongs: Vec<String>,
    sent: HashMap<Key<'a>, Instant>,
    acked: BTreeMap<Key<'a>, (Instant, u64)>,
    /// Who has which place of a room.
    places: HashMap<(&'a str, u64), &'a str>,
    /// By reader and message: when, and the place.
    shown: HashMap<(usize, Key<'a>), (Instant, u64)>,
    /// By reader and room: the last place shown.
    last: HashMap<(usize, &'a str), u64>,
}

impl<'a> Judge<'a> {
    fn new(record: &'a Record, phases: &'a [Phase]) -> Self {
        Self {
            record,
            phases,
            rows: vec![Row::default(); phases.len()],
            wrongs: Vec::new(),
            sent: HashMap::new(),
            acked: BTreeMap::new(),
            places: HashMap::new(),
            shown: HashMap::new(),
            last: HashMap::new(),
        }
    }

    fn row(&mut self, at: Instant) -> &mut Row {
        let begun = self.phases.iter().rposition(|phase| phase.from <= at);
        &mut self.rows[begun.unwrap_or(0)]
    }

    fn wrong(&mut self, why: String) {
        if self.wrongs.len() < TOLD {
            self.wrongs.push(why);
        }
    }

    fn doubled(&mut self, at: Instant, why: String) {
        self.row(at).doubled += 1;
        self.wrong(format!("doubled: {why}"));
    }

    fn disordered(&mut self, at: Instant, why: String) {
        self.row(at).disordered += 1;
        self.wrong(format!("disordered: {why}"));
    }

    fn read(&mut self, entry: &'a Entry) {
        let key = (entry.room.as_str(), entry.cid.as_str());
        match entry.deed {
            Deed::Sent => {
                if self.sent.insert(key, entry.at).is_some() {
                    self.doubled(entry.at, format!("{key:?} is another's cid"));
                }
            }
            Deed::Acked { seq } => self.ack(entry, key, seq),
            Deed::Shown { reader, seq } => self.show(entry, key, reader, seq),
            Deed::Forgot { reader } => {
                let name = &self.record.readers[reader].name;
                self.disordered(entry.at, format!("{name} was told to forget {key:?}"));
            }
        }
    }

    fn ack(&mut self, entry: &Entry, key: Key<'a>, seq: u64) {
        let Some(sent) = self.sent.get(&key).copied() else {
            return self.doubled(entry.at, format!("{key:?} was acked and never sent"));
        };
        if self.acked.insert(key, (entry.at, seq)).is_some() {
            self.doubled(entry.at, format!("{key:?} was acked twice"));
        }
        self.place(entry, key, seq);
        let row = self.row(entry.at);
        row.acked += 1;
        row.longest = row.longest.max(entry.at - sent);
    }

    /// One message has a place, and one place has a message, whoever tells of it.
    fn place(&mut self, entry: &Entry, key: Key<'a>, seq: u64) {
        let (room, cid) = key;
        let holder = *self.places.entry((room, seq)).or_insert(cid);
        if holder != cid {
            self.doubled(entry.at, format!("{room} {seq} is {holder} and {cid}"));
        }
    }

    fn show(&mut self, entry: &Entry, key: Key<'a>, reader: usize, seq: u64) {
        let name = &self.record.readers[reader].name;
        if !self.sent.contains_key(&key) {
            self.doubled(entry.at, format!("{name} saw {key:?}, which nobody sent"));
        }
        self.place(entry, key, seq);
        if let Some((_, before)) = self.shown.insert((reader, key), (entry.at, seq)) {
            self.doubled(
                entry.at,
                format!("{name} saw {key:?} as {before} and {seq}"),
            );
        }
        let last = self.last.insert((reader, key.0), seq).unwrap_or(0);
        if seq != last + 1 {
            self.disordered(
                entry.at,
                format!("{name} saw {key:?} as {seq} after {last}"),
            );
        }
    }

    /// Compares acks with what every reader was shown in the end.
    fn miss(&mut self) {
        let record = self.record;
        for (key, (acked, seq)) in std::mem::take(&mut self.acked) {
            for (number, reader) in record.readers.iter().enumerate() {
                if !reader.rooms.iter().any(|room| room == key.0) {
                    continue;
                }
                let name = &reader.name;
                match self.shown.get(&(number, key)).copied() {
                    None => {
                        self.row(acked).missing += 1;
                        self.wrong(format!("missing: {name} never saw {key:?}, acked as {seq}"));
                    }
                    Some((_, place)) if place != seq => {
                        let why = format!("{name} saw {key:?} as {place}, acked as {seq}");
                        self.disordered(acked, why);
                    }
                    Some((shown, _)) if reader.is_steady => {
                        let row = self.row(acked);
                        row.latest = row.latest.max(shown.saturating_duration_since(acked));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

impl Account {
    /// All phases in one row.
    pub fn total(&self) -> Row {
        self.rows.iter().fold(Row::default(), |sum, (_, row)| Row {
            acked: sum.acked + row.acked,
            missing: sum.missing + row.missing,
            doubled: sum.doubled + row.doubled,
            disordered: sum.disordered + row.disordered,
            longest: sum.longest.max(row.longest),
            latest: sum.latest.max(row.latest),
        })
    }

    /// Insists that nothing is missing, doubled or out of order.
    ///
    /// # Panics
    /// When something is, in words.
    pub fn insist(&self) {
        let Row {
            acked,
            missing,
            doubled,
            disordered,
            ..
        } = self.total();
        assert!(acked > 0, "nothing was acked");
        let told = self.wrongs.join("\n");
        assert_eq!((missing, doubled, disordered), (0, 0, 0), "{told}");
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:34} {:>7} {:>7} {:>7} {:>10} {:>13} {:>14}",
            "fault",
            "acked",
            "missing",
            "doubled",
            "disordered",
            "longest stall",
            "shown at latest"
        )?;
        let total = ("together".to_owned(), self.total());
        for (name, row) in self.rows.iter().chain([&total]) {
            let [longest, latest] = [row.longest, row.latest].map(|time| time.as_millis());
            writeln!(
                f,
                "{name:34} {:>7} {:>7} {:>7} {:>10} {longest:>10} ms {latest:>12} ms",
                row.acked, row.missing, row.doubled, row.disordered
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
