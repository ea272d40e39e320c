//! The WebSocket itself, behind a seam: the rest of the session knows frames and faults, not the codec.
//! Everything is polled by the one task of the session; reading and writing never wait for each other.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use tungstenite::error::{CapacityError, Error};

use crate::close::Close;

/// What one read takes in; also what an idle connection holds for reading.
const READ_BUFFER: usize = 1024;
/// Frames gather up to this before they are written.
const WRITE_BUFFER: usize = 4 * 1024;
/// Messages above the limit are still read up to this, so that the close frame that answers them is
/// not lost in the reset that unread bytes cause.
const DISCARD_UP_TO: usize = 256 * 1024;

/// The text of a frame to a browser; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Text(Utf8Bytes);

impl Text {
    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_str().len()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// What is written to the socket, but for the close.
#[derive(Clone, Debug)]
pub(crate) enum Outgoing {
    Text(Text),
    Ping,
}

impl Outgoing {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ping => 0,
        }
    }
}

impl From<Text> for Outgoing {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

/// What was read from the socket.
#[derive(Debug)]
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    Binary,
    /// A ping, which is answered by itself, or a pong.
    Life,
    /// The other side closes, or confirms our close.
    Close,
}

/// Why no more can be read or written.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The other side broke a rule: this close tells it so.
    Close(Close),
    /// The connection is gone.
    Gone,
}

/// One browser's WebSocket.
pub(crate) struct Socket {
    inner: WebSocket,
    max_message: usize,
    can_read: bool,
}

/// Sets the sizes of the codec's buffers; for the HTTP side, before it upgrades.
pub(crate) fn configure(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(DISCARD_UP_TO)
        .max_frame_size(DISCARD_UP_TO)
}

impl Socket {
    pub(crate) fn new(inner: WebSocket, max_message: u32) -> Self {
        Self {
            inner,
            max_message: usize::try_from(max_message).unwrap_or(usize::MAX),
            can_read: true,
        }
    }

    /// Whether [`poll_read`](Self::poll_read) may be called: after a fault the codec may have lost its
    /// place in the stream.
    pub(crate) fn can_read(&self) -> bool {
        self.can_read
    }

    /// The next thing read, or why there is none.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Fault>> {
        let message = match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
            None => return Poll::Ready(Err(Fault::Gone)),
            Some(Err(error)) => {
                self.can_read = false;
                return Poll::Ready(Err(fault(error)));
            }
            Some(Ok(message)) => message,
        };
        let is_too_big = |len| len > self.max_message;
        let incoming = match message {
            Message::Text(text) if is_too_big(text.len()) => Err(Fault::Close(Close::TOO_BIG)),
            Message::Binary(data) if is_too_big(data.len()) => Err(Fault::Close(Close::TOO_BIG)),
            Message::Text(text) => Ok(Incoming::Text(text)),
            Message::Binary(_) => Ok(Incoming::Binary),
            Message::Ping(_) | Message::Pong(_) => Ok(Incoming::Life),
            Message::Close(_) => Ok(Incoming::Close),
        };
        Poll::Ready(incoming)
    }

    /// Whether [`queue`](Self::queue) may be called.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Pin::new(&mut self.inner)
            .poll_ready(cx)
            .map_err(|_| Fault::Gone)
    }

    /// Takes a frame to write. Only after [`poll_ready`](Self::poll_ready) was ready.
    pub(crate) fn queue(&mut self, frame: Outgoing) -> Result<(), Fault> {
        let message = match frame {
            Outgoing::Text(text) => Message::Text(text.0),
            Outgoing::Ping => Message::Ping(Bytes::new()),
        };
        self.send(message)
    }

    /// Takes the close frame to write; nothing else can be written after it.
    pub(crate) fn queue_close(&mut self, close: Close) -> Result<(), Fault> {
        self.send(Message::Close(Some(CloseFrame {
            code: close.code,
            reason: Utf8Bytes::from_static(close.reason),
        })))
    }

    /// Writes what was taken; ready when all of it is with the system.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Pin::new(&mut self.inner)
            .poll_flush(cx)
            .map_err(|_| Fault::Gone)
    }

    fn send(&mut self, message: Message) -> Result<(), Fault> {
        Pin::new(&mut self.inner)
            .start_send(message)
            .map_err(|_| Fault::Gone)
    }
}

fn fault(error: axum::Error) -> Fault {
    let error = error.into_inner();
    match error.downcast_ref::<Error>() {
        Some(Error::Utf8(_)) => Fault::Close(Close::NOT_UTF8),
        Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => Fault::Close(Close::TOO_BIG),
        Some(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
            Fault::Gone
        }
        Some(Error::Protocol(_)) => Fault::Close(Close::FRAME_RULES),
        _ => Fault::Gone,
    }
}
