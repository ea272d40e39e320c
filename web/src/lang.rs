//! Which languages there are, and which one a reader gets.

use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use serde_json::{Map, Value};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/lang");

/// What a reader gets who wants nothing that we speak.
const DEFAULT_TAG: &str = "en";

/// Ranges of a header that are looked at; nobody reads more languages than this.
const MAX_RANGES: usize = 32;

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lang(usize);

impl Lang {
    /// Its BCP 47 tag, for example `en` or `zh-CN`.
    pub fn tag(self) -> &'static str {
        LANGUAGES
            .get(self.0)
            .map_or(DEFAULT_TAG, |language| language.tag)
    }

    /// Every language, the default one first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..LANGUAGES.len()).map(Self)
    }

    /// Its place in [`Lang::all`].
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The texts of one section of its file.
    pub(crate) fn section(self, name: &str) -> Option<&'static Map<String, Value>> {
        LANGUAGES.get(self.0)?.texts.get(name)?.as_object()
    }
}

/// The language for an `Accept-Language` header: the one of highest weight that we speak, else
/// English.
///
/// A range matches a language with the same primary subtag, so every `zh-…` gets `zh-CN` as long as
/// no file is closer to it.
pub fn negotiate(accept_language: Option<&str>) -> Lang {
    let mut ranges: Vec<(&str, u16)> = accept_language
        .unwrap_or_default()
        .split(',')
        .take(MAX_RANGES)
        .filter_map(parse_range)
        .collect();
    // Stable: equal weights keep the order in which they were written.
    ranges.sort_by_key(|&(_, weight)| std::cmp::Reverse(weight));
    ranges
        .into_iter()
        .find_map(|(range, _)| speak(range))
        .unwrap_or(Lang(0))
}

struct Language {
    tag: &'static str,
    texts: Map<String, Value>,
}

/// The default first, then by tag.
static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let mut languages: Vec<Language> = FILES
        .files()
        .filter_map(|file| {
            let tag = file.path().to_str()?.strip_suffix(".json")?;
            // A file that cannot be read is no language; a test says so before a reader does.
            let texts = serde_json::from_slice(file.contents()).ok()?;
            Some(Language { tag, texts })
        })
        .collect();
    languages.sort_by_key(|language| (language.tag != DEFAULT_TAG, language.tag));
    languages
});

/// A language range and its weight in thousandths; refused ones (`q=0`) and nonsense are `None`.
fn parse_range(range: &str) -> Option<(&str, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next().filter(|tag| !tag.is_empty())?;
    let mut weight = 1000;
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("q") {
            let q: f32 = value
                .trim()
                .parse()
                .ok()
                .filter(|q| (0.0..=1.0).contains(q))?;
            // In range by the filter above, so the cast neither truncates nor loses the sign.
            weight = (q * 1000.0) as u16;
        }
    }
    (weight > 0).then_some((tag, weight))
}

/// The language that a range asks for: the very tag, else one with the same primary subtag.
fn speak(range: &str) -> Option<Lang> {
    if range == "*" {
        return Some(Lang(0));
    }
    let position = |matches: &dyn Fn(&str) -> bool| {
        LANGUAGES
            .iter()
            .position(|language| matches(language.tag))
            .map(Lang)
    };
    position(&|tag| tag.eq_ignore_ascii_case(range))
        .or_else(|| position(&|tag| primary(tag).eq_ignore_ascii_case(primary(range))))
}

fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_gets_the_language_of_highest_weight_that_we_speak() {
        for (header, tag) in [
            (None, "en"),
            (Some(""), "en"),
            (Some("zh-CN"), "zh-CN"),
            (Some("zh"), "zh-CN"),
            (Some("ZH-tw"), "zh-CN"),
            (Some("zh-Hant-HK,zh;q=0.9,en;q=0.8"), "zh-CN"),
            (Some("en-GB,en;q=0.9,zh;q=0.8"), "en"),
            (Some("en;q=0.5, zh;q=0.8"), "zh-CN"),
            (Some("fr,de;q=0.9,zh;q=0.1"), "zh-CN"),
            (Some("fr"), "en"),
            (Some("*"), "en"),
            (Some("zh;q=0, en;q=0.1"), "en"),
            (Some("zh;q=0"), "en"),
            (Some("zh;q=2, en"), "en"),
            (Some("zh;q=NaN"), "en"),
            (Some(";;,,;q=1,zh;x;q=0.3"), "zh-CN"),
        ] {
            assert_eq!(negotiate(header).tag(), tag, "{header:?}");
        }
    }

    #[test]
    fn every_language_file_is_read_and_says_its_own_tag() {
        assert_eq!(LANGUAGES.len(), FILES.files().count());
        assert_eq!(Lang::all().next().map(Lang::tag), Some("en"));
        for language in LANGUAGES.iter() {
            assert_eq!(language.texts.get("tag"), Some(&Value::from(language.tag)));
        }
    }

    #[test]
    fn every_language_has_the_texts_of_english_with_the_same_placeholders() {
        for section in ["page", "script", "errors"] {
            let english = Lang(0).section(section).expect(section);
            for lang in Lang::all() {
                let texts = lang.section(section).expect(section);
                assert!(
                    texts.keys().eq(english.keys()),
                    "{section} of {}",
                    lang.tag()
                );
                for (key, text) in texts {
                    let expected = english[key].as_str().map(placeholders);
                    assert_eq!(
                        text.as_str().map(placeholders),
                        expected,
                        "{key} {}",
                        lang.tag()
                    );
                }
            }
        }
    }

    fn placeholders(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .collect();
        found.sort_unstable();
        found
    }
}
