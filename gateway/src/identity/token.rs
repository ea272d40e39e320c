//! The token of a guest: `1.<payload>.<tag>`, payload (JSON) and tag (HMAC-SHA256 of `1.<payload>`) in
//! base64url without padding. The payload is signed, not secret.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Guest, TokenError};

/// 90 days.
pub(super) const LIFE_MS: u64 = 90 * 24 * 60 * 60 * 1_000;

/// Far above what we issue: a nick is at most some hundred bytes.
const MAX_BYTES: usize = 2_048;

const VERSION: &str = "1";

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    nick: std::borrow::Cow<'a, str>,
    /// Milliseconds since 1970: the first at which it is no longer good.
    exp: u64,
}

pub(super) fn issue(key: Hmac<Sha256>, id: &str, nick: &str, now_ms: u64) -> String {
    let payload = Payload {
        id: id.into(),
        nick: nick.into(),
        exp: now_ms.saturating_add(LIFE_MS),
    };
    // Strings and a number always serialise.
    let payload = serde_json::to_vec(&payload).unwrap_or_default();
    let mut token = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(payload));
    let tag = key.chain_update(&token).finalize().into_bytes();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut token);
    token
}

pub(super) fn verify(key: Hmac<Sha256>, token: &str, now_ms: u64) -> Result<Guest, TokenError> {
    if token.len() > MAX_BYTES {
        return Err(TokenError::Refused);
    }
    let (signed, tag) = token.rsplit_once('.').ok_or(TokenError::Refused)?;
    let (version, payload) = signed.split_once('.').ok_or(TokenError::Refused)?;
    if version != VERSION {
        return Err(TokenError::Refused);
    }
    let tag = URL_SAFE_NO_PAD
        .decode(tag)
        .map_err(|_| TokenError::Refused)?;
    // Compares in constant time, and before anything in the payload is looked at.
    key.chain_update(signed)
        .verify_slice(&tag)
        .map_err(|_| TokenError::Refused)?;
    let payload = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| TokenError::Refused)?;
    let payload: Payload<'_> = serde_json::from_slice(&payload).map_err(|_| TokenError::Refused)?;
    if now_ms >= payload.exp {
        return Err(TokenError::Expired);
    }
    Ok(Guest {
        id: payload.id.into_owned(),
        nick: payload.nick.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Guests;

    const NOW: u64 = 1_795_762_800_000;

    fn guests(key: &[u8]) -> Guests {
        let guests = Guests::default();
        guests.set_key(key);
        guests
    }

    fn ann() -> Guest {
        Guest {
            id: "u_abc".to_owned(),
            nick: "Ann \"伟\" \u{1f600}".to_owned(),
        }
    }

    #[test]
    fn a_token_brings_back_id_and_nick_until_it_expires() {
        let guests = guests(b"key");
        let token = guests.issue(&ann().id, &ann().nick, NOW);
        assert_eq!(guests.verify(&token, NOW), Ok(ann()));
        assert_eq!(guests.verify(&token, NOW + LIFE_MS - 1), Ok(ann()));
        assert_eq!(
            guests.verify(&token, NOW + LIFE_MS),
            Err(TokenError::Expired)
        );
        assert_eq!(guests.verify(&token, u64::MAX), Err(TokenError::Expired));
    }

    #[test]
    fn a_key_of_another_installation_refuses_even_what_has_expired() {
        let token = guests(b"key").issue("u_abc", "Ann", NOW);
        let other = guests(b"yek");
        assert_eq!(other.verify(&token, NOW), Err(TokenError::Refused));
        assert_eq!(other.verify(&token, u64::MAX), Err(TokenError::Refused));
    }

    #[test]
    fn no_changed_character_goes_unnoticed() {
        let guests = guests(b"key");
        let token = guests.issue("u_abc", "Ann", NOW);
        for at in 0..token.len() {
            for other in ["A", "B", "_", ".", "=", " ", "\u{e9}"] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, other);
                if changed != token {
                    assert_eq!(
                        guests.verify(&changed, NOW),
                        Err(TokenError::Refused),
                        "{changed}"
                    );
                }
            }
            assert_eq!(guests.verify(&token[..at], NOW), Err(TokenError::Refused));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let guests = guests(b"key");
        let long = "1.".to_owned() + &"a".repeat(100_000) + ".b";
        for text in [
            "",
            ".",
            "..",
            "1..",
            "1.e30",
            "2.e30.AAAA",
            "1.e30.AAAA",
            "伟",
            &long,
        ] {
            assert_eq!(guests.verify(text, NOW), Err(TokenError::Refused), "{text}");
        }
    }

    #[test]
    fn a_signed_payload_of_another_shape_is_refused() {
        use hmac::KeyInit as _;
        let signed = format!("1.{}", URL_SAFE_NO_PAD.encode(r#"{"id":1}"#));
        let key = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        let tag = key.chain_update(&signed).finalize().into_bytes();
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(guests(b"key").verify(&token, NOW), Err(TokenError::Refused));
    }
}
