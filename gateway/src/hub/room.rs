//! One room of the hub: its state behind a lock, and signals to its listener.

use std::sync::Arc;

use broker::Bus;
use parking_lot::Mutex;
use proto::{PartitionId, RoomId, bus::v1};
use tokio::sync::{Notify, watch};

use super::{
    delivery::Encoder,
    repair,
    state::{Behind, Cx, Stale, State},
};
use crate::{session::Session, shared::Shared};

/// A room that somebody here is in, or was a moment ago.
pub(crate) struct Room {
    id: RoomId,
    pp: PartitionId,
    state: Mutex<State>,
    /// Whether the broker has the subscription.
    listening: watch::Sender<bool>,
    /// Somebody came or the last one left.
    changed: Notify,
}

impl Room {
    pub(super) fn new(id: RoomId, pp: PartitionId) -> Self {
        Self {
            id,
            pp,
            state: Mutex::default(),
            listening: watch::Sender::new(false),
            changed: Notify::new(),
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

    /// Holds the events from now on for a session, until [`release`](Self::release); `true` when it is
    /// the first one here. The seq is one that a reading for it must reach.
    pub(super) fn hold(&self, session: &Arc<Session>) -> (u64, bool) {
        self.state.lock().hold(session)
    }

    /// Takes what an owner says the room is at.
    pub(super) fn anchor<B: Bus>(
        self: &Arc<Self>,
        shared: &Arc<Shared<B>>,
        view: &v1::Room,
        epoch: u64,
    ) -> Result<(), Stale> {
        let anchored = self.state.lock().anchor(&self.cx(shared), view, epoch);
        self.repair_if(shared, anchored?);
        Ok(())
    }

    /// Sends a session what was held for it above `sent`, and lets it live on from there.
    pub(super) fn release(&self, session: u64, sent: u64) -> Result<(), Behind> {
        self.state.lock().release(session, sent)
    }

    /// Ends a hold that came to nothing.
    pub(super) fn resume(&self, session: u64) {
        self.state.lock().resume(session);
    }

    /// Takes events that have become durable.
    pub(super) fn fanout<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>, fanout: v1::Fanout) {
        let needs_repair = self.state.lock().fanout(&self.cx(shared), fanout);
        self.repair_if(shared, needs_repair);
    }

    /// Events may have been lost just now.
    pub(super) fn lost<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>) {
        let needs_repair = self.state.lock().lost();
        self.repair_if(shared, needs_repair);
    }

    /// What a repair has to read next; `None` when nobody needs it any more.
    pub(super) fn missing(&self) -> Option<super::state::Missing> {
        self.state.lock().missing()
    }

    /// Takes what a repair has read; `true` when it must read on.
    pub(super) fn repaired<B: Bus>(&self, shared: &Shared<B>, view: v1::Room, epoch: u64) -> bool {
        self.state.lock().repaired(&self.cx(shared), view, epoch)
    }

    /// Encodes this room's events of one numbering.
    pub(super) fn encoder<'a, B>(&'a self, shared: &Shared<B>, generation: &'a str) -> Encoder<'a> {
        Encoder {
            room: &self.id,
            generation,
            time_zone: shared.time_zone,
        }
    }

    fn repair_if<B: Bus>(self: &Arc<Self>, shared: &Arc<Shared<B>>, needed: bool) {
        if needed {
            tokio::spawn(repair::run(Arc::clone(self), Arc::clone(shared)));
        }
    }

    fn cx<'a, B>(&'a self, shared: &'a Shared<B>) -> Cx<'a> {
        Cx {
            room: &self.id,
            time_zone: shared.time_zone,
            metrics: &shared.metrics,
        }
    }
}
