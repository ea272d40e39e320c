//! A gateway's core on a broker in memory, and an owner of its one partition that does what a test wants
//! it to do.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use broker::{Bus as _, Delivery, Message, Subscription as _, embedded::Embedded};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use prost::Message as _;
use proto::{
    PartitionId, RoomId,
    bus::v1::{
        Acked, Announcement, Fanout, Meta, NotOwner, Owned, Read, Reply, Request, Room, reply,
        request,
    },
    log::v1::{Author, Event, Message as Said, event::Kind},
    subject::Subjects,
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use crate::{DrainOptions, Options, close::Close, hub::Form, session::Session, shared::Shared};

/// The one partition.
pub(crate) const PP: PartitionId = PartitionId::Rooms(0);

/// A gateway's core, its tasks running.
pub(crate) struct Core {
    pub(crate) bus: Embedded,
    pub(crate) shared: Arc<Shared<Embedded>>,
    _tasks: Vec<JoinHandle<()>>,
}

impl Core {
    /// A core that knows its installation.
    pub(crate) async fn start() -> Self {
        Self::start_with(proto::Limits::default()).await
    }

    pub(crate) async fn start_with(limits: proto::Limits) -> Self {
        let bus = Embedded::in_memory().unwrap();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            subjects: Subjects::default(),
            limits,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            time_zone: chrono_tz::UTC,
            guests: true,
            drain: DrainOptions {
                delay: Duration::ZERO,
                window: Duration::from_secs(10),
                deadline: Duration::from_secs(25),
            },
            gateway_id: "g1".to_owned(),
        };
        let shared = Arc::new(Shared::new(&options, bus.clone(), &mut Registry::default()));
        let meta = tokio::spawn(answer_meta(bus.clone()));
        let run = tokio::spawn(Arc::clone(&shared).run(Default::default()));
        shared.upstream.known().await;
        Self {
            bus,
            shared,
            _tasks: vec![meta, run],
        }
    }
}

async fn answer_meta(bus: Embedded) {
    let mut asked = bus.subscribe("parlor.meta.get").await.unwrap();
    let meta = Meta {
        partitions: 1,
        guest_key: b"key".as_slice().into(),
    };
    while let Some(Delivery::Message(message)) = asked.next().await {
        let payload = meta.encode_to_vec().into();
        bus.publish(&message.reply.unwrap(), payload, None)
            .await
            .unwrap();
    }
}

/// Owns the partition under one epoch.
#[derive(Clone)]
pub(crate) struct Owner {
    bus: Embedded,
    epoch: u64,
    state: Arc<Mutex<OwnerState>>,
    /// Requests are answered only while it is open.
    gate: Arc<watch::Sender<bool>>,
    /// Requests that have arrived.
    pub(crate) seen: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct OwnerState {
    rooms: HashMap<String, Vec<Event>>,
    /// Answers that a test wants given instead.
    instead: VecDeque<reply::Result>,
    reads: Vec<Read>,
    generation: String,
    /// Seqs below this are not kept in memory.
    forgotten: u64,
    max_events: Option<usize>,
    /// How long the next answers are under way.
    delays: VecDeque<Duration>,
}

impl Owner {
    /// Claims the partition and announces it.
    pub(crate) async fn claim(bus: &Embedded, epoch: u64) -> Self {
        let owner = Self {
            bus: bus.clone(),
            epoch,
            state: Arc::default(),
            gate: Arc::new(watch::Sender::new(true)),
            seen: Arc::default(),
        };
        owner.state.lock().generation = "gen1".to_owned();
        let pattern = Subjects::default().inbound_all(PP, epoch);
        let mut asked = bus.subscribe(&pattern).await.unwrap();
        let serving = owner.clone();
        tokio::spawn(async move {
            while let Some(Delivery::Message(message)) = asked.next().await {
                serving.seen.send_modify(|seen| *seen += 1);
                let mut gate = serving.gate.subscribe();
                gate.wait_for(|open| *open).await.unwrap();
                drop(gate);
                serving.answer(message).await;
            }
        });
        owner.announce().await;
        owner
    }

