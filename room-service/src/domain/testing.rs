//! A partition beside the log it appends to and the store it reads and puts, for tests. An asker is a
//! number.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use proto::{
    Code, Limits, RoomId,
    bus::v1::{
        Acked, History, Read, Refused, Room as View, Send, history::Place, reply, send::Body,
    },
    log::v1::{Author, Commit, Delete, Edit, Event, Message, Reaction},
};

use super::{
    Asked, BodyTagger, Loaded, NewRooms, Now, Partition, Question, Resolved, Rules, Submission,
    record,
};

pub(super) const NOW: Now = Now {
    unix_ms: 1_800_000_000_000,
    mono_us: 0,
};

/// So much later, by both clocks.
pub(super) fn later(ms: u64) -> Now {
    Now {
        unix_ms: NOW.unix_ms + ms,
        mono_us: ms * 1_000,
    }
}

pub(super) struct Bench {
    pub(super) rules: Arc<Rules>,
    pub(super) partition: Partition<u32>,
    pub(super) log: Vec<Commit>,
    /// Bytes with a flipped bit, by the log seq of their record.
    pub(super) flips: BTreeMap<u64, usize>,
    /// Records up to this log seq are trimmed.
    pub(super) trimmed: u64,
    pub(super) store: BTreeMap<String, (Bytes, u64)>,
    pub(super) revisions: u64,
    pub(super) epoch: u64,
    /// Keys that were read, in order.
    pub(super) reads: Vec<String>,
    pub(super) erased: Vec<(String, u64)>,
}

impl Bench {
    pub(super) fn new(limits: Limits) -> Self {
        let rules = Arc::new(Rules {
            new_rooms: Arc::new(NewRooms::new(limits.new_rooms_per_hour)),
            limits,
            auto_create: true,
            tagger: BodyTagger::new(b"key"),
        });
        let mut partition = Partition::new(Arc::clone(&rules), 0, 0, 7);
        partition.is_listed();
        Self {
            partition,
            rules,
            log: Vec::new(),
            flips: BTreeMap::new(),
            trimmed: 0,
            store: BTreeMap::new(),
            revisions: 0,
            epoch: 1,
            reads: Vec::new(),
            erased: Vec::new(),
        }
    }

    pub(super) fn submit(&mut self, asker: u32, room: &str, user: &str, cid: &str, text: &str) {
        self.submit_body(asker, room, user, cid, message(text), None);
    }

    pub(super) fn submit_body(
        &mut self,
        asker: u32,
        room: &str,
        user: &str,
        cid: &str,
        body: Body,
        since: Option<u64>,
    ) {
        let from = Author {
            id: user.to_owned(),
            nick: user.to_owned(),
            ..Author::default()
        };
        let send = Send {
            from: Some(from),
            cid: cid.to_owned(),
            asked: room.to_owned(),
            body: Some(body),
            since,
            ..Send::default()
        };
        let room = RoomId::parse(room).unwrap();
        self.partition.submit(Submission {
            asker,
            room,
            send,
            charged: false,
        });
    }

    /// Proposes and has the append succeed, again until nobody waits for anything.
    pub(super) fn commit(&mut self, now: Now) -> Vec<(u32, reply::Result)> {
        let mut replies = Vec::new();
        loop {
            let batch = self.partition.propose(now, self.epoch, "me");
            self.log.extend(batch.commit.clone());
            let last = self.log.len() as u64;
            let done = self.partition.committed(batch, last, now).unwrap();
            let was_idle = done.replies.is_empty();
            replies.extend(done.replies);
            if !self.serve_loads(now) && was_idle {
                return replies;
            }
        }
    }

    pub(super) fn send(
        &mut self,
        room: &str,
        user: &str,
        cid: &str,
        text: &str,
        now: Now,
    ) -> reply::Result {
        self.submit(0, room, user, cid, text);
        self.commit(now).pop().unwrap().1
    }

    pub(super) fn act(&mut self, user: &str, cid: &str, body: Body, now: Now) -> reply::Result {
        self.submit_body(0, "a", user, cid, body, None);
        self.commit(now).pop().unwrap().1
    }

    /// Gives the partition what it wants to read; `true` when there was something.
    pub(super) fn serve_loads(&mut self, now: Now) -> bool {
        let loads: Vec<_> = std::iter::from_fn(|| self.partition.next_load()).collect();
        for load in &loads {
            let fetched = self.store.get(&load.key()).cloned();
            self.reads.push(load.key());
            let loaded = self.partition.loaded(load, fetched, now);
            assert_eq!(loaded, Loaded::Done, "{load:?}");
        }
        !loads.is_empty()
    }

    fn ask(&mut self, room: &str, question: Question, now: Now) -> reply::Result {
        self.partition.ask(Asked {
            asker: 0,
            room: RoomId::parse(room).unwrap(),
            question,
        });
        loop {
            if let Some((_, answer)) = self.partition.answer(now, |_, _| 0).pop() {
                return answer;
            }
            assert!(self.serve_loads(now), "nothing to load, and no answer");
        }
    }

    pub(super) fn answer(&mut self, room: &str, read: &Read) -> reply::Result {
        self.ask(room, Question::Read(read.clone()), NOW)
    }

