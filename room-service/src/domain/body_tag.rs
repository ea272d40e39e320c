//! The keyed hash that tells a retry from another body under the same cid.

use hmac::{Hmac, KeyInit as _, Mac as _};
use proto::bus::v1::send::Body;
use sha2::Sha256;

/// The tag of a redacted event: a repeat of its cid is a repeat whatever its body. No body has it.
pub(super) const ANY_BODY: u64 = 0;

/// Makes body tags. Keyed, so that a tag in a stored page says nothing about a redacted text.
#[derive(Clone)]
pub struct BodyTagger {
    keyed: Hmac<Sha256>,
}

impl BodyTagger {
    /// With the installation's `tag_key`; any length.
    pub fn new(key: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable_key());
        Self { keyed }
    }

    /// The tag of a body as sent: op, text, `reply_to`, target, emoji and on.
    pub fn tag(&self, body: &Body) -> u64 {
        let mut mac = self.keyed.clone();
        let mut feed = |op: &[u8], number: u64, text: &str| {
            mac.update(op);
            mac.update(&number.to_le_bytes());
            mac.update(text.as_bytes());
        };
        match body {
            Body::Message(message) => feed(b"message\0", message.reply_to, &message.text),
            Body::Edit(edit) => feed(b"edit\0", edit.target, &edit.text),
            Body::Delete(delete) => feed(b"delete\0", delete.target, ""),
            Body::Reaction(reaction) => {
                let op: &[u8] = if reaction.on {
                    b"react\0"
                } else {
                    b"unreact\0"
                };
                feed(op, reaction.target, &reaction.emoji);
            }
        }
        let tag = mac.finalize().into_bytes();
        let tag = tag
            .iter()
            .take(8)
            .fold(0, |tag, byte| tag << 8 | u64::from(*byte));
        if tag == ANY_BODY { 1 } else { tag }
    }
}

/// HMAC takes keys of any length (RFC 2104), so there is no error to handle.
fn unreachable_key() -> Hmac<Sha256> {
    unreachable!("HMAC takes a key of any length")
}