    pub(crate) async fn announce(&self) {
        let announcement = Announcement {
            owner: "r1".to_owned(),
            partitions: vec![Owned {
                partition: "0".to_owned(),
                epoch: self.epoch,
                released: false,
            }],
        };
        let payload = announcement.encode_to_vec().into();
        self.bus.publish("parlor.own", payload, None).await.unwrap();
    }

    /// From now on requests wait for [`open`](Self::open).
    pub(crate) fn shut(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Waits until this many requests have arrived.
    pub(crate) async fn has_seen(&self, count: usize) {
        let mut seen = self.seen.subscribe();
        seen.wait_for(|seen| *seen >= count).await.unwrap();
    }

    /// The next request gets this answer.
    pub(crate) fn answer_next(&self, answer: reply::Result) {
        self.state.lock().instead.push_back(answer);
    }

    pub(crate) fn not_owner(epoch: u64) -> reply::Result {
        reply::Result::NotOwner(NotOwner { epoch })
    }

    /// The reads asked for so far.
    pub(crate) fn reads(&self) -> Vec<Read> {
        self.state.lock().reads.clone()
    }

    /// Begins the numbering of all rooms anew.
    pub(crate) fn renumber(&self, generation: &str) {
        let mut state = self.state.lock();
        state.generation = generation.to_owned();
        state.rooms.clear();
    }

    /// No answer has more events than this.
    pub(crate) fn answer_at_most(&self, events: usize) {
        self.state.lock().max_events = Some(events);
    }

    /// The next answer without a delay yet is under way for this long; others overtake it.
    pub(crate) fn delay_answer(&self, delay: Duration) {
        self.state.lock().delays.push_back(delay);
    }

    /// Forgets the events below `seq`.
    pub(crate) fn forget_below(&self, seq: u64) {
        self.state.lock().forgotten = seq - 1;
    }

    /// Makes an event durable without telling anybody.
    pub(crate) fn append(&self, room: &str, text: &str) -> Event {
        let mut state = self.state.lock();
        let events = state.rooms.entry(room.to_owned()).or_default();
        let seq = events.len() as u64 + 1;
        let event = Event {
            seq,
            ts_ms: 1_795_417_200_000 + seq,
            from: Some(Author {
                id: "u_other".to_owned(),
                nick: "Other".to_owned(),
                ..Author::default()
            }),
            cid: format!("c{seq}"),
            body_tag: 0,
            kind: Some(Kind::Message(Said {
                text: text.to_owned(),
                reply_to: 0,
            })),
        };
        events.push(event.clone());
        event
    }

    /// The seq of the last event.
    pub(crate) fn head(&self, room: &str) -> u64 {
        let state = self.state.lock();
        state
            .rooms
            .get(room)
            .map_or(0, |events| events.len() as u64)
    }

    /// Tells everybody of events.
    pub(crate) async fn publish(&self, room: &str, events: &[Event]) {
        let fanout = Fanout {
            room: room.to_owned(),
            r#gen: self.state.lock().generation.clone(),
            epoch: self.epoch,
            events: events.to_vec(),
        };
        let subject = Subjects::default().outbound(PP, &RoomId::parse(room).unwrap());
        let payload = fanout.encode_to_vec().into();
        self.bus.publish(&subject, payload, None).await.unwrap();
    }

    /// Both.
    pub(crate) async fn say(&self, room: &str, text: &str) {
        let event = self.append(room, text);
        self.publish(room, &[event]).await;
    }

    async fn answer(&self, message: Message) {
        let request = Request::decode(message.payload).unwrap();
        let instead = self.state.lock().instead.pop_front();
        let result = match (instead, request.op.unwrap()) {
            (Some(answer), _) => answer,
            (None, request::Op::Read(read)) => {
                self.state.lock().reads.push(read.clone());
                reply::Result::Room(self.view(&request.room, &read))
            }
            (None, request::Op::Send(send)) => {
                let event = self.append(&request.room, &send.text);
                let event = Event {
                    from: send.from,
                    cid: send.cid,
                    ..event
                };
                self.publish(&request.room, std::slice::from_ref(&event))
                    .await;
                reply::Result::Acked(Acked {
                    seq: event.seq,
                    ts_ms: event.ts_ms,
                    dup: false,
                })
            }
        };
        let reply = Reply {
            epoch: self.epoch,
            result: Some(result),
        };
        let payload = reply.encode_to_vec().into();
        let (bus, reply_to) = (self.bus.clone(), message.reply.unwrap());
        let delay = self.state.lock().delays.pop_front().unwrap_or_default();
        if delay.is_zero() {
            bus.publish(&reply_to, payload, None).await.unwrap();
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            bus.publish(&reply_to, payload, None).await.unwrap();
        });
    }

