//! Subjects, patterns and keys as NATS has them: tokens joined by dots.

/// Whether it is a pattern: no token empty or with white space, and `>` only as the last.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let mut tokens = pattern.split('.').peekable();
    while let Some(token) = tokens.next() {
        let last = tokens.peek().is_none();
        if token.is_empty() || token.contains(char::is_whitespace) || (token == ">" && !last) {
            return false;
        }
    }
    true
}

/// Whether it is a key, or a subject without wildcards.
pub(crate) fn is_key(key: &str) -> bool {
    is_pattern(key) && !key.split('.').any(is_wildcard)
}

/// Whether a token stands for others.
pub(crate) fn is_wildcard(token: &str) -> bool {
    token == "*" || token == ">"
}

/// Whether a pattern covers a subject.
pub(crate) fn covers(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in pattern.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

/// Whether `key` is `prefix` or below it, by whole tokens; below an empty prefix is everything.
pub(crate) fn is_below(key: &str, prefix: &str) -> bool {
    match key.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('.'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_nats_says() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a.b", true),
        ] {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
        for wrong in ["", "a..b", ">.a", "a b", ".a", "a."] {
            assert!(!is_pattern(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_prefix_takes_whole_tokens() {
        for (key, prefix, expected) in [
            ("a.b", "a", true),
            ("a", "a", true),
            ("ab", "a", false),
            ("a.bc", "a.b", false),
            ("a.b", "", true),
        ] {
            assert_eq!(is_below(key, prefix), expected, "{key} {prefix}");
        }
        assert!(is_key("room.~aGk") && !is_key("room.*") && !is_key(""));
    }
}
