//! Bytes from a browser into WebSocket messages (RFC 6455), without IO. It holds what is not yet a whole
//! message and nothing else; an idle connection holds nothing.

use crate::close::Close;

/// Most bytes of a control frame's payload.
const MAX_CONTROL: usize = 125;

/// What the bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Text(String),
    Binary,
    /// To be answered with the same payload.
    Ping(Vec<u8>),
    Pong,
    /// The other side closes with this code, if it named one.
    Close(Option<u16>),
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// The decoder of one connection.
#[derive(Debug)]
pub(super) struct Decoder {
    /// Most bytes of a message, after reassembly.
    max_message: usize,
    /// Bytes that are no whole frame yet.
    bytes: Vec<u8>,
    /// Fragments of a message that is not whole yet.
    message: Vec<u8>,
    fragmented: Option<Kind>,
    /// Payload bytes that are thrown away.
    skip: u64,
    /// The place in the stream is lost: whatever comes means nothing.
    is_lost: bool,
    /// A frame was read since [`take_heard`](Self::take_heard).
    has_heard: bool,
}

/// The head of a frame.
struct Head {
    is_final: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of the head itself.
    len: usize,
    payload: u64,
}

impl Decoder {
    pub(super) fn new(max_message: usize) -> Self {
        Self {
            max_message,
            bytes: Vec::new(),
            message: Vec::new(),
            fragmented: None,
            skip: 0,
            is_lost: false,
            has_heard: false,
        }
    }

    /// Whether frames can still be told apart.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether a frame has come since the last time this was asked, be it a fragment.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.has_heard)
    }

    /// Takes bytes as they came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let skipped = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.skip -= skipped as u64;
        if !self.is_lost {
            self.bytes.extend_from_slice(&bytes[skipped..]);
        }
    }

    /// The next thing that is whole; `None` until more bytes come.
    ///
    /// # Errors
    /// The close that the other side has earned. Messages after it can still be told apart, unless
    /// [`is_lost`](Self::is_lost).
    pub(super) fn next(&mut self) -> Result<Option<Item>, Close> {
        loop {
            if self.is_lost || self.skip > 0 {
                return Ok(None);
            }
            let Some(head) = self.head().inspect_err(|_| self.lose())? else {
                return Ok(None);
            };
            let is_control = head.opcode >= 8;
            if !is_control && head.payload > (self.max_message - self.message.len()) as u64 {
                self.skip_frame(&head);
                return Err(Close::TOO_BIG);
            }
            let Ok(payload) = usize::try_from(head.payload) else {
                self.lose();
                return Err(Close::TOO_BIG);
            };
            let end = head.len + payload;
            if self.bytes.len() < end {
                return Ok(None);
            }
            let mut content = self.bytes[head.len..end].to_vec();
            self.consume(end);
            unmask(&mut content, head.mask);
            let item = if is_control {
                control(head.opcode, content).inspect_err(|_| self.lose())?
            } else {
                match self.data(&head, content)? {
                    Some(item) => item,
                    None => continue,
                }
            };
            return Ok(Some(item));
        }
    }

    /// The head of the next frame, checked against the rules.
    fn head(&self) -> Result<Option<Head>, Close> {
        let Some((&[first, second], rest)) = self.bytes.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
        let short = second & 0x7f;
        let is_control = opcode >= 8;
        let is_known = matches!(opcode, 0..=2 | 8..=10);
        let has_reserved_bits = first & 0x70 != 0;
        let is_masked = second & 0x80 != 0;
        let is_whole_control = is_final && usize::from(short) <= MAX_CONTROL;
        if has_reserved_bits || !is_known || !is_masked || (is_control && !is_whole_control) {
            return Err(Close::FRAME_RULES);
        }
        if !is_control && (opcode == 0) != self.fragmented.is_some() {
            return Err(Close::FRAME_RULES);
        }
        let (payload, size_len) = match short {
            126 => match rest.first_chunk::<2>() {
                Some(size) => (u64::from(u16::from_be_bytes(*size)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(size) => (u64::from_be_bytes(*size), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        let shortest = match payload {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        if size_len != shortest || payload >> 63 != 0 {
            return Err(Close::FRAME_RULES);
        }
        let Some(mask) = rest[size_len..].first_chunk::<4>() else {
            return Ok(None);
        };
        Ok(Some(Head {
            is_final,
            opcode,
            mask: *mask,
            len: 2 + size_len + 4,
            payload,
        }))
    }

    /// A data frame; `None` when its message goes on.
    fn data(&mut self, head: &Head, content: Vec<u8>) -> Result<Option<Item>, Close> {
        let kind = match (head.opcode, self.fragmented) {
            (0, Some(kind)) => kind,
            (1, _) => Kind::Text,
            _ => Kind::Binary,
        };
        if !head.is_final {
            self.fragmented = Some(kind);
            self.message.extend_from_slice(&content);
            return Ok(None);
        }
        self.fragmented = None;
        let whole = if self.message.is_empty() {
            content
        } else {
            let mut message = std::mem::take(&mut self.message);
            message.extend_from_slice(&content);
            message
        };
        match kind {
            Kind::Binary => Ok(Some(Item::Binary)),
            Kind::Text => String::from_utf8(whole)
                .map(|text| Some(Item::Text(text)))
                .map_err(|_| Close::NOT_UTF8),
        }
    }

    /// Throws a frame away that is too big, and the message it belongs to.
    fn skip_frame(&mut self, head: &Head) {
        let here = self.bytes.len() - head.len;
        let payload = usize::try_from(head.payload).unwrap_or(usize::MAX);
        let dropped = here.min(payload);
        self.skip = head.payload - dropped as u64;
        self.consume(head.len + dropped);
        self.message = Vec::new();
        self.fragmented = (!head.is_final).then_some(Kind::Binary);
    }

    fn consume(&mut self, len: usize) {
        self.has_heard = true;
        self.bytes.drain(..len);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    fn lose(&mut self) {
        self.is_lost = true;
        self.bytes = Vec::new();
        self.message = Vec::new();
    }
}

fn control(opcode: u8, content: Vec<u8>) -> Result<Item, Close> {
    match opcode {
        9 => Ok(Item::Ping(content)),
        10 => Ok(Item::Pong),
        _ => close(&content),
    }
}

fn close(content: &[u8]) -> Result<Item, Close> {
    let Some((code, reason)) = content.split_first_chunk::<2>() else {
        return match content {
            [] => Ok(Item::Close(None)),
            _ => Err(Close::FRAME_RULES),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Close::FRAME_RULES);
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Item::Close(Some(code))),
        Err(_) => Err(Close::NOT_UTF8),
    }
}

fn unmask(content: &mut [u8], mask: [u8; 4]) {
    let mut chunks = content.chunks_exact_mut(4);
    let word = u32::from_ne_bytes(mask);
    for chunk in &mut chunks {
        if let Ok(bytes) = <[u8; 4]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u32::from_ne_bytes(bytes) ^ word).to_ne_bytes());
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
