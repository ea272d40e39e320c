//! A scripted client with its gateway: an outbox that repeats each operation under the same `cid` and
//! `since` until it is answered, and a screen that follows one room and fills every hole it notices.

use std::time::Duration;

use broker::{Delivery, Subscription as _, sim::SimBroker};
use prost::Message as _;
use proto::{
    PartitionCount, RoomId,
    bus::v1::{Fanout, Heads, Read, Room, Send, reply, request, send::Body},
    log::v1::{Author, Delete, Edit, Event, Message, Reaction, event::Kind},
    subject::Subjects,
};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::sleep;

use crate::{
    owners::Owners,
    seen::{Answer, Screen, Seen, Sent},
};

/// Events that a cursor may be behind, as a gateway asks.
const CATCH_UP: u32 = 500;
/// The longest that a client thinks between two operations.
const THINK_MS: u64 = 400;

/// One client in one room.
#[derive(Clone)]
pub(crate) struct Client {
    name: String,
    room: RoomId,
    owners: Owners,
    seen: Seen,
    /// Which of the screens is this client's.
    screen: usize,
}

impl Client {
    pub(crate) fn new(
        name: &str,
        room: &RoomId,
        broker: SimBroker,
        partitions: PartitionCount,
        seen: Seen,
    ) -> Self {
        let screen = {
            let mut seen = seen.lock();
            seen.screens.push(Screen {
                client: name.to_owned(),
                room: room.clone(),
                events: Vec::new(),
            });
            seen.screens.len() - 1
        };
        Self {
            name: name.to_owned(),
            room: room.clone(),
            owners: Owners::new(broker, partitions),
            seen,
            screen,
        }
    }

    /// Follows the owners and the room, for ever.
    pub(crate) async fn follow(self) {
        tokio::join!(self.owners.clone().follow(), self.watch());
    }

    /// Sends so many operations, one after the other, each until it is answered.
    pub(crate) async fn talk(self, operations: u64, mut rng: StdRng) {
        for number in 0..operations {
            sleep(Duration::from_millis(rng.random_range(0..THINK_MS))).await;
            let cid = format!("{}-{number}", self.name);
            let body = self.body(&mut rng, &cid);
            let send = Send {
                from: Some(Author {
                    id: self.name.clone(),
                    nick: self.name.clone(),
                    ..Author::default()
                }),
                cid: cid.clone(),
                since: Some(self.last()),
                asked: self.room.to_string(),
                address: 0,
                body: Some(body.clone()),
            };
            let answer = match self.owners.call(&self.room, request::Op::Send(send)).await {
                reply::Result::Acked(acked) => Answer::Acked {
                    seq: acked.seq,
                    ts_ms: acked.ts_ms,
                },
                reply::Result::Refused(refused) => Answer::Refused { code: refused.code },
                other => return self.wrong(format!("a send was answered by {other:?}")),
            };
            self.seen.lock().sent.push(Sent {
                user: self.name.clone(),
                room: self.room.clone(),
                cid,
                body,
                answer,
            });
        }
    }

