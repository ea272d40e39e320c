//! The one task of a socket: reads messages and hands them on, writes what the outbox has. Reading goes
//! on while a write waits, and the other way round; many frames go out with one write.

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

/// A queue that grew beyond this is given back when it is empty.
const KEEP_CAPACITY: usize = 8;

/// A socket and what is under way on it.
pub(super) struct Connection<B> {
    socket: Socket,
    session: Arc<Session>,
    shared: Arc<Shared<B>>,
    protocol: Protocol<B>,
    /// Taken from the outbox, not yet written.
    staged: VecDeque<Outgoing>,
    /// The answer to the latest ping.
    pong: Option<Outgoing>,
    /// Goes out after `staged`.
    close: Option<Close>,
    /// A close frame is staged or written: nothing comes after it.
    has_closed: bool,
    /// The other side's close frame was read.
    has_heard_close: bool,
    has_shut_down: bool,
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
        if let Dialect::Classic(asked) = &dialect
            && !session.outbox.is_closing()
        {
            protocol.classic(asked.as_ref().map_err(|why| *why));
        }
        Self {
            socket,
            session: Arc::clone(session),
            shared: Arc::clone(shared),
            protocol,
            staged: VecDeque::new(),
            pong: None,
            close: None,
            has_closed: false,
            has_heard_close: false,
            has_shut_down: false,
        }
    }

    /// Serves the socket to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        while let Some(incoming) = std::future::poll_fn(|cx| self.poll(cx)).await {
            self.take(incoming);
        }
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            // What comes after our close is not answered any more.
            Incoming::Text(_) | Incoming::Binary if self.session.outbox.is_closing() => {}
            Incoming::Text(text) => self.protocol.text(&text),
            Incoming::Binary => self.protocol.binary(),
            Incoming::Ping(pong) => self.pong = Some(pong),
            Incoming::Pong => {}
            Incoming::Close(code) => {
                self.has_heard_close = true;
                if !self.has_closed {
                    self.has_closed = true;
                    self.staged.push_back(Outgoing::close(code, ""));
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
        loop {
            if self.session.life.is_over() {
                return Poll::Ready(None);
            }
            match self.poll_write(cx) {
                Poll::Ready(Err(_gone)) => return Poll::Ready(None),
                Poll::Ready(Ok(())) if self.has_closed => {
                    if self.has_heard_close {
                        return Poll::Ready(None);
                    }
                    if self.socket.is_lost() && !self.has_shut_down {
                        // Its confirmation could not be told from the rest: the end of the stream has
                        // to do.
                        ready!(self.socket.poll_shutdown(cx));
                        self.has_shut_down = true;
                    }
                }
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            let must_wait = self.session.is_busy() && !self.session.outbox.is_closing();
            if must_wait || self.has_heard_close {
                // Work that is done wakes this task, and so does the sweeper. Whoever is not listened to is
                // not silent.
                self.session.life.heard(mono_ms());
                return Poll::Pending;
            }
            let read = self.socket.poll_read(cx);
            if self.socket.take_heard() {
                self.session.life.heard(mono_ms());
            }
            match ready!(read) {
                Ok(incoming) => return Poll::Ready(Some(incoming)),
                Err(Fault::Gone) => return Poll::Ready(None),
                // It goes out in the next round.
                Err(Fault::Close(close)) => self.session.outbox.close(close),
            }
        }
    }

    /// Ready when all that was queued is with the system.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let written = self.socket.poll_write(cx, &mut self.staged);
            let life = &self.session.life;
            match written {
                Poll::Pending => life.blocked(mono_ms(), self.socket.written_bytes()),
                Poll::Ready(_) => life.unblocked(),
            }
            ready!(written)?;
            if self.has_closed || !self.stage() {
                if self.staged.capacity() > KEEP_CAPACITY {
                    self.staged = VecDeque::new();
                }
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes what is to be written next; `false` when nothing is.
    fn stage(&mut self) -> bool {
        self.staged.extend(self.pong.take());
        match self.close.take() {
            Some(close) => self.stage_close(close),
            None => {
                self.close = self.session.outbox.take(&mut self.staged);
                if self.staged.is_empty()
                    && let Some(close) = self.close.take()
                {
                    self.stage_close(close);
                }
            }
        }
        let bytes: usize = self.staged.iter().map(Outgoing::len).sum();
        self.shared.metrics.sent_bytes.inc_by(bytes as u64);
        !self.staged.is_empty()
    }

    fn stage_close(&mut self, close: Close) {
        self.staged
            .push_back(Outgoing::close(Some(close.code), close.reason));
        self.has_closed = true;
        self.shared.metrics.closed(close);
        self.session.life.closing(mono_ms());
    }
}

#[cfg(test)]
mod tests;
