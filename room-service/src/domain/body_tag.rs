//! The keyed hash that tells a retry from another body under the same cid.

use hmac::{Hmac, KeyInit as _, Mac as _};
use proto::bus::v1::Send;
use sha2::Sha256;

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

    /// The tag of a message as sent: op, text and `reply_to`.
    pub fn message(&self, send: &Send) -> u64 {
        let mut mac = self.keyed.clone();
        mac.update(b"message\0");
        mac.update(&send.reply_to.to_le_bytes());
        mac.update(send.text.as_bytes());
        let tag = mac.finalize().into_bytes();
        tag.iter()
            .take(8)
            .fold(0, |tag, byte| tag << 8 | u64::from(*byte))
    }
}

/// HMAC takes keys of any length (RFC 2104), so there is no error to handle.
fn unreachable_key() -> Hmac<Sha256> {
    unreachable!("HMAC takes a key of any length")
}