    /// All events of the room as it is now, from its first.
    pub(crate) async fn read_all(&self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let Some(room) = self.read(last_of(&events), 0).await else {
                return events;
            };
            let more = room.more;
            events.extend(room.events);
            if !more {
                return events;
            }
        }
    }

    pub(crate) fn room(&self) -> &RoomId {
        &self.room
    }

    /// What to say next: mostly a message; now and then something about one that is on the screen.
    fn body(&self, rng: &mut StdRng, cid: &str) -> Body {
        let seen = self.seen.lock();
        let events = &seen.screens[self.screen].events;
        let is_message = |event: &&Event| matches!(event.kind, Some(Kind::Message(_)));
        let is_mine = |event: &&Event| event.from.as_ref().is_some_and(|from| from.id == self.name);
        let messages: Vec<_> = events
            .iter()
            .filter(is_message)
            .map(|event| event.seq)
            .collect();
        let mine: Vec<_> = events
            .iter()
            .filter(is_message)
            .filter(is_mine)
            .map(|event| event.seq)
            .collect();
        let text = format!("text of {cid}");
        match (
            rng.random_range(0..20),
            mine.choose(rng),
            messages.choose(rng),
        ) {
            (0..3, Some(target), _) => Body::Edit(Edit {
                target: *target,
                text,
            }),
            (3, Some(target), _) => Body::Delete(Delete {
                target: *target,
                ..Delete::default()
            }),
            (4..8, _, Some(target)) => Body::Reaction(Reaction {
                target: *target,
                emoji: ["👍", "🎉"].choose(rng).copied().unwrap_or("👍").to_owned(),
                on: rng.random_bool(0.7),
                count: 0,
            }),
            _ => Body::Message(Message { text, reply_to: 0 }),
        }
    }

    /// Keeps the screen: what continues it is shown, what is above a hole is fetched with the hole, and a
    /// head above it or a notice of loss too.
    async fn watch(&self) {
        let subjects = Subjects::default();
        let pp = self.owners.partition_of(&self.room);
        let outbound = subjects.outbound(pp, &self.room);
        let mut live = self.owners.subscribe(&outbound).await;
        let mut heads = self.owners.subscribe(&subjects.heads(pp)).await;
        self.catch_up(0).await;
        loop {
            let behind = tokio::select! {
                biased;
                delivery = live.next() => self.deliver(delivery),
                delivery = heads.next() => self.look_at_heads(delivery),
            };
            if let Some(min_seq) = behind {
                self.catch_up(min_seq).await;
            }
        }
    }

    /// Shows what continues the screen; what seq it must be caught up to, if it does not.
    fn deliver(&self, delivery: Option<Delivery>) -> Option<u64> {
        let Some(Delivery::Message(message)) = delivery else {
            return Some(0);
        };
        let fanout = Fanout::decode(message.payload).ok()?;
        let behind = fanout.events.last()?.seq;
        self.show(fanout.events).then_some(behind)
    }

    fn look_at_heads(&self, delivery: Option<Delivery>) -> Option<u64> {
        let Some(Delivery::Message(message)) = delivery else {
            return Some(0);
        };
        let heads = Heads::decode(message.payload).ok()?;
        let mut heads = heads.rooms.iter();
        let head = heads.find(|head| head.room == self.room.as_str())?.head;
        (head > self.last()).then_some(head)
    }

    async fn catch_up(&self, min_seq: u64) {
        loop {
            let Some(room) = self.read(self.last(), min_seq).await else {
                return;
            };
            if room.gap || room.reset {
                let last = self.last();
                self.wrong(format!(
                    "a cursor at {last} of a room with head {} was answered by gap={} reset={}",
                    room.head, room.gap, room.reset
                ));
            }
            let more = room.more;
            if self.show(room.events) {
                self.wrong("an answer to a cursor has a hole".to_owned());
            }
            if !more {
                return;
            }
        }
    }

    /// `None` when the answer is none.
    async fn read(&self, after: u64, min_seq: u64) -> Option<Room> {
        let read = Read {
            after: Some(after),
            after_gen: String::new(),
            limit: 50,
            catch_up: CATCH_UP,
            min_seq,
            gateway: self.name.clone(),
        };
        match self.owners.call(&self.room, request::Op::Read(read)).await {
            reply::Result::Room(room) => Some(room),
            other => {
                self.wrong(format!("a read was answered by {other:?}"));
                None
            }
        }
    }

    /// Adds the events that continue the screen; whether one lies above a hole.
    fn show(&self, events: Vec<Event>) -> bool {
        let mut seen = self.seen.lock();
        let shown = &mut seen.screens[self.screen].events;
        for event in events {
            let next = last_of(shown) + 1;
            if event.seq > next {
                return true;
            }
            if event.seq == next {
                shown.push(event);
            }
        }
        false
    }

    fn last(&self) -> u64 {
        last_of(&self.seen.lock().screens[self.screen].events)
    }

    fn wrong(&self, what: String) {
        let what = format!("{} in {}: {what}", self.name, self.room);
        self.seen.lock().wrong.push(what);
    }
}

fn last_of(events: &[Event]) -> u64 {
    events.last().map_or(0, |event| event.seq)
}
