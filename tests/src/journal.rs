//! What clients did and were shown, in the order in which it happened. Clients only write it; the
//! [checker](crate::checker) only reads it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// One line of the journal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// In which room.
    pub room: String,
    /// Which message; empty where it is about none.
    pub cid: String,
    /// What.
    pub deed: Deed,
}

/// What a client did, or was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Sent a message for the first time.
    Sent,
    /// Was told that a message is durable under this seq.
    Acked {
        /// Its place in the room.
        seq: u64,
    },
    /// A reader was shown a message.
    Shown {
        /// By its number in the journal.
        reader: usize,
        /// Its place in the room.
        seq: u64,
    },
    /// A reader was told to forget what it had of the room.
    Forgot {
        /// By its number in the journal.
        reader: usize,
    },
}

/// Shared by all clients of a test.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    shared: Arc<Mutex<Record>>,
}

/// Everything that was written.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Line after line.
    pub entries: Vec<Entry>,
    /// The readers, by number.
    pub readers: Vec<Reads>,
}

/// A reader and the rooms that it reads from their first event.
#[derive(Clone, Debug)]
pub struct Reads {
    /// Its name.
    pub name: String,
    /// Its rooms.
    pub rooms: Vec<String>,
    /// Whether it stays connected, so that the time until it is shown a message counts.
    pub is_steady: bool,
}

impl Journal {
    /// Gives a reader its number.
    pub fn register(&self, reader: Reads) -> usize {
        let mut record = self.shared.lock();
        record.readers.push(reader);
        record.readers.len() - 1
    }

    /// Writes a line.
    pub fn write(&self, room: &str, cid: &str, deed: Deed) {
        let mut record = self.shared.lock();
        // Under the lock: the order of the lines is that of their times.
        record.entries.push(Entry {
            at: Instant::now(),
            room: room.to_owned(),
            cid: cid.to_owned(),
            deed,
        });
    }

    /// How many messages that were sent after `from` are acked, in the room with the fewest of them.
    pub fn least_acked_since(&self, rooms: &[String], from: Instant) -> usize {
        let record = self.shared.lock();
        let later = record.entries.iter().rev();
        let later: Vec<_> = later.take_while(|entry| entry.at >= from).collect();
        let mut sent = HashSet::new();
        let mut acked: HashMap<_, _> = rooms.iter().map(|room| (room.as_str(), 0)).collect();
        for entry in later.into_iter().rev() {
            match entry.deed {
                Deed::Sent => _ = sent.insert((&entry.room, &entry.cid)),
                Deed::Acked { .. } if sent.contains(&(&entry.room, &entry.cid)) => {
                    *acked.entry(&entry.room).or_default() += 1;
                }
                _ => {}
            }
        }
        acked.into_values().min().unwrap_or(0)
    }

    /// All that was written so far.
    pub fn record(&self) -> Record {
        self.shared.lock().clone()
    }
}
