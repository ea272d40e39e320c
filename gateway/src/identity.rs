//! Who somebody is: guests, by a token that this installation has signed. Tokens are made and read here;
//! whether somebody may come in, and under which nick, is the sessions' part.

mod token;

use hmac::{Hmac, KeyInit as _};
use parking_lot::RwLock;
use sha2::Sha256;

/// Base32 without letters and digits that are taken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Somebody without an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// `u_…`
    pub(crate) id: String,
    pub(crate) nick: String,
}

/// A token does not let anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not a token, or not signed with our key.
    #[error("the token is none of this installation's")]
    Refused,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// Makes guests and their tokens. The key comes from the room service, some time after the start.
#[derive(Default)]
pub(crate) struct Guests {
    /// Holds the keyed state, so that no token pays for the key again.
    key: RwLock<Option<Hmac<Sha256>>>,
}

impl Guests {
    /// Somebody new, with the nick they chose or a made-up one.
    pub(crate) fn new_guest(&self, nick: Option<String>) -> Guest {
        Guest {
            id: format!("u_{}", random_text(16)),
            nick: nick.unwrap_or_else(|| format!("guest-{}", random_text(4))),
        }
    }

    /// A token for `id` and `nick`, good for 90 days. Empty as long as there is no key: nobody is
    /// welcomed before [`has_key`](Self::has_key).
    pub(crate) fn issue(&self, id: &str, nick: &str, now_ms: u64) -> String {
        let key = self.key.read().clone();
        key.map(|key| token::issue(key, id, nick, now_ms))
            .unwrap_or_default()
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`TokenError`]. Without a key every token is refused: ask [`has_key`](Self::has_key) before.
    pub(crate) fn verify(&self, token: &str, now_ms: u64) -> Result<Guest, TokenError> {
        let key = self.key.read().clone().ok_or(TokenError::Refused)?;
        token::verify(key, token, now_ms)
    }

    /// Takes the key that the installation signs with. An empty one is none.
    pub(crate) fn set_key(&self, key: &[u8]) {
        if key.is_empty() {
            tracing::error!("the installation's guest key is empty; no guest can come in");
            return;
        }
        // HMAC takes a key of any length.
        *self.key.write() = Hmac::new_from_slice(key).ok();
    }

    /// Whether the key is known yet.
    pub(crate) fn has_key(&self) -> bool {
        self.key.read().is_some()
    }
}

/// `len` characters, five random bits each.
fn random_text(len: usize) -> String {
    let mut bits: u128 = rand::random();
    (0..len)
        .map(|_| {
            let index = (bits & 31) as usize;
            bits >>= 5;
            char::from(ALPHABET[index])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn guests_differ_and_have_the_nick_they_chose() {
        let guests = Guests::default();
        let ids: HashSet<String> = (0..1_000).map(|_| guests.new_guest(None).id).collect();
        assert_eq!(ids.len(), 1_000);
        let guest = guests.new_guest(Some("伟".to_owned()));
        assert_eq!(guest.nick, "伟");
        assert!(
            guest.id.starts_with("u_") && guest.id.len() == 18,
            "{}",
            guest.id
        );
    }

    #[test]
    fn a_made_up_nick_is_a_nick() {
        let guests = Guests::default();
        for _ in 0..1_000 {
            let nick = guests.new_guest(None).nick;
            assert_eq!(proto::nick::parse(&nick, 32).as_deref(), Ok(nick.as_str()));
        }
    }

    #[test]
    fn without_a_key_there_are_no_tokens() {
        let guests = Guests::default();
        assert!(!guests.has_key());
        assert_eq!(guests.issue("u_a", "Ann", 0), "");
        assert_eq!(guests.verify("1.e30.AAAA", 0), Err(TokenError::Refused));
        guests.set_key(b"");
        assert!(!guests.has_key());
        guests.set_key(b"key");
        assert!(guests.has_key());
    }
}
