//! One room of the hub: its state behind a lock, and signals to its listener and to those who join.

use std::sync::Arc;

use broker::Bus;
use parking_lot::Mutex;
use proto::{
    PartitionId, RoomId,
    bus::v1::{self, RoomHead},
    frame::Cursor,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    Refusal,
    delivery::Encoder,
    refill, repair,
    state::{
        Admitted, Cx, Effects, Fill, Found, Known, Missing, Need, Next, Outdated, Refill, Stale,
        State, Told, Wish,
    },
};
use crate::{
    outbox::FeedId,
    session::{Session, socket::Text},
    shared::Shared,
};

/// A room that somebody here is in, or was a moment ago.
pub(crate) struct Room {
    id: RoomId,
    pp: PartitionId,
    state: Mutex<State>,
    /// Whether the broker has the subscription.
    listening: watch::Sender<bool>,
    /// Somebody came or the last one left.
    changed: Notify,
    /// A reading has ended.
    read: Notify,
}

/// Somebody who is about to join: until it is dropped, the room is followed for them.
pub(super) struct Expected<'a> {
    room: &'a Arc<Room>,
    need: Need,
}

impl Room {
    pub(super) fn new(id: RoomId, pp: PartitionId) -> Self {
        Self {
            id,
            pp,
            state: Mutex::default(),
            listening: watch::Sender::new(false),
            changed: Notify::new(),
            read: Notify::new(),
        }
    }

    pub(crate) fn id(&self) -> &RoomId {
        &self.id
    }

    pub(crate) fn pp(&self) -> PartitionId {
        self.pp
    }

    /// Sockets in the room here.
    pub(crate) fn members(&self) -> usize {
        self.state.lock().members()
    }

    /// The same, counting a session that may not be in it yet.
    pub(super) fn members_with(&self, session: u64) -> u64 {
        let state = self.state.lock();
        state.members() as u64 + u64::from(!state.has_member(session))
    }

    /// The last seq known here; 0 when none is.
    pub(crate) fn head(&self) -> u64 {
        self.state.lock().last().unwrap_or(0)
    }

