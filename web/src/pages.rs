//! The two pages, rendered once per language.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::assets::{Asset, etag_of};
use crate::lang::Lang;

const HTML: &str = "text/html; charset=utf-8";

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/chat/`: asks for the name of a room.
    Index,
    /// `/chat/<room>/`: the room. The page is the same for every room.
    Room,
}

/// A page in a language. The response depends on `Accept-Language`, so it needs `Vary`.
pub fn page(page: Page, lang: Lang) -> Asset {
    static PAGES: LazyLock<Vec<[Rendered; 2]>> = LazyLock::new(|| {
        let render_both = |lang| {
            [
                render(include_str!("../pages/index.html"), lang),
                render(include_str!("../pages/room.html"), lang),
            ]
        };
        Lang::all().map(render_both).collect()
    });
    // A `Lang` is only ever made from the list that `PAGES` is made from.
    let [index, room] = &PAGES[lang.index()];
    let rendered = match page {
        Page::Index => index,
        Page::Room => room,
    };
    Asset {
        body: rendered.html.as_bytes(),
        content_type: HTML,
        etag: &rendered.etag,
    }
}

struct Rendered {
    html: String,
    etag: String,
}

/// Fills the `{{keys}}` of a template. An unknown key is left in sight, where a test finds it.
fn render(template: &str, lang: Lang) -> Rendered {
    let mut html = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((key, after)) = after.split_once("}}") else {
            break;
        };
        html.push_str(before);
        match text(key, lang) {
            Some(text) => push_escaped(&mut html, &text),
            None => html.extend(["{{", key, "}}"]),
        }
        rest = after;
    }
    html.push_str(rest);
    let etag = etag_of(html.as_bytes());
    Rendered { html, etag }
}

fn text(key: &str, lang: Lang) -> Option<String> {
    match key {
        "tag" => Some(lang.tag().to_owned()),
        "strings" => Some(strings(lang)),
        _ => lang.section("page")?.get(key)?.as_str().map(str::to_owned),
    }
}

/// The texts that the page's script needs, as JSON.
fn strings(lang: Lang) -> String {
    let sections = ["script", "errors"].into_iter().filter_map(|name| {
        let texts = lang.section(name)?.clone();
        Some((name.to_owned(), Value::Object(texts)))
    });
    Value::Object(sections.collect::<Map<_, _>>()).to_string()
}

/// Safe as text and inside a double-quoted attribute.
fn push_escaped(html: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{asset, negotiate};

    fn html(which: Page, lang: Lang) -> &'static str {
        std::str::from_utf8(page(which, lang).body).expect("pages are UTF-8")
    }

    fn every_page() -> impl Iterator<Item = &'static str> {
        Lang::all().flat_map(|lang| [html(Page::Index, lang), html(Page::Room, lang)])
    }

    #[test]
    fn a_page_comes_in_the_language_asked_for() {
        let chinese = negotiate(Some("zh-TW"));
        assert!(html(Page::Index, chinese).contains("<html lang=\"zh-CN\">"));
        assert!(html(Page::Index, chinese).contains("进入聊天室"));
        assert!(html(Page::Room, chinese).contains("[公告]欢迎来到{room}讨论群。请文明发言!"));
        assert!(html(Page::Index, negotiate(None)).contains("Enter a chat room"));
    }

    #[test]
    fn every_key_of_a_template_has_a_text() {
        for html in every_page() {
            assert!(!html.contains("{{"), "{html}");
        }
    }

    #[test]
    fn the_ids_of_the_contract_are_there() {
        for lang in Lang::all() {
            for id in ["room-name-input", "room-name-submit"] {
                assert!(
                    html(Page::Index, lang).contains(&format!("id=\"{id}\"")),
                    "{id}"
                );
            }
            for id in ["chat-log", "chat-message-input", "chat-message-submit"] {
                assert!(
                    html(Page::Room, lang).contains(&format!("id=\"{id}\"")),
                    "{id}"
                );
            }
        }
    }

    /// The policy allows nothing inline, so nothing inline may creep in.
    #[test]
    fn pages_refer_only_to_assets_and_carry_nothing_inline() {
        for html in every_page() {
            for inline in [
                "<style",
                " style=",
                "<script>",
                " onclick=",
                " onload=",
                " onerror=",
            ] {
                assert!(!html.contains(inline), "{inline}");
            }
            let references = html
                .split("\"/assets/")
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            for reference in references {
                let path = format!("/assets/{reference}");
                assert!(asset(&path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn texts_are_escaped() {
        let mut html = String::new();
        push_escaped(&mut html, "<b a=\"1\">&");
        assert_eq!(html, "&lt;b a=&quot;1&quot;&gt;&amp;");
    }

    #[test]
    fn etags_tell_pages_and_languages_apart() {
        let mut etags: Vec<&str> = Lang::all()
            .flat_map(|lang| [page(Page::Index, lang).etag, page(Page::Room, lang).etag])
            .collect();
        etags.sort_unstable();
        let count = etags.len();
        etags.dedup();
        assert_eq!(etags.len(), count);
    }
}
