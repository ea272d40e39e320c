//! Files served as they are, found by their path.

use std::collections::HashMap;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use xxhash_rust::xxh3::xxh3_128;

static ASSETS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets");
static CLIENT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/client");

/// Something to serve: its bytes and the headers that describe them. Cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The body of the response.
    pub body: &'static [u8],
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `ETag`, quotes included: it changes exactly when the body does.
    pub etag: &'static str,
}

/// The file at an absolute path such as `/assets/style.css` or `/assets/client/parlor.js`.
///
/// The path is looked up among the embedded files, never resolved: `..` finds nothing.
pub fn asset(path: &str) -> Option<Asset> {
    static BY_PATH: LazyLock<HashMap<String, Entry>> = LazyLock::new(|| {
        [("/assets", &ASSETS), ("/assets/client", &CLIENT)]
            .into_iter()
            .flat_map(|(prefix, dir)| dir.files().map(move |file| (prefix, file)))
            .filter_map(|(prefix, file)| {
                let name = file.path().to_str()?;
                let body = file.contents();
                let entry = Entry {
                    body,
                    content_type: content_type(name)?,
                    etag: etag_of(body),
                };
                Some((format!("{prefix}/{name}"), entry))
            })
            .collect()
    });
    let Entry {
        body,
        content_type,
        etag,
    } = BY_PATH.get(path)?;
    Some(Asset {
        body,
        content_type,
        etag,
    })
}

struct Entry {
    body: &'static [u8],
    content_type: &'static str,
    etag: String,
}

/// The entity tag of a body.
pub(crate) fn etag_of(body: &[u8]) -> String {
    format!("\"{:032x}\"", xxh3_128(body))
}

/// Only these kinds are served; anything else that strays into the folders is not.
fn content_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_styles_and_icon_are_found_with_their_types() {
        for (path, content_type) in [
            ("/assets/room.js", "text/javascript; charset=utf-8"),
            ("/assets/client/parlor.js", "text/javascript; charset=utf-8"),
            ("/assets/style.css", "text/css; charset=utf-8"),
            ("/assets/favicon.svg", "image/svg+xml"),
        ] {
            let asset = asset(path).expect(path);
            assert_eq!(asset.content_type, content_type);
            assert!(!asset.body.is_empty());
            assert!(asset.etag.starts_with('"') && asset.etag.ends_with('"'));
        }
    }

    #[test]
    fn a_path_that_is_not_an_asset_finds_nothing() {
        for path in [
            "",
            "/",
            "/assets/",
            "/assets/../Cargo.toml",
            "/assets/client",
            "room.js",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[test]
    fn assets_with_different_bodies_have_different_etags() {
        let room = asset("/assets/room.js").map(|asset| asset.etag);
        assert_ne!(room, asset("/assets/index.js").map(|asset| asset.etag));
    }

    #[test]
    fn every_import_of_a_script_is_an_asset() {
        for (folder, dir) in [("/assets/", &ASSETS), ("/assets/client/", &CLIENT)] {
            for file in dir.files() {
                let source = file.contents_utf8().expect("assets are text");
                let imports = source.lines().filter_map(|line| {
                    let (_, from) = line.split_once(" from './")?;
                    from.strip_suffix("';")
                });
                for import in imports {
                    let path = format!("{folder}{import}");
                    assert!(
                        asset(&path).is_some(),
                        "{path}, imported by {:?}",
                        file.path()
                    );
                }
            }
        }
    }
}
