//! A gateway without sockets, for simulations: everything behind them is the real one. What a browser would
//! write to its socket is handed to [`Browser::says`], and [`Browser::hears`] yields what it would read.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

use broker::Bus;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::{Session, protocol::Protocol};
use crate::{Options, clock::mono_ms, hub::Form, shared::Shared};

/// A gateway that listens nowhere. Cheap to clone; clones are the same gateway.
pub struct Socketless<B> {
    shared: Arc<Shared<B>>,
}

impl<B> Clone for Socketless<B> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<B: Bus> Socketless<B> {
    /// A gateway on this bus. Of the options those about sockets and pages say nothing here.
    pub fn new(options: &Options, bus: B) -> Self {
        Self {
            shared: Arc::new(Shared::new(options, bus, &mut Registry::default())),
        }
    }

    /// Does everything that serves no single browser, for as long as it is polled.
    pub async fn run(self) {
        self.shared.run(CancellationToken::new()).await;
    }

    /// Opens a connection, once the gateway has reached the room service. Cancel-safe.
    pub async fn open(&self) -> Browser<B> {
        self.shared.upstream.known().await;
        let session = Session::new(rand::random(), Form::V1, web::negotiate(None));
        let session = Arc::new(session);
        self.shared.sessions.open(&session);
        Browser {
            protocol: Protocol::new(&self.shared, &session, None),
            session,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// The other end of a connection, which ends when it is dropped.
pub struct Browser<B: Bus> {
    session: Arc<Session>,
    protocol: Protocol<B>,
    shared: Arc<Shared<B>>,
}

/// What a browser reads with one look.
#[derive(Debug, Default)]
pub struct Heard {
    /// Frames, in order.
    pub frames: Vec<String>,
    /// The connection is being closed with this code: nothing more will come.
    pub close: Option<u16>,
}

impl<B: Bus> Browser<B> {
    /// Writes a text frame.
    pub fn says(&mut self, frame: &str) {
        self.session.life.heard(mono_ms());
        if !self.session.outbox.is_closing() {
            self.protocol.text(frame);
        }
    }

    /// Waits until there is something to read, and reads what one write of the gateway carries. Pings are
    /// answered. Cancel-safe.
    pub async fn hears(&mut self) -> Heard {
        poll_fn(|cx| {
            self.session.outbox.register(cx);
            let mut batch = VecDeque::new();
            let close = self.session.outbox.take(&mut batch);
            if batch.is_empty() && close.is_none() {
                return Poll::Pending;
            }
            self.session.life.heard(mono_ms());
            let texts = batch.iter().filter_map(|frame| frame.text());
            Poll::Ready(Heard {
                frames: texts.map(str::to_owned).collect(),
                close: close.map(|close| close.code),
            })
        })
        .await
    }
}

impl<B: Bus> Drop for Browser<B> {
    fn drop(&mut self) {
        self.session.end();
        self.shared.sessions.close(&self.session);
    }
}
