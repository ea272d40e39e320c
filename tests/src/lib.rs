//! What tests of real processes share: starting `parlor` and reading where it listens, a browser's side
//! of the protocol, and the operators' side.
//!
//! Every process is killed by its own handle; nothing sleeps to wait, everything awaits its condition
//! for [`PATIENCE`] at most.

pub mod browser;
pub mod checker;
pub mod http;
pub mod installation;
pub mod journal;
pub mod nats;
pub mod outbox;
pub mod process;
pub mod proxy;
pub mod reader;
pub mod watcher;

use std::time::Duration;

/// How long a condition may take before its test fails. Far above what anything should take, because
/// two cores may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub use browser::Browser;
pub use installation::Installation;
pub use journal::Journal;
pub use outbox::Outbox;
pub use process::Parlor;
pub use reader::Reader;
pub use watcher::Watcher;

/// Whether the long forms are wanted: `./test --full`.
pub fn full() -> bool {
    std::env::var_os("TEST_FULL").is_some_and(|full| full == "1")
}

/// Awaits `check` until it yields something.
///
/// # Panics
/// After [`PATIENCE`], with `what`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut check: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what}: not within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
