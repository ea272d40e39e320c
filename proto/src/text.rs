//! What a message's text may be.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::Code;

/// Checks a message's text: at most `max` code points, no controls but line feed and tab, at least one
/// visible character. The text is never changed.
///
/// # Errors
/// `TEXT_TOO_LONG`, `TEXT_INVALID` or `TEXT_EMPTY`.
pub fn check(text: &str, max: u32) -> Result<(), Code> {
    // Bytes bound code points from above: most texts are never counted.
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    if text.len() > max && text.chars().count() > max {
        return Err(Code::TextTooLong);
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(Code::TextInvalid);
    }
    if !text.chars().any(is_visible) {
        return Err(Code::TextEmpty);
    }
    Ok(())
}

/// Whether a character by itself shows something on a screen.
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    // Letters and symbols that are drawn as nothing: the Hangul fillers and the empty Braille cell.
    if matches!(
        c,
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}'
    ) {
        return false;
    }
    matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thousand_code_points_of_chinese_pass() {
        assert_eq!(check(&"好".repeat(2_000), 2_000), Ok(()));
        assert_eq!(check(&"好".repeat(2_001), 2_000), Err(Code::TextTooLong));
        assert_eq!(check("a\n\tb 👍 <b>", 2_000), Ok(()));
    }

    #[test]
    fn nothing_to_see_is_empty() {
        for blank in [
            "",
            " ",
            "\n\t",
            "\u{3000}",
            "\u{200b}\u{200d}",
            "\u{3164}",
            "\u{feff}",
        ] {
            assert_eq!(check(blank, 2_000), Err(Code::TextEmpty), "{blank:?}");
        }
    }

    #[test]
    fn controls_are_refused() {
        for bad in ["a\0", "\u{7}b", "a\r\nb", "\u{85}x", "\u{1b}[31m"] {
            assert_eq!(check(bad, 2_000), Err(Code::TextInvalid), "{bad:?}");
        }
    }
}
