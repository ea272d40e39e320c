//! What people may call themselves.

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use unicode_security::confusable_detection::skeleton;

use crate::{Code, text::is_visible};

/// Words that only the system itself speaks under.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "moderator",
    "mod",
    "operator",
    "owner",
    "parlor",
    "root",
    "server",
    "staff",
    "support",
    "system",
    "everyone",
    "here",
    "bot",
    "公告",
    "管理员",
    "系统",
    "客服",
];

/// Normalises (NFC, trimmed) and checks a nick of at most `max` code points.
///
/// # Errors
/// `NICK_INVALID` for no visible character, too many code points, control, bidi, zero-width and other
/// invisible characters; `NICK_TAKEN` for reserved words and their look-alikes.
pub fn parse(typed: &str, max: u32) -> Result<String, Code> {
    let nick: String = typed.trim().nfc().collect();
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    if nick.chars().count() > max || !nick.chars().any(is_visible) {
        return Err(Code::NickInvalid);
    }
    if nick.chars().any(is_forbidden) {
        return Err(Code::NickInvalid);
    }
    let looks = look(&nick);
    if RESERVED.iter().any(|word| look(word) == looks) {
        return Err(Code::NickTaken);
    }
    Ok(nick)
}

/// Controls, bidi and zero-width characters, line and paragraph separators, private use, unassigned.
fn is_forbidden(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    ) || matches!(
        c,
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' | '\u{34f}'
    )
}

/// What a reader takes the word for: the confusables skeleton (UTS #39) of its letters and digits in
/// lower case, without what people put between them, digits read as the letters they imitate.
fn look(word: &str) -> String {
    let plain: String = word
        .nfkc()
        .flat_map(char::to_lowercase)
        .filter(|c| c.is_alphanumeric())
        .map(|c| match c {
            '0' => 'o',
            '1' => 'l',
            '3' => 'e',
            '4' => 'a',
            '5' => 's',
            '7' => 't',
            'i' => 'l',
            c => c,
        })
        .collect();
    skeleton(&plain)
        .flat_map(char::to_lowercase)
        .map(|c| if c == 'i' { 'l' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_pass() {
        for nick in ["Ann", "伟", "O'Brien", "José", "محمد", "Wei 2", "x"] {
            assert_eq!(parse(nick, 32).as_deref(), Ok(nick));
        }
        assert_eq!(parse("  Ann ", 32).as_deref(), Ok("Ann"));
        assert_eq!(parse("Jose\u{301}", 32).as_deref(), Ok("José"));
        assert!(parse(&"伟".repeat(32), 32).is_ok());
    }

    #[test]
    fn what_hides_or_misleads_is_refused() {
        for bad in [
            "",
            "  ",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\nb",
            "\u{3164}",
            &"a".repeat(33),
        ] {
            assert_eq!(parse(bad, 32), Err(Code::NickInvalid), "{bad:?}");
        }
        for taken in [
            "admin",
            "Admin",
            "ADM1N",
            "аdmin",
            "a d m i n",
            "System",
            "系统",
            "5ystem",
        ] {
            assert_eq!(parse(taken, 32), Err(Code::NickTaken), "{taken:?}");
        }
    }
}
