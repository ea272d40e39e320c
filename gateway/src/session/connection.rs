//! The one task of a socket: reads frames and hands them on, writes what the outbox has. Reading goes on
//! while a write waits, and the other way round; many frames go out with one flush.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll, ready},
};

use broker::Bus;

use super::{
    Dialect, Session,
    protocol::Protocol,
    socket::{Fault, Incoming, Outgoing, Socket},
};
use crate::{clock::mono_ms, close::Close, shared::Shared};

/// A socket and what is under way on it.
pub(super) struct Connection<B> {
    socket: Socket,
    session: Arc<Session>,
    shared: Arc<Shared<B>>,
    protocol: Protocol<B>,
    /// Taken from the outbox, not yet with the socket.
    staged: VecDeque<Outgoing>,
    /// Goes out after `staged`.
    close: Option<Close>,
    /// The socket holds what is not yet with the system.
    is_dirty: bool,
    /// A close frame was taken: nothing is written after it.
    has_closed: bool,
    /// Reading came to its end before writing.
    is_deaf: bool,
}

impl<B: Bus> Connection<B> {
    pub(super) fn new(
        socket: Socket,
        address: Option<IpAddr>,
        dialect: Dialect,
        session: &Arc<Session>,
        shared: &Arc<Shared<B>>,
    ) -> Self {
        let mut protocol = Protocol::new(shared, session, address);
        if let Dialect::Classic {
            room,
            history,
            token,
        } = dialect
            && !session.outbox.is_closing()
        {
            protocol.classic(&room, history, token.as_deref());
        }
        Self {
            socket,
            session: Arc::clone(session),
            shared: Arc::clone(shared),
            protocol,
            staged: VecDeque::new(),
            close: None,
            is_dirty: false,
            has_closed: false,
            is_deaf: false,
        }
    }

    /// Serves the socket to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        while let Some(incoming) = std::future::poll_fn(|cx| self.poll(cx)).await {
            self.session.life.heard(mono_ms());
            match incoming {
                // What comes after our close is not answered any more.
                Incoming::Text(_) | Incoming::Binary if self.session.outbox.is_closing() => {}
                Incoming::Text(text) => self.protocol.text(text.as_str()),
                Incoming::Binary => self.protocol.binary(),
                Incoming::Life => {}
                Incoming::Close => {
                    // The codec answers by itself, or this is the answer to ours.
                    self.has_closed = true;
                    self.session.life.closing(mono_ms());
                    self.session.outbox.close(Close::DONE);
                }
            }
        }
    }

    /// Writes what can be written, and yields what is read next; `None` when all is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        // First of all, so that whatever is queued from here on wakes this task.
        self.session.outbox.register(cx);
        if self.session.life.is_over() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Err(_gone)) = self.poll_write(cx) {
            return Poll::Ready(None);
        }
        if self.is_deaf || (self.session.is_busy() && !self.session.outbox.is_closing()) {
            // Work that is done wakes this task, and so does the sweeper.
            return Poll::Pending;
        }
        match ready!(self.socket.poll_read(cx)) {
            Ok(incoming) => Poll::Ready(Some(incoming)),
            Err(Fault::Gone) => Poll::Ready(None),
            Err(Fault::Close(close)) => {
                self.session.outbox.close(close);
                self.is_deaf = !self.socket.can_read();
                // The close that was just queued goes out in another round.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Ready when all that was queued is with the system.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let written = self.poll_staged(cx);
            self.session
                .life
                .blocked(written.is_pending().then(mono_ms));
            ready!(written)?;
            if self.has_closed {
                return Poll::Ready(Ok(()));
            }
            self.close = self.session.outbox.take(&mut self.staged);
            if self.staged.is_empty() {
                self.staged = VecDeque::new();
                if self.close.is_none() {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn poll_staged(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.has_closed && (!self.staged.is_empty() || self.close.is_some()) {
            ready!(self.socket.poll_ready(cx))?;
            self.is_dirty = true;
            if let Some(frame) = self.staged.pop_front() {
                self.shared.metrics.sent_bytes.inc_by(frame.len() as u64);
                self.socket.queue(frame)?;
            } else if let Some(close) = self.close.take() {
                self.has_closed = true;
                self.shared.metrics.closed(close);
                self.session.life.closing(mono_ms());
                self.socket.queue_close(close)?;
            }
        }
        if self.is_dirty {
            ready!(self.socket.poll_flush(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}
