//! Opaque page tokens: where the next page begins, bound to the query they came from.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proto::RoomId;
use xxhash_rust::xxh3::xxh3_64;

/// Version of the token's layout.
const VERSION: u8 = 1;

/// The token of the page after `last`, for a query with this fingerprint.
pub(super) fn encode(last: &RoomId, query: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(check(last.as_str(), query).to_le_bytes());
    bytes.extend(last.as_str().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The room after which the page begins; `None` for a token that is not of this query.
pub(super) fn decode(token: &str, query: &str) -> Option<RoomId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (sum, last) = rest.split_first_chunk::<8>()?;
    let last = std::str::from_utf8(last).ok()?;
    let genuine = *version == VERSION && u64::from_le_bytes(*sum) == check(last, query);
    RoomId::parse(last).ok().filter(|_| genuine)
}

/// Not a secret: whoever may list may begin anywhere. It catches tokens that were cut, mixed up or made
/// up.
fn check(last: &str, query: &str) -> u64 {
    xxh3_64(format!("parlor.admin.v1.ListRooms\0{query}\0{last}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_query_only() {
        let room = RoomId::parse("聊天室").unwrap();
        let token = encode(&room, "order=name");
        assert_eq!(decode(&token, "order=name"), Some(room));
        assert_eq!(decode(&token, "order=online_count"), None);
        for foreign in ["", "x", "AAAA", &token[1..], &token[..token.len() - 2]] {
            assert_eq!(decode(foreign, "order=name"), None, "{foreign:?}");
        }
    }
}
