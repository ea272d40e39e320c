//! Work beside the owner's loop: reading values, putting them, checkpoints, the listing of all rooms.
//! Each piece is a task that repeats itself while the broker is away and reports its outcome to the
//! loop; all of them end with the owner.

use std::{future::Future, sync::Arc, time::Duration};

use broker::{Broker, Put as Outcome, Revision, Scan as _, StoreError};
use bytes::Bytes;
use futures_util::FutureExt as _;
use proto::{
    PartitionId, RoomId,
    log::v1::{RoomValue, VALUE_FORMAT},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tracing::{debug, error};

use crate::{
    backoff::Backoff,
    domain::{Fetched, Load, Put, Putting, Summary, codec},
};

/// Values that are read at a time.
const MAX_LOADS: usize = 16;
/// Values that are put, or have a version erased, at a time.
const MAX_PUTS: usize = 16;
/// Rooms of a listing that are handed over at a time.
const LISTED_AT_ONCE: usize = 256;
/// Before a value that was stale is read again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A room as a listing of the store found it.
pub(super) struct Listed {
    pub(super) room: RoomId,
    /// `None` where its value cannot be read.
    pub(super) summary: Option<Summary>,
}

/// What a piece of work came to.
pub(super) enum Done {
    Loaded {
        load: Load,
        attempt: u32,
        /// An error for what is there and cannot be read.
        fetched: Result<Fetched, String>,
    },
    Put {
        value: Putting,
        outcome: Outcome,
    },
    /// What the store holds under the key of a put that did not settle.
    Found {
        value: Putting,
        fetched: Result<Fetched, String>,
    },
    Checkpoint {
        log_seq: u64,
        outcome: Outcome,
    },
    /// What `ckpt` holds after a put of it that did not settle.
    FoundCheckpoint(Result<Fetched, String>),
    Listed(Vec<Listed>),
    /// The listing has come to its end.
    AllListed,
    /// The superseded version of a value is erased.
    Erased(Putting),
    /// Nothing more to do.
    Nothing,
}

/// The pieces of work under way.
pub(super) struct Background<B> {
    broker: B,
    pp: PartitionId,
    tasks: JoinSet<Done>,
    /// How many of them read values, and put or erase them.
    loads: usize,
    puts: usize,
    listing: Option<mpsc::Receiver<Vec<Listed>>>,
    /// The revision of `ckpt` that the next put of it expects; `None` while one is under way.
    pub(super) checkpoint: Option<Revision>,
}

impl<B: Broker> Background<B> {
    /// Nothing is under way; `checkpoint` is the revision of `ckpt`.
    pub(super) fn new(broker: B, pp: PartitionId, checkpoint: Revision) -> Self {
        Self {
            broker,
            pp,
            tasks: JoinSet::new(),
            loads: 0,
            puts: 0,
            listing: None,
            checkpoint: Some(checkpoint),
        }
    }

    /// Whether one more load may begin.
    pub(super) fn may_load(&self) -> bool {
        self.loads < MAX_LOADS
    }

    /// Whether one more put or erasure may begin.
    pub(super) fn may_put(&self) -> bool {
        self.puts < MAX_PUTS
    }

    /// What is done already, if anything.
    pub(super) fn try_next(&mut self) -> Option<Done> {
        self.next().now_or_never()
    }

    /// The next piece that is done; waits for ever when there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Done {
        let Self {
            tasks,
            loads,
            puts,
            listing,
            ..
        } = self;
        let listed = async {
            match listing {
                Some(listing) => listing.recv().await,
                None => std::future::pending().await,
            }
        };
        let done = async {
            loop {
                match tasks.join_next().await {
                    Some(Ok(done)) => {
                        match done {
                            Done::Loaded { .. } => *loads -= 1,
                            Done::Put { .. } | Done::Found { .. } | Done::Erased(_) => *puts -= 1,
                            _ => {}
                        }
                        return done;
                    }
                    Some(Err(failure)) => {
                        error!(error = %failure, "work beside an owner's loop failed");
                    }
                    None => std::future::pending().await,
                }
            }
        };
        let listed = tokio::select! {
            done = done => return done,
            listed = listed => listed,
        };
        if let Some(rooms) = listed {
            return Done::Listed(rooms);
        }
        self.listing = None;
        Done::AllListed
    }

    /// Reads a value; not at once when it was stale before.
    pub(super) fn load(&mut self, load: Load, attempt: u32) {
        let key = load.key();
        let value = self.get(key);
        self.loads += 1;
        self.tasks.spawn(async move {
            if attempt > 0 {
                tokio::time::sleep(READ_AGAIN_AFTER).await;
            }
            Done::Loaded {
                load,
                attempt,
                fetched: value.await,
            }
        });
    }

    /// Puts a value.
    pub(super) fn put(&mut self, put: Put) {
        self.puts += 1;
        let (broker, pp) = (self.broker.clone(), self.pp);
        self.tasks.spawn(async move {
            let (key, expected) = (put.value.key(), Revision(put.expected));
            let outcome = broker.put(pp, &key, put.bytes, expected).await;
            Done::Put {
                value: put.value,
                outcome,
            }
        });
    }

    /// Reads what the store holds under the key of a put that did not settle.
    pub(super) fn find(&mut self, value: Putting) {
        let found = self.get(value.key());
        self.puts += 1;
        self.tasks.spawn(async move {
            Done::Found {
                value,
                fetched: found.await,
            }
        });
    }

    /// Erases the version of a value that held what was redacted.
    pub(super) fn erase(&mut self, value: Putting, revision: u64) {
        self.puts += 1;
        let (broker, pp) = (self.broker.clone(), self.pp);
        self.tasks.spawn(async move {
            let key = value.key();
            let mut backoff = Backoff::new();
            while let Err(error) = broker.erase(pp, &key, Revision(revision)).await {
                if backoff.is_first() {
                    error!(partition.id = %pp, store.key = key, error = %error, "redacted text is not erased yet, trying again");
                }
                backoff.wait().await;
            }
            Done::Erased(value)
        });
    }

    /// Puts a checkpoint, then trims the log to it.
    pub(super) fn put_checkpoint(&mut self, log_seq: u64, value: Bytes) {
        let Some(expected) = self.checkpoint.take() else {
            return;
        };
        let (broker, pp) = (self.broker.clone(), self.pp);
        self.tasks.spawn(async move {
            let outcome = broker.put(pp, super::checkpoint::KEY, value, expected).await;
            if matches!(outcome, Outcome::Written(_))
                && let Err(error) = broker.trim(pp, log_seq).await
            {
                // The next checkpoint trims as far and farther.
                debug!(partition.id = %pp, log.seq = log_seq, error = %error, "the log was not trimmed");
            }
            Done::Checkpoint { log_seq, outcome }
        });
    }

    /// Reads `ckpt` after a put of it that did not settle.
    pub(super) fn find_checkpoint(&mut self) {
        let found = self.get(super::checkpoint::KEY.to_owned());
        self.tasks
            .spawn(async move { Done::FoundCheckpoint(found.await) });
    }

    /// Lists all rooms of the store, when it is its turn.
    pub(super) fn list(&mut self, turns: Arc<Semaphore>) {
        let (listed, listing) = mpsc::channel(1);
        self.listing = Some(listing);
        let (broker, pp) = (self.broker.clone(), self.pp);
        self.tasks.spawn(async move {
            let mut backoff = Backoff::new();
            let rooms = loop {
                // Only to read the store: neither one that is away nor a busy owner keeps others waiting.
                // It is never closed, and without a turn this would only be less polite.
                let turn = turns.acquire().await;
                let found = list(&broker, pp).await;
                drop(turn);
                match found {
                    Ok(rooms) => break rooms,
                    Err(error) => {
                        debug!(partition.id = %pp, error = error, "the rooms could not be listed, trying again");
                        backoff.wait().await;
                    }
                }
            };
            let mut rooms = rooms.into_iter().peekable();
            while rooms.peek().is_some() {
                // Nobody listens any more: the owner has ended, and this task with it.
                let _ = listed.send(rooms.by_ref().take(LISTED_AT_ONCE).collect()).await;
            }
            Done::Nothing
        });
    }

    /// The value under a key, however long the store is away; an error for one that is damaged.
    fn get(&self, key: String) -> impl Future<Output = Result<Fetched, String>> + use<B> {
        let (broker, pp) = (self.broker.clone(), self.pp);
        async move {
            let mut backoff = Backoff::new();
            loop {
                match broker.get(pp, &key).await {
                    Ok(value) => return Ok(value.map(|value| (value.bytes, value.revision.0))),
                    Err(StoreError::Damaged(why)) => return Err(why),
                    Err(error) => {
                        debug!(partition.id = %pp, store.key = key, error = %error, "a value could not be read, trying again");
                        backoff.wait().await;
                    }
                }
            }
        }
    }
}

