//! Finds escapes of half surrogate pairs (`\ud83d` without its `\udc4d`) in JSON text.

/// Stands in for each half: a code point that is assigned to nothing, ever.
pub(super) const PLACEHOLDER: char = '\u{fdd0}';

/// The text with every lone half replaced; `None` when there is none.
pub(super) fn replace_lone(text: &str) -> Option<String> {
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    // Escapes are ASCII, and no byte of a longer character is: bytes will do.
    while let Some(slash) = text.as_bytes()[at..].iter().position(|b| *b == b'\\') {
        let slash = at + slash;
        match escape(text, slash) {
            None => at = slash + 2,
            Some(0xd800..=0xdbff) if matches!(escape(text, slash + 6), Some(0xdc00..=0xdfff)) => {
                at = slash + 12;
            }
            Some(0xd800..=0xdfff) => {
                mended.push_str(&text[copied..slash]);
                mended.push(PLACEHOLDER);
                at = slash + 6;
                copied = at;
            }
            Some(_) => at = slash + 6,
        }
        if at >= text.len() {
            break;
        }
    }
    if copied == 0 {
        return None;
    }
    mended.push_str(text.get(copied..).unwrap_or_default());
    Some(mended)
}

/// The code unit of the escape `\uXXXX` that begins at `at`.
fn escape(text: &str, at: usize) -> Option<u16> {
    let digits = text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_are_replaced() {
        assert_eq!(replace_lone(r#"{"a":"\ud83d\udc4d \\ud83d \n"}"#), None);
        assert_eq!(replace_lone("no escape"), None);
        let mended = replace_lone(r#"{"a":"x\ud83d","b":"\udc4d"}"#);
        assert_eq!(
            mended.as_deref(),
            Some("{\"a\":\"x\u{fdd0}\",\"b\":\"\u{fdd0}\"}")
        );
        assert_eq!(
            replace_lone(r"\ud83d\ud83d\udc4d").as_deref(),
            Some("\u{fdd0}\\ud83d\\udc4d")
        );
        assert_eq!(replace_lone(r"\ud83d").as_deref(), Some("\u{fdd0}"));
        assert_eq!(replace_lone("\\"), None);
        assert_eq!(replace_lone("\\ud8"), None);
    }
}
