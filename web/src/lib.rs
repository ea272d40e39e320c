//! The pages, their assets and the JavaScript client, embedded in the binary.
//!
//! It turns a page and a language, or a path, into bytes with their type and entity tag. It knows
//! no HTTP and renders nothing that a person has typed: what a page shows of its address, its own
//! script reads from there. A language is one file, `lang/<tag>.json`.

mod assets;
mod lang;
mod pages;

pub use assets::{Asset, asset};
pub use lang::{Lang, negotiate};
pub use pages::{Page, page};

/// The content security policy that every page is served under.
///
/// In `connect-src`, `'self'` covers `ws:` and `wss:` of the same origin. Trusted types are required
/// and none is ever made, so no script of the page can turn text into markup.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";
