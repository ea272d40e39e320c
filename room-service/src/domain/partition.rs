//! The rooms of one partition: takes requests, proposes commits, folds what has become durable, and says
//! what is to be read from the store and put there.
//!
//! What rooms hold changes only by records of the log in their order; a proposed commit changes nothing
//! until its append is known to be written. Rooms and pages come into memory when something needs them:
//! whoever needs one waits for it, and nobody else does.

mod answers;
mod loading;
mod outcome;
mod propose;
mod putting;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use proto::{
    Limits, RoomId,
    bus::v1::{History, Read, Send, reply},
};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    BodyTagger, NewRooms, Now,
    charges::Charges,
    ledger::Ledger,
    queue::Queue,
    room::{Room, Summary},
    waiting::{Waiting, WaitingRoom},
};
pub(crate) use loading::{Fetched, Load, Loaded};
pub use outcome::Committed;
pub(crate) use outcome::unavailable;
pub use propose::Batch;
pub(crate) use propose::draw_gen;
pub(crate) use putting::{Put, Putting, Resolved};

/// Bytes of requests that may wait here; beyond, none is taken in, and gateways try again.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;
/// The same for those who wait for a load, and for questions.
const MAX_WAITING: usize = 16_384;

/// What is allowed, and the keys of the installation.
pub struct Rules {
    /// The limits.
    pub limits: Limits,
    /// Whether a first message makes a room.
    pub auto_create: bool,
    /// Makes body tags.
    pub tagger: BodyTagger,
    /// New rooms per address.
    pub new_rooms: Arc<NewRooms>,
}

/// A send that waits for its place. `T` is whom to answer; the domain only hands it back.
pub struct Submission<T> {
    /// Whom to answer.
    pub asker: T,
    /// Where to.
    pub room: RoomId,
    /// What.
    pub send: Send,
    /// Whether its rate was charged already: a submission that is put back is not charged twice.
    pub charged: bool,
}

/// What a reader wants of a room.
pub enum Question {
    /// To its head.
    Read(Read),
    /// Some events at any depth.
    History(History),
    /// What an operator sees of it.
    Describe,
}

impl Question {
    fn min_seq(&self) -> u64 {
        match self {
            Self::Read(read) => read.min_seq,
            Self::History(history) => history.min_seq,
            Self::Describe => 0,
        }
    }
}

/// A question that waits for its answer.
pub struct Asked<T> {
    /// Whom to answer.
    pub asker: T,
    /// Of which room.
    pub room: RoomId,
    /// What.
    pub question: Question,
}

/// What is held of a room.
enum Held {
    /// It has no event.
    Absent,
    Present(Box<Room>),
    /// A value of it is damaged or missing.
    Broken,
}

/// A partition's state: the fold of its log up to [`Partition::folded`].
pub struct Partition<T> {
    rules: Arc<Rules>,
    rooms: HashMap<RoomId, Held>,
    /// Commits of rooms that are not in memory or damaged: log seq and a record's part.
    tails: HashMap<RoomId, VecDeque<(u64, Bytes)>>,
    /// Heads that the store is known to hold, of rooms that are not in memory: a reading of less is stale.
    known: HashMap<RoomId, u64>,
    /// Whether `known` and `tails` name every room there is.
    is_complete: bool,
    queue: Queue<T>,
    questions: VecDeque<Asked<T>>,
    waiting: WaitingRoom<T>,
    /// What is to be fetched, and that with what is being fetched.
    wanted: VecDeque<Load>,
    fetching: HashSet<Load>,
    /// Loads that were given up and have not succeeded since, and when one is tried again for a put.
    broken: HashMap<Load, u64>,
    /// Rooms that the log is damaged for: what came before may still be put, nothing else is done.
    damaged: HashSet<RoomId>,
    /// Words on each of them, for operators.
    damage: Vec<String>,
    /// Answers to those for whom something could not be loaded.
    refused: Vec<(T, reply::Result)>,
    folded: u64,
    epoch: u64,
    ledger: Ledger,
    /// Log seq of the last checkpoint put, and the one on its way.
    checkpoint: u64,
    charges: Charges,
    /// Rooms whose head changed, and when.
    changed: BTreeMap<RoomId, Change>,
    rng: StdRng,
}