async fn list<B: Broker>(broker: &B, pp: PartitionId) -> Result<Vec<Listed>, String> {
    let mut scan = broker.scan(pp, "room");
    let mut rooms = Vec::new();
    while let Some((key, value)) = scan.next().await.map_err(|error| error.to_string())? {
        match codec::open(&value.bytes, |room: &RoomValue| room.format, VALUE_FORMAT) {
            Ok(room) => rooms.extend(RoomId::parse(&room.room).map(|id| Listed {
                room: id,
                summary: Some(Summary::of(&room)),
            })),
            // Whoever asks for the room is told; others go on.
            Err(damaged) => {
                error!(partition.id = %pp, store.key = key, error = %damaged, "a room's value is damaged");
                let token = key.strip_prefix("room.").unwrap_or_default();
                rooms.extend(RoomId::from_subject_token(token).map(|id| Listed {
                    room: id,
                    summary: None,
                }));
            }
        }
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use broker::embedded::Embedded;

    use super::*;

    #[tokio::test]
    async fn loads_leave_room_for_puts_and_erasures() {
        let pp = PartitionId::Rooms(0);
        let broker = Embedded::in_memory().unwrap();
        broker.provision(&[pp]).await.unwrap();
        let mut background = Background::new(broker, pp, Revision::NONE);
        let room = RoomId::parse("a").unwrap();
        for number in 0..MAX_LOADS as u64 {
            assert!(background.may_load());
            background.load(Load::Page(room.clone(), number), 0);
        }
        assert!(!background.may_load());
        for _ in 0..MAX_PUTS {
            assert!(background.may_put());
            let value = Putting::of_record(&room);
            background.erase(value, 7);
        }
        assert!(!background.may_put());
        for _ in 0..MAX_LOADS + MAX_PUTS {
            background.next().await;
        }
        assert_eq!((background.loads, background.puts), (0, 0));
    }
}
