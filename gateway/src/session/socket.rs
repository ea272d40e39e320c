//! The WebSocket itself, behind a seam: the rest of the session knows messages and faults, not the
//! codec. Everything is polled by the one task of the session; reading and writing never wait for each
//! other.
//!
//! It is our own codec because of what others keep: an idle connection holds no buffer here (3.5 KiB in
//! all at 2,000 connections, 15 KiB with tungstenite's smallest), a frame is put together once for all
//! who get it, and a close frame is not lost in the reset that follows when bytes are left unread.

mod decoder;
pub(crate) mod upgrade;

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::close::Close;
use decoder::{Decoder, Item};

/// What one read takes in at most; on the stack, so that an idle connection holds nothing.
const READ_BYTES: usize = 4 * 1024;
/// Frames that one write takes along.
const WRITE_FRAMES: usize = 32;
/// The longest head of a frame from a server.
const MAX_HEAD: usize = 10;

/// A frame to a browser as it goes over the wire; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Bytes);

/// A text frame to a browser.
#[derive(Clone, Debug)]
pub(crate) struct Text(Outgoing);

impl Text {
    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What it carries.
    pub(crate) fn json(&self) -> &str {
        self.0.text().unwrap_or_default()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Outgoing::frame(1, text.as_bytes()))
    }
}

impl From<Text> for Outgoing {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl Outgoing {
    /// A ping.
    pub(crate) fn ping() -> Self {
        Self(Bytes::from_static(&[0x89, 0]))
    }

    /// The answer to a ping.
    pub(crate) fn pong(payload: &[u8]) -> Self {
        Self::frame(10, payload)
    }

    /// The last frame.
    pub(crate) fn close(code: Option<u16>, reason: &str) -> Self {
        let Some(code) = code else {
            return Self::frame(8, &[]);
        };
        let mut payload = code.to_be_bytes().to_vec();
        // A control frame holds 125 bytes, and a character is not cut.
        payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(123)]);
        Self::frame(8, &payload)
    }

    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The JSON that a text frame carries.
    pub(crate) fn text(&self) -> Option<&str> {
        let head = match (self.0.first()?, self.0.get(1)?) {
            (0x81, 127) => 10,
            (0x81, 126) => 4,
            (0x81, _) => 2,
            _ => return None,
        };
        std::str::from_utf8(&self.0[head..]).ok()
    }

    fn frame(opcode: u8, payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(MAX_HEAD + payload.len());
        bytes.push(0x80 | opcode);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ 0..=125), _) => bytes.push(short),
            (_, Ok(medium)) => {
                bytes.push(126);
                bytes.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        Self(bytes.into())
    }
}

/// What was read from the socket.
#[derive(Debug)]
pub(crate) enum Incoming {
    Text(String),
    Binary,
    /// A ping, and what answers it.
    Ping(Outgoing),
    Pong,
    /// The other side closes with this code, or confirms our close.
    Close(Option<u16>),
}

/// Why there is nothing to be read now.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The other side broke a rule: this close tells it so.
    Close(Close),
    /// The connection is gone.
    Gone,
}

/// One browser's WebSocket.
pub(crate) struct Socket {
    io: TokioIo<Upgraded>,
    decoder: Decoder,
    written_bytes: u64,
}

impl Socket {
    pub(crate) fn new(upgraded: Upgraded, max_message: u32) -> Self {
        Self {
            io: TokioIo::new(upgraded),
            decoder: Decoder::new(usize::try_from(max_message).unwrap_or(usize::MAX)),
            written_bytes: 0,
        }
    }

    /// Whether what is read from here on still means something.
    pub(crate) fn is_lost(&self) -> bool {
        self.decoder.is_lost()
    }

    /// Bytes that the system has ever taken.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Whether a frame, or part of a message, has come since the last time this was asked.
    pub(crate) fn take_heard(&mut self) -> bool {
        self.decoder.take_heard()
    }

    /// The next thing read. It may go on after a [`Fault::Close`], to find the confirmation of the close.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Fault>> {
        loop {
            match self.decoder.next() {
                Ok(Some(item)) => return Poll::Ready(Ok(item.into())),
                Ok(None) => {}
                Err(close) => return Poll::Ready(Err(Fault::Close(close))),
            }
            let mut bytes = [0; READ_BYTES];
            let mut bytes = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut bytes)) {
                Ok(()) if !bytes.filled().is_empty() => self.decoder.push(bytes.filled()),
                Ok(()) | Err(_) => return Poll::Ready(Err(Fault::Gone)),
            }
        }
    }

    /// Writes frames and takes out those that are written; ready when none is left.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        frames: &mut VecDeque<Outgoing>,
    ) -> Poll<Result<(), Fault>> {
        while !frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_FRAMES];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(frames.iter()) {
                *slice = IoSlice::new(&frame.0);
                count += 1;
            }
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..count]));
            match written {
                Ok(written) if written > 0 => {
                    self.written_bytes += written as u64;
                    advance(frames, written);
                }
                Ok(_) | Err(_) => return Poll::Ready(Err(Fault::Gone)),
            }
        }
        Pin::new(&mut self.io)
            .poll_flush(cx)
            .map_err(|_| Fault::Gone)
    }

    /// Closes, and reads on until the other side has confirmed: a reset would destroy the close frame.
    pub(crate) async fn turn_away(mut self, code: u16, reason: &str) {
        let mut close = VecDeque::from([Outgoing::close(Some(code), reason)]);
        let written = poll_fn(|cx| self.poll_write(cx, &mut close)).await;
        if written.is_ok() {
            // The fault of a frame that nobody reads is none.
            while !matches!(
                poll_fn(|cx| self.poll_read(cx)).await,
                Ok(Incoming::Close(_)) | Err(Fault::Gone)
            ) {}
        }
    }

    /// Tells the other side that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whether it arrives changes nothing for us.
        Pin::new(&mut self.io).poll_shutdown(cx).map(|_| ())
    }
}

/// Takes `written` bytes off the front.
fn advance(frames: &mut VecDeque<Outgoing>, mut written: usize) {
    while let Some(front) = frames.front_mut() {
        if front.len() > written {
            front.0.advance(written);
            return;
        }
        written -= front.len();
        frames.pop_front();
    }
}

impl From<Item> for Incoming {
    fn from(item: Item) -> Self {
        match item {
            Item::Text(text) => Self::Text(text),
            Item::Binary => Self::Binary,
            Item::Ping(payload) => Self::Ping(Outgoing::pong(&payload)),
            Item::Pong => Self::Pong,
            Item::Close(code) => Self::Close(code),
        }
    }
}