    pub(super) fn read(&mut self, room: &str, read: &Read) -> View {
        match self.answer(room, read) {
            reply::Result::Room(view) => view,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn history(&mut self, room: &str, place: Place, limit: u32) -> View {
        let history = History {
            place: Some(place),
            limit,
            min_seq: 0,
        };
        match self.ask(room, Question::History(history), NOW) {
            reply::Result::Room(view) => view,
            other => panic!("{other:?}"),
        }
    }

    /// All events of a room, through history.
    pub(super) fn all(&mut self, room: &str) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.seq);
            let view = self.history(room, Place::After(after), 100);
            events.extend(view.events);
            if !view.more {
                return events;
            }
        }
    }

    /// Makes one put that is due, if any, successfully.
    pub(super) fn put_one(&mut self, now: Now) -> Option<String> {
        let put = loop {
            match self.partition.next_put(now) {
                Some(put) => break put,
                None if self.serve_loads(now) => {}
                None => return None,
            }
        };
        let key = put.value.key();
        let found = self.store.get(&key).cloned();
        if found.as_ref().map_or(0, |(_, revision)| *revision) == put.expected {
            self.revisions += 1;
            self.store.insert(key.clone(), (put.bytes, self.revisions));
            self.partition.written(&put.value, self.revisions);
        } else {
            assert_eq!(self.partition.resolve(&put.value, found), Resolved::Again);
        }
        self.erase_all();
        Some(key)
    }

    /// Makes the erasures that are due.
    pub(super) fn erase_all(&mut self) {
        while let Some((value, before)) = self.partition.next_erasure() {
            self.erased.push((value.key(), before));
            self.partition.erased(&value);
        }
    }

    /// Puts everything and trims the log to its end; returns the keys put and the time it is then.
    pub(super) fn put_all(&mut self, from_ms: u64) -> (Vec<String>, u64) {
        let mut keys = Vec::new();
        let mut ms = from_ms;
        for _ in 0..400 {
            while let Some(key) = self.put_one(later(ms)) {
                keys.push(key);
            }
            if let Some(log_seq) = self.partition.next_checkpoint(later(ms)) {
                self.partition.checkpointed(log_seq);
                self.trimmed = log_seq;
            }
            if self.trimmed == self.log.len() as u64 {
                return (keys, ms);
            }
            ms += 250;
        }
        panic!(
            "the log is needed for ever: {} of {}",
            self.trimmed,
            self.log.len()
        );
    }

    /// A record as the log holds it.
    pub(super) fn record(&self, log_seq: u64) -> Bytes {
        let record = record::encode(&self.log[usize::try_from(log_seq).unwrap() - 1]);
        let mut bytes = record.to_vec();
        if let Some(at) = self.flips.get(&log_seq) {
            bytes[*at] ^= 1;
        }
        bytes.into()
    }

    /// Flips a bit in what a record says of a room.
    pub(super) fn damage(&mut self, log_seq: u64, room: &str) {
        let record = self.record(log_seq);
        let whole = record::open(log_seq, &record).unwrap();
        let mut at = record.len() - whole.parts.iter().map(|part| part.1.len()).sum::<usize>();
        for (id, part) in &whole.parts {
            at += part.len();
            if id.as_str() == room {
                self.flips.insert(log_seq, at - 1);
            }
        }
    }

    /// The process dies and another one claims: what is left is the store and the log behind the
    /// checkpoint.
    pub(super) fn restart(&mut self, now: Now) {
        let rules = Arc::clone(&self.rules);
        self.partition = Partition::new(rules, self.trimmed, self.epoch, 7);
        for log_seq in self.trimmed + 1..=self.log.len() as u64 {
            let record = self.record(log_seq);
            self.partition.take_tail(log_seq, &record, now).unwrap();
        }
        self.epoch += 1;
        let claim = Commit {
            format: proto::log::v1::COMMIT_FORMAT,
            epoch: self.epoch,
            ..Commit::default()
        };
        self.log.push(claim.clone());
        let last = self.log.len() as u64;
        self.partition
            .take_tail(last, &record::encode(&claim), now)
            .unwrap();
    }
}

pub(super) fn unlimited() -> Limits {
    Limits {
        rates: false,
        ..Limits::default()
    }
}

pub(super) fn acked(seq: u64, dup: bool) -> reply::Result {
    acked_at(seq, dup, NOW)
}

pub(super) fn acked_at(seq: u64, dup: bool, now: Now) -> reply::Result {
    reply::Result::Acked(Acked {
        seq,
        ts_ms: now.unix_ms,
        dup,
    })
}

pub(super) fn code(code: Code) -> reply::Result {
    refusal(code, 0)
}

pub(super) fn refusal(code: Code, retry_after_ms: u64) -> reply::Result {
    reply::Result::Refused(Refused {
        code: code.as_str().to_owned(),
        retry_after_ms,
    })
}

pub(super) fn message(text: &str) -> Body {
    Body::Message(Message {
        text: text.to_owned(),
        reply_to: 0,
    })
}

pub(super) fn edit(target: u64, text: &str) -> Body {
    Body::Edit(Edit {
        target,
        text: text.to_owned(),
    })
}

pub(super) fn delete(target: u64) -> Body {
    Body::Delete(Delete {
        target,
        ..Delete::default()
    })
}

pub(super) fn redact(target: u64) -> Body {
    Body::Delete(Delete {
        target,
        redact: true,
        ..Delete::default()
    })
}

pub(super) fn react(target: u64, emoji: &str, on: bool) -> Body {
    Body::Reaction(Reaction {
        target,
        emoji: emoji.to_owned(),
        on,
        count: 0,
    })
}

pub(super) fn last(limit: u32) -> Read {
    Read {
        limit,
        catch_up: 500,
        ..Read::default()
    }
}

pub(super) fn after(seq: u64, numbering: &str) -> Read {
    Read {
        after: Some(seq),
        after_gen: numbering.to_owned(),
        ..last(50)
    }
}