    fn view(&self, room: &str, read: &Read) -> Room {
        let state = self.state.lock();
        let Some(events) = state.rooms.get(room) else {
            return Room {
                r#gen: "0".to_owned(),
                oldest: 1,
                reset: read.after.is_some_and(|after| after > 0),
                ..Room::default()
            };
        };
        let head = events.len() as u64;
        let is_numbering = read.after_gen.is_empty() || read.after_gen == state.generation;
        let (after, gap, reset) = match read.after {
            None => (head.saturating_sub(u64::from(read.limit)), false, false),
            Some(after) if after > head || (after > 0 && !is_numbering) => {
                (head.saturating_sub(u64::from(read.limit)), false, true)
            }
            Some(after) if head - after > u64::from(read.catch_up) || after < state.forgotten => {
                (head.saturating_sub(u64::from(read.limit)), true, false)
            }
            Some(after) => (after, false, false),
        };
        let most = state.max_events.unwrap_or(usize::MAX);
        let after = after.max(state.forgotten);
        let above: Vec<_> = events.iter().filter(|event| event.seq > after).collect();
        Room {
            r#gen: state.generation.clone(),
            head,
            oldest: 1,
            name: "Room".to_owned(),
            more: above.len() > most,
            events: above.into_iter().take(most).cloned().collect(),
            gap,
            reset,
            online: 0,
        }
    }
}

/// A session without a socket, read by hand.
pub(crate) fn session(id: u64, form: Form) -> Arc<Session> {
    Arc::new(Session::new(id, form, web::negotiate(None)))
}

/// Everything queued for a session, as JSON.
pub(crate) fn taken(session: &Session) -> Vec<Value> {
    drain(session).0
}

/// Everything queued for a session, and its close.
pub(crate) fn drain(session: &Session) -> (Vec<Value>, Option<Close>) {
    let mut frames = Vec::new();
    loop {
        let mut batch = VecDeque::new();
        let close = session.outbox.take(&mut batch);
        let is_empty = batch.is_empty();
        let texts = batch.iter().filter_map(|frame| frame.text());
        frames.extend(texts.map(|text| serde_json::from_str::<Value>(text).unwrap()));
        if is_empty || close.is_some() {
            return (frames, close);
        }
    }
}

/// Waits until a session has this many frames, and takes them.
pub(crate) async fn frames(session: &Session, count: usize) -> Vec<Value> {
    let mut frames = taken(session);
    for _ in 0..1_000 {
        if frames.len() >= count {
            break;
        }
        // The clock is paused: this passes as soon as every task has done what it can.
        tokio::time::sleep(Duration::from_millis(1)).await;
        frames.extend(taken(session));
    }
    assert!(frames.len() >= count, "only {frames:#?}");
    frames
}

/// The seqs of `event` frames and of the events in `joined`, in order.
pub(crate) fn seqs(frames: &[Value]) -> Vec<u64> {
    let mut seqs = Vec::new();
    for frame in frames {
        match frame["op"].as_str() {
            Some("event") => seqs.extend(frame["seq"].as_u64()),
            Some("joined") => {
                let events = frame["events"].as_array().unwrap();
                seqs.extend(events.iter().filter_map(|event| event["seq"].as_u64()));
            }
            _ => {}
        }
    }
    seqs
}

/// Lets every task do what it can.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
