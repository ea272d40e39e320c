//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends at once.

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::failure::Failure;

/// What signals have asked for so far.
pub(super) struct Signals {
    shutdown: CancellationToken,
    at_once: CancellationToken,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let failed = "cannot listen to signals";
        let mut term = signal(SignalKind::terminate()).context(failed)?;
        let mut int = signal(SignalKind::interrupt()).context(failed)?;
        let signals = Self {
            shutdown: CancellationToken::new(),
            at_once: CancellationToken::new(),
        };
        let tokens = [signals.shutdown.clone(), signals.at_once.clone()];
        tokio::spawn(async move {
            let words = [
                "shutting down; a second signal ends at once",
                "ending at once",
            ];
            for (token, words) in tokens.into_iter().zip(words) {
                let name = tokio::select! {
                    _ = term.recv() => "SIGTERM",
                    _ = int.recv() => "SIGINT",
                };
                info!(signal.name = name, "{words}");
                token.cancel();
            }
        });
        Ok(signals)
    }

    /// Cancelled by the first signal.
    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Returns with the second signal. Cancel-safe.
    pub(super) async fn second(&self) -> Failure {
        self.at_once.cancelled().await;
        Failure::Run(anyhow!(
            "ended at once by a second signal; clients were not told"
        ))
    }
}
