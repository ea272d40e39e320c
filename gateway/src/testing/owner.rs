//! The scripted owner of the one partition: it keeps events in memory and answers as a real one would,
//! unless a test says otherwise. What it holds is in [`rooms`].

mod rooms;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use broker::{Bus as _, Delivery, Message, Subscription as _, embedded::Embedded};
use parking_lot::Mutex;
use prost::Message as _;
use proto::{
    RoomId,
    bus::v1::{
        Acked, Announcement, Fanout, Heads, History, NotOwner, Owned, Read, Reply, Request,
        RoomHead, Send, reply, request,
    },
    log::v1::{Author, Event, Message as Said, event::Kind},
    subject::Subjects,
};
use tokio::sync::watch;

use super::PP;
use rooms::Rooms;

/// How often an owner tells where its rooms are at.
const HEADS_EVERY: Duration = Duration::from_secs(1);
/// How often a living owner says that it is there.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(250);

/// Owns the partition under one epoch.
#[derive(Clone)]
pub(crate) struct Owner {
    bus: Embedded,
    epoch: u64,
    state: Arc<Mutex<State>>,
    /// Requests are answered only while it is open.
    gate: Arc<watch::Sender<bool>>,
    /// Nothing at all is done while it is stopped.
    stopped: Arc<watch::Sender<bool>>,
    /// Requests that have arrived.
    pub(crate) seen: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct State {
    rooms: Rooms,
    /// Answers that a test wants given instead.
    instead: VecDeque<reply::Result>,
    reads: Vec<Read>,
    sends: Vec<Send>,
    histories: Vec<History>,
    /// How long the next answers are under way.
    delays: VecDeque<Duration>,
}

impl Owner {
    /// Claims the partition, announces it, and goes on announcing it.
    pub(crate) async fn claim(bus: &Embedded, epoch: u64) -> Self {
        let owner = Self::claim_unheard(bus, epoch).await;
        owner.announce().await;
        tokio::spawn(owner.clone().go_on_announcing());
        owner
    }

    /// Claims the partition, but its announcements get lost.
    pub(crate) async fn claim_unheard(bus: &Embedded, epoch: u64) -> Self {
        let owner = Self::new(bus, epoch);
        let pattern = Subjects::default().inbound_all(PP, epoch);
        let asked = bus.subscribe(&pattern).await.unwrap();
        tokio::spawn(owner.clone().serve(asked));
        let who = bus.subscribe(&Subjects::default().who(PP)).await.unwrap();
        tokio::spawn(owner.clone().answer_who(who));
        owner
    }

    /// Says that it owns the partition and answers who does, but takes no requests.
    pub(crate) async fn announced_only(bus: &Embedded, epoch: u64) -> Self {
        let owner = Self::new(bus, epoch);
        let who = bus.subscribe(&Subjects::default().who(PP)).await.unwrap();
        tokio::spawn(owner.clone().answer_who(who));
        owner.announce().await;
        tokio::spawn(owner.clone().go_on_announcing());
        owner
    }

    fn new(bus: &Embedded, epoch: u64) -> Self {
        Self {
            bus: bus.clone(),
            epoch,
            state: Arc::default(),
            gate: Arc::new(watch::Sender::new(true)),
            stopped: Arc::default(),
            seen: Arc::default(),
        }
    }

    pub(crate) async fn announce(&self) {
        let payload = self.announcement().encode_to_vec().into();
        self.bus.publish("parlor.own", payload, None).await.unwrap();
    }