    /// The sessions in the room here.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.state.lock().sessions()
    }

    /// Takes a session out, and with it what was entered for it.
    pub(crate) fn leave(&self, session: u64) {
        let is_idle = self.state.lock().leave(session);
        if is_idle {
            self.changed.notify_one();
        }
    }

    /// Gives back what was entered, for nothing or once too often.
    pub(super) fn let_go(&self) {
        let is_idle = self.state.lock().let_go();
        if is_idle {
            self.changed.notify_one();
        }
    }

    pub(super) fn retain(&self) {
        self.state.lock().retain();
        self.changed.notify_one();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().is_idle()
    }

    /// Gives back memory of which a quiet room has no use.
    pub(super) fn shrink(&self) {
        self.state.lock().shrink(Instant::now());
    }

    /// Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_listening(&self) {
        self.listening.send_replace(true);
    }

    /// Waits until the broker has the subscription. Cancel-safe.
    pub(super) async fn listening(&self) {
        // The sender is held by `self`: the wait cannot fail.
        let _ = self.listening.subscribe().wait_for(|is| *is).await;
    }

    /// Somebody with this cursor is about to join.
    pub(super) fn expect(self: &Arc<Self>, cursor: Option<&Cursor>) -> Expected<'_> {
        Expected {
            room: self,
            need: self.state.lock().expect(cursor),
        }
    }

    /// What somebody who joins is shown, as far as it is here.
    pub(super) fn piece(&self, wish: &Wish<'_>, is_sure: bool) -> Found {
        self.state.lock().piece(wish, is_sure)
    }

    /// Makes somebody a member who is shown the room up to a seq of a numbering.
    pub(super) fn admit<B: Bus>(
        self: &Arc<Self>,
        shared: &Arc<Shared<B>>,
        session: &Arc<Session>,
        at: (&str, u64),
        joined: Option<Text>,
    ) -> Result<Admitted, Outdated> {
        let cx = self.cx(shared);
        let admitted = self.state.lock().admit(&cx, self, session, at, joined)?;
        if admitted.starts_refill {
            refill::start(shared, session);
        }
        Ok(admitted)
    }

    /// Fills a member's feed up as far as that can be done from here.
    pub(super) fn fill<B: Bus>(&self, shared: &Shared<B>, session: u64, feed: FeedId) -> Fill {
        self.state.lock().fill(&self.cx(shared), session, feed)
    }

    /// Takes what was read for a member's feed.
    pub(super) fn refill<B: Bus>(
        &self,
        shared: &Shared<B>,
        (session, feed): (&Session, FeedId),
        from: u64,
        (view, epoch): (v1::Room, u64),
    ) -> Fill {
        let meta = v1::Room {
            events: Vec::new(),
            ..view.clone()
        };
        let generation = view.r#gen.clone();
        let encoder = self.encoder(shared, &generation);
        // Before the lock: there may be much to encode.
        let refill = Refill::of(view, from, session.form, &encoder);
        let mut state = self.state.lock();
        if state.heard(&meta, epoch).is_err() {
            return Fill::Later;
        }
        state.refill(&self.cx(shared), session.id, feed, refill)
    }

    /// Takes what an owner says the room is at, in an answer to somebody who joins.
    pub(super) fn heard(&self, view: &v1::Room, epoch: u64) -> Result<(), Stale> {
        self.state.lock().heard(view, epoch)
    }

    /// Takes events that have become durable.
    pub(super) fn fanout<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>, fanout: v1::Fanout) {
        let effects = self.state.lock().fanout(&self.cx(shared), fanout);
        self.have(shared, effects);
    }

    /// Events may have been lost just now.
    pub(super) fn lost<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>) {
        let effects = self.state.lock().lost();
        self.have(shared, effects);
    }

    /// Takes a head that an owner told; `true` when the room is behind it.
    pub(super) fn told<B: Bus>(
        self: &Arc<Self>,
        shared: &Arc<Shared<B>>,
        head: &RoomHead,
        epoch: u64,
    ) -> bool {
        let told = self.state.lock().told(head, epoch);
        match told {
            Told::Nothing => false,
            Told::Ahead => true,
            Told::Doubt(effects) => {
                self.have(shared, effects);
                false
            }
        }
    }

    /// A moment after a head told of events: if they have not come, they are read.
    pub(super) fn expects<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>, head: &RoomHead) {
        let effects = self.state.lock().is_ahead(head);
        self.have(shared, effects);
    }

    /// What has to be read next; `None` when nobody needs it any more.
    pub(super) fn missing(&self) -> Option<Missing> {
        self.state.lock().missing()
    }

    /// Takes what a reading has brought.
    pub(super) fn take<B: Bus>(
        self: &Arc<Self>,
        shared: &Arc<Shared<B>>,
        (view, epoch): (v1::Room, u64),
    ) -> Next {
        let (effects, next) = self.state.lock().read(&self.cx(shared), view, epoch);
        self.have(shared, effects);
        self.read.notify_waiters();
        next
    }

    /// A reading came to nothing.
    pub(super) fn unread(&self, refusal: Refusal) {
        self.state.lock().unread(refusal);
        self.read.notify_waiters();
    }

    /// Encodes this room's events of one numbering.
    pub(super) fn encoder<'a, B>(&'a self, shared: &Shared<B>, generation: &'a str) -> Encoder<'a> {
        Encoder {
            room: &self.id,
            generation,
            time_zone: shared.time_zone,
        }
    }

    fn have<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>, effects: Effects) {
        if effects.reads {
            tokio::spawn(repair::run(Arc::clone(self), Arc::clone(shared)));
        }
        for session in effects.behind {
            refill::start(shared, &session);
        }
    }

    fn cx<'a, B>(&'a self, shared: &'a Shared<B>) -> Cx<'a> {
        Cx {
            room: &self.id,
            time_zone: shared.time_zone,
            metrics: &shared.metrics,
            now: Instant::now(),
        }
    }
}

impl Expected<'_> {
    /// Waits until enough is known of the room. Cancel-safe.
    pub(super) async fn known<B: Bus>(&self, shared: &Arc<Shared<B>>) -> Result<(), Refusal> {
        loop {
            let read = self.room.read.notified();
            tokio::pin!(read);
            read.as_mut().enable();
            let known = self.room.state.lock().known(&self.need, Instant::now());
            match known {
                Known::Yes => return Ok(()),
                Known::Refused(refusal) => return Err(refusal),
                Known::Later(effects) => self.room.have(shared, effects),
            }
            read.await;
        }
    }

    /// What was known is not enough: an owner has to be asked from now on.
    pub(super) fn need_anew(&mut self) {
        self.need = self.room.state.lock().need_anew(&self.need);
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.room.state.lock().expect_no_more();
    }
}
