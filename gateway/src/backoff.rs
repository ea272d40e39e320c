//! Pauses between attempts: doubling, with jitter, so that many who wait for one thing do not come back
//! together.

use std::time::Duration;

/// Doubling pauses with ± 50 % jitter.
pub(crate) struct Backoff {
    first: Duration,
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn between(first: Duration, most: Duration) -> Self {
        Self {
            first,
            next: first,
            most,
        }
    }

    /// Whether no pause was taken yet.
    pub(crate) fn is_first(&self) -> bool {
        self.next == self.first
    }

    /// The next pause.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..1.5));
        self.next = (self.next * 2).min(self.most);
        pause
    }

    /// Waits for the next pause. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }
}
