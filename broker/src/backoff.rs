//! Pauses between attempts: doubling, with jitter, so that many who wait for one thing do not come back
//! together.

use std::time::Duration;

/// Doubling pauses with ± 50 % jitter.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    most: Duration,
}

impl Backoff {
    /// From 50 ms to 1 s: for a broker that is away, which is to be found soon after it is back.
    pub fn new() -> Self {
        Self::between(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// From `first`, doubling, to `most`; the jitter may go half beyond it.
    pub fn between(first: Duration, most: Duration) -> Self {
        Self {
            first,
            next: first,
            most,
        }
    }

    /// Whether no pause was taken yet.
    pub fn is_first(&self) -> bool {
        self.next == self.first
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..1.5));
        self.next = (self.next * 2).min(self.most);
        pause
    }

    /// Waits for the next pause. Cancel-safe: what is left of a pause is not waited for again.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_give_or_take_a_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::between(ms(100), ms(500));
        assert!(backoff.is_first());
        for expected in [100, 200, 400, 500, 500] {
            let pause = backoff.next_pause();
            let around = ms(expected / 2)..=ms(expected * 3 / 2);
            assert!(around.contains(&pause), "{pause:?} around {expected} ms");
            assert!(!backoff.is_first());
        }
    }
}