    /// From now on requests wait for [`open`](Self::open): it lives, but its log is slow.
    pub(crate) fn shut(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Its process is stopped: it says nothing any more, and what arrives waits.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Its process goes on, unaware of what happened.
    pub(crate) fn go_on(&self) {
        self.stopped.send_replace(false);
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

    /// The sends asked for so far, each as often as it was.
    pub(crate) fn sends(&self) -> Vec<Send> {
        self.state.lock().sends.clone()
    }

    /// The histories asked for so far.
    pub(crate) fn histories(&self) -> Vec<History> {
        self.state.lock().histories.clone()
    }

    /// Begins the numbering of all rooms anew.
    pub(crate) fn renumber(&self, generation: &str) {
        self.state.lock().rooms = Rooms::new(generation);
    }

    /// No answer has more events than this.
    pub(crate) fn answer_at_most(&self, events: usize) {
        self.state.lock().rooms.max_events = events;
    }

    /// The next answer without a delay yet is under way for this long; others overtake it.
    pub(crate) fn delay_answer(&self, delay: Duration) {
        self.state.lock().delays.push_back(delay);
    }

    /// Forgets the events below `seq`.
    pub(crate) fn forget_below(&self, seq: u64) {
        self.state.lock().rooms.oldest = seq;
    }

    /// Makes an event durable without telling anybody.
    pub(crate) fn append(&self, room: &str, text: &str) -> Event {
        let text = text.to_owned();
        self.append_kind(room, Kind::Message(Said { text, reply_to: 0 }))
    }

    /// The same for any kind of event.
    pub(crate) fn append_kind(&self, room: &str, kind: Kind) -> Event {
        let other = Author {
            id: "u_other".to_owned(),
            nick: "Other".to_owned(),
            ..Author::default()
        };
        self.state.lock().rooms.append(room, other, kind)
    }

    /// The seq of the last event.
    pub(crate) fn head(&self, room: &str) -> u64 {
        self.state.lock().rooms.head(room)
    }

    /// Tells everybody of events.
    pub(crate) async fn publish(&self, room: &str, events: &[Event]) {
        let fanout = Fanout {
            room: room.to_owned(),
            r#gen: self.state.lock().rooms.generation.clone(),
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

    /// Tells everybody where rooms are at.
    pub(crate) async fn tell_heads(&self, rooms: &[RoomHead]) {
        let heads = Heads {
            epoch: self.epoch,
            rooms: rooms.to_vec(),
        };
        let payload = heads.encode_to_vec().into();
        let subject = Subjects::default().heads(PP);
        self.bus.publish(&subject, payload, None).await.unwrap();
    }

    /// Where a room is at.
    pub(crate) fn room_head(&self, room: &str) -> RoomHead {
        let state = self.state.lock();
        RoomHead {
            room: room.to_owned(),
            r#gen: state.rooms.generation.clone(),
            head: state.rooms.head(room),
        }
    }

    /// From now on tells each second where a room is at, like a real owner.
    pub(crate) fn go_on_telling_heads(&self, room: &str) {
        let (owner, room) = (self.clone(), room.to_owned());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEADS_EVERY).await;
                owner.goes_on().await;
                owner.tell_heads(&[owner.room_head(&room)]).await;
            }
        });
    }

    async fn go_on_announcing(self) {
        loop {
            tokio::time::sleep(ANNOUNCE_EVERY).await;
            self.goes_on().await;
            self.announce().await;
        }
    }

    async fn serve(self, mut asked: <Embedded as broker::Bus>::Subscription) {
        while let Some(Delivery::Message(message)) = asked.next().await {
            self.seen.send_modify(|seen| *seen += 1);
            self.goes_on().await;
            let mut gate = self.gate.subscribe();
            gate.wait_for(|open| *open).await.unwrap();
            drop(gate);
            self.answer(message).await;
        }
    }

    async fn answer_who(self, mut asked: <Embedded as broker::Bus>::Subscription) {
        while let Some(Delivery::Message(message)) = asked.next().await {
            self.goes_on().await;
            let payload = self.announcement().encode_to_vec().into();
            self.bus
                .publish(&message.reply.unwrap(), payload, None)
                .await
                .unwrap();
        }
    }

    async fn answer(&self, message: Message) {
        let request = Request::decode(message.payload).unwrap();
        let instead = self.state.lock().instead.pop_front();
        let result = match (instead, request.op.unwrap()) {
            (Some(answer), _) => answer,
            (None, request::Op::Read(read)) => {
                let mut state = self.state.lock();
                state.reads.push(read.clone());
                reply::Result::Room(state.rooms.read(&request.room, &read))
            }
            (None, request::Op::History(history)) => {
                let mut state = self.state.lock();
                state.histories.push(history);
                reply::Result::Room(state.rooms.history(&request.room, &history))
            }
            (None, request::Op::Send(send)) => self.send(&request.room, send).await,
            (None, request::Op::Describe(_)) => panic!("a gateway does not ask for that"),
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

    async fn send(&self, room: &str, send: Send) -> reply::Result {
        let (event, dup) = {
            let mut state = self.state.lock();
            state.sends.push(send.clone());
            state.rooms.send(room, send)
        };
        if !dup {
            self.publish(room, std::slice::from_ref(&event)).await;
        }
        reply::Result::Acked(Acked {
            seq: event.seq,
            ts_ms: event.ts_ms,
            dup,
        })
    }

    /// Waits while it is stopped.
    async fn goes_on(&self) {
        let mut stopped = self.stopped.subscribe();
        stopped.wait_for(|stopped| !stopped).await.unwrap();
    }

    fn announcement(&self) -> Announcement {
        Announcement {
            owner: "r1".to_owned(),
            partitions: vec![Owned {
                partition: "0".to_owned(),
                epoch: self.epoch,
                released: false,
                ..Owned::default()
            }],
            ..Announcement::default()
        }
    }
}