/// A head that changed of late.
struct Change {
    generation: String,
    head: u64,
    at_us: u64,
}

impl<T> Partition<T> {
    /// A partition whose values hold its log up to and with `checkpoint`. Which rooms there are is not
    /// known before `is_listed`. `seed` draws the `gen`s of its new rooms.
    pub fn new(rules: Arc<Rules>, checkpoint: u64, epoch: u64, seed: u64) -> Self {
        let charges = Charges::new(&rules.limits, Arc::clone(&rules.new_rooms));
        Self {
            rules,
            rooms: HashMap::new(),
            tails: HashMap::new(),
            known: HashMap::new(),
            is_complete: false,
            queue: Queue::default(),
            questions: VecDeque::new(),
            waiting: WaitingRoom::default(),
            wanted: VecDeque::new(),
            fetching: HashSet::new(),
            broken: HashMap::new(),
            damaged: HashSet::new(),
            damage: Vec::new(),
            refused: Vec::new(),
            folded: checkpoint,
            epoch,
            ledger: Ledger::default(),
            checkpoint,
            charges,
            changed: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// The log sequence of the last record folded: the only expectation an append may have.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// The highest epoch folded, or that the checkpoint told.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Lets a send wait for the next batch.
    pub fn submit(&mut self, submission: Submission<T>) {
        self.queue.push_back(submission);
    }

    /// Lets a question wait for its answer.
    pub fn ask(&mut self, asked: Asked<T>) {
        self.questions.push_back(asked);
    }

    /// Whether no send and no question is to be handled now. Those that wait for a load do not count.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.questions.is_empty()
    }

    /// Whether more requests may be taken in.
    pub fn has_room(&self) -> bool {
        self.queue.bytes() < MAX_WAITING_BYTES
            && self.waiting.count() < MAX_WAITING
            && self.questions.len() < MAX_WAITING
    }

    /// Forgets the waiting requests that `keep` does not want; their senders have gone on, and what they
    /// send again is charged again.
    pub fn retain_waiting(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let charges = &mut self.charges;
        let mut refund = |submission: &Submission<T>| {
            if submission.charged {
                charges.refund(&submission.room, &submission.send);
            }
        };
        self.queue.retain(|submission| {
            let keeps = keep(&submission.asker);
            if !keeps {
                refund(submission);
            }
            keeps
        });
        self.waiting.retain(|waiting| {
            let keeps = keep(waiting.asker());
            if let (false, Waiting::Send(submission)) = (keeps, waiting) {
                refund(submission);
            }
            keeps
        });
        self.questions.retain(|asked| keep(&asked.asker));
    }

    /// Everything that waits, answered alike: this is the end.
    pub(crate) fn drain(&mut self, answer: &reply::Result) -> Vec<(T, reply::Result)> {
        let sends = self.queue.drain().map(|waiting| waiting.asker);
        let questions = self.questions.drain(..).map(|asked| asked.asker);
        let waiting = self.waiting.drain().map(Waiting::into_asker);
        sends
            .chain(questions)
            .chain(waiting)
            .map(|asker| (asker, answer.clone()))
            .collect()
    }

    /// Head of a room as far as it is known here; 0 when it has no event.
    pub fn head(&self, room: &RoomId) -> u64 {
        match self.rooms.get(room) {
            Some(Held::Present(room)) => room.summary.head,
            Some(Held::Absent | Held::Broken) => 0,
            None => self.known.get(room).copied().unwrap_or(0),
        }
    }

    /// A room in memory as it is.
    pub fn summary(&self, room: &RoomId) -> Option<Summary> {
        match self.rooms.get(room) {
            Some(Held::Present(room)) => Some(room.summary.clone()),
            _ => None,
        }
    }

    /// Encoded `Heads` of the rooms that changed in the last 10 s, under this epoch; at least one.
    pub fn heads(&mut self, now: Now, epoch: u64) -> Vec<Bytes> {
        answers::heads(&mut self.changed, now, epoch)
    }

    fn note_change(&mut self, room: &RoomId, generation: &str, head: u64, now: Now) {
        let change = Change {
            generation: generation.to_owned(),
            head,
            at_us: now.mono_us,
        };
        self.changed.insert(room.clone(), change);
    }
}

#[cfg(test)]
mod tests;
