//! Room ids: the one normalised form of the many in which people type a room's name.

use std::{borrow::Borrow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Most code points of a room id.
pub const MAX_ROOM_ID: usize = 64;

/// A room id: NFKC, lower case, NFKC again; 1–64 code points of Unicode letters, marks, digits, `_`
/// or `-`, and not `-` alone. Numbers that are written as letters count as digits: `〇` is the zero of
/// 二〇二六. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(Arc<str>);

/// Why a text names no room. The words are for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomIdError {
    /// Nothing was typed.
    #[error("a room name needs at least one character")]
    Empty,
    /// More than [`MAX_ROOM_ID`] code points after normalisation.
    #[error("a room name has at most 64 characters")]
    TooLong,
    /// `-` alone.
    #[error("a room name cannot be `-` alone")]
    DashAlone,
    /// A character that is no letter, mark, digit, `_` or `-`.
    #[error("a room name has letters, digits, `_` and `-` only, not {0:?}")]
    Character(char),
}

impl RoomId {
    /// Normalises and checks what somebody typed.
    ///
    /// # Errors
    /// When the normalised text is no room id.
    pub fn parse(typed: &str) -> Result<Self, RoomIdError> {
        if is_plain(typed) {
            return Ok(Self(typed.into()));
        }
        let lower = typed.nfkc().collect::<String>().to_lowercase();
        let id: String = lower.nfkc().collect();
        if id.is_empty() {
            return Err(RoomIdError::Empty);
        }
        if let Some(wrong) = id.chars().find(|c| !is_allowed(*c)) {
            return Err(RoomIdError::Character(wrong));
        }
        if id.chars().count() > MAX_ROOM_ID {
            return Err(RoomIdError::TooLong);
        }
        if id == "-" {
            return Err(RoomIdError::DashAlone);
        }
        Ok(Self(id.into()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as one token of a subject: `[a-z0-9_-]{1,64}` stands as it is, anything else is `~` and
    /// the base64url of its UTF-8.
    pub fn subject_token(&self) -> String {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if self.0.bytes().all(plain) {
            self.0.to_string()
        } else {
            format!("~{}", URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
        }
    }
}

impl RoomId {
    /// The id that a token of [`subject_token`](Self::subject_token) stands for; `None` for another text.
    pub fn from_subject_token(token: &str) -> Option<Self> {
        let id = match token.strip_prefix('~') {
            Some(encoded) => String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?,
            None => token.to_owned(),
        };
        Self::parse(&id).ok().filter(|parsed| parsed.as_str() == id)
    }
}

/// Whether it is an id as it stands, in the form that most have: records and requests name rooms all the time.
fn is_plain(typed: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=MAX_ROOM_ID).contains(&typed.len()) && typed != "-" && typed.bytes().all(is_plain)
}

fn is_allowed(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_' || c == '-';
    }
    match c.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark => true,
        GeneralCategoryGroup::Number => matches!(
            c.general_category(),
            GeneralCategory::DecimalNumber | GeneralCategory::LetterNumber
        ),
        _ => false,
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for RoomId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_room_however_it_is_typed() {
        for typed in ["Lobby", "lobby", "LOBBY", "lobby"] {
            assert_eq!(RoomId::parse(typed).unwrap().as_str(), "lobby");
        }
        assert_eq!(RoomId::parse("聊天室").unwrap().as_str(), "聊天室");
        assert_eq!(RoomId::parse("二〇二六").unwrap().as_str(), "二〇二六");
        assert_eq!(RoomId::parse("Cafe\u{301}").unwrap().as_str(), "café");
    }

    #[test]
    fn names_that_no_room_has() {
        assert_eq!(RoomId::parse(""), Err(RoomIdError::Empty));
        assert_eq!(RoomId::parse("-"), Err(RoomIdError::DashAlone));
        assert_eq!(RoomId::parse(&"a".repeat(65)), Err(RoomIdError::TooLong));
        assert!(RoomId::parse(&"室".repeat(64)).is_ok());
        for bad in [
            "a.b",
            "a*",
            ">",
            "a/b",
            "a b",
            " ",
            "a\0",
            "a\u{200d}b",
            "a\u{ad}b",
            "😀",
            "½",
        ] {
            assert!(
                matches!(RoomId::parse(bad), Err(RoomIdError::Character(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_subject_token_has_no_character_that_a_subject_forbids() {
        assert_eq!(RoomId::parse("a-b_9").unwrap().subject_token(), "a-b_9");
        assert_eq!(RoomId::parse("室").unwrap().subject_token(), "~5a6k");
    }

    proptest::proptest! {
        #[test]
        fn parsing_is_idempotent(typed in "\\PC{1,70}") {
            if let Ok(id) = RoomId::parse(&typed) {
                proptest::prop_assert_eq!(RoomId::parse(id.as_str()), Ok(id.clone()));
                proptest::prop_assert!(!id.subject_token().contains(['.', '*', '>', ' ']));
            }
        }
    }

    #[test]
    fn a_token_names_its_room() {
        for name in ["lobby", "聊天室", "a_b-1"] {
            let id = RoomId::parse(name).unwrap();
            assert_eq!(RoomId::from_subject_token(&id.subject_token()), Some(id));
        }
        for bad in ["~", "~!", "Lobby", ""] {
            assert_eq!(RoomId::from_subject_token(bad), None, "{bad}");
        }
    }
}
