//! Signs of life of a socket, as numbers that the sweeper looks at: no socket has a timer of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{close::Close, outbox::Outbox, session::socket::Outgoing};

/// How often the server pings.
pub(super) const PING_MS: u64 = 25_000;
/// A socket that was not heard of for this long is dead.
const DEAD_MS: u64 = 60_000;
/// When `hello` is late.
const HELLO_MS: u64 = 10_000;
/// A socket that takes nothing for this long is cut.
const STUCK_MS: u64 = 30_000;
/// How long the other side has to confirm a close.
const CLOSE_MS: u64 = 5_000;

/// Times are those of [`crate::clock::mono_ms`]; 0 is "not".
pub(super) struct Life {
    opened: AtomicU64,
    heard: AtomicU64,
    pinged: AtomicU64,
    /// Since when a write has made no progress …
    blocked: AtomicU64,
    /// … from these bytes on.
    blocked_at: AtomicU64,
    /// Since when a close is under way.
    closing: AtomicU64,
    has_greeted: AtomicBool,
    is_over: AtomicBool,
}

impl Life {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            opened: AtomicU64::new(now_ms),
            heard: AtomicU64::new(now_ms),
            pinged: AtomicU64::new(now_ms),
            blocked: AtomicU64::new(0),
            blocked_at: AtomicU64::new(0),
            closing: AtomicU64::new(0),
            has_greeted: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// The session begins to read only now.
    pub(super) fn opened(&self, now_ms: u64) {
        for moment in [&self.opened, &self.heard, &self.pinged] {
            moment.store(now_ms, Relaxed);
        }
    }

    pub(super) fn heard(&self, now_ms: u64) {
        self.heard.store(now_ms, Relaxed);
    }

    pub(super) fn greeted(&self) {
        self.has_greeted.store(true, Relaxed);
    }

    pub(super) fn has_greeted(&self) -> bool {
        self.has_greeted.load(Relaxed)
    }

    /// A write waits for the other side to read, who has taken so many bytes by now.
    pub(super) fn blocked(&self, now_ms: u64, written_bytes: u64) {
        if self.blocked_at.swap(written_bytes, Relaxed) == written_bytes {
            mark(&self.blocked, now_ms);
        } else {
            self.blocked.store(now_ms, Relaxed);
        }
    }

    /// All that there was is written.
    pub(super) fn unblocked(&self) {
        self.blocked.store(0, Relaxed);
    }

    /// A close is under way.
    pub(super) fn closing(&self, now_ms: u64) {
        mark(&self.closing, now_ms);
    }

    /// Whether the socket is to be dropped as it is.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) fn sweep(&self, outbox: &Outbox, now_ms: u64) {
        let since = |moment: &AtomicU64| now_ms.saturating_sub(moment.load(Relaxed));
        let is_marked = |moment: &AtomicU64| moment.load(Relaxed) != 0;
        if is_marked(&self.closing) || outbox.is_closing() {
            mark(&self.closing, now_ms);
            if since(&self.closing) >= CLOSE_MS {
                self.is_over.store(true, Relaxed);
                outbox.wake();
            }
        } else if since(&self.heard) >= DEAD_MS {
            outbox.close(Close::DEAD);
        } else if !self.has_greeted() && since(&self.opened) >= HELLO_MS {
            outbox.close(Close::HELLO_LATE);
        } else if is_marked(&self.blocked) && since(&self.blocked) >= STUCK_MS {
            outbox.close(Close::TOO_SLOW);
        } else if since(&self.pinged) >= PING_MS {
            self.pinged.store(now_ms, Relaxed);
            outbox.control(Outgoing::ping());
        }
    }
}

/// Remembers the first time.
fn mark(moment: &AtomicU64, now_ms: u64) {
    // Whoever comes second changes nothing.
    let _ = moment.compare_exchange(0, now_ms, Relaxed, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn close(outbox: &Outbox) -> Option<Close> {
        outbox.take(&mut VecDeque::new())
    }

    fn greeted() -> (Life, Outbox) {
        let life = Life::new(1);
        life.greeted();
        (life, Outbox::default())
    }

    #[test]
    fn hello_is_late_after_ten_seconds() {
        let (life, outbox) = (Life::new(1), Outbox::default());
        life.sweep(&outbox, HELLO_MS);
        assert!(!outbox.is_closing());
        life.sweep(&outbox, HELLO_MS + 1);
        assert_eq!(close(&outbox), Some(Close::HELLO_LATE));
    }

    #[test]
    fn pings_until_nothing_was_heard_for_a_minute() {
        let (life, outbox) = greeted();
        let mut pings = 0;
        for now in (1..DEAD_MS).step_by(1_000) {
            let mut batch = VecDeque::new();
            life.sweep(&outbox, now);
            assert_eq!(outbox.take(&mut batch), None);
            pings += batch.len();
        }
        assert_eq!(pings, 2);
        life.sweep(&outbox, DEAD_MS + 1);
        assert_eq!(close(&outbox), Some(Close::DEAD));
    }

    #[test]
    fn whoever_does_not_read_is_cut_and_whoever_does_not_confirm_is_dropped() {
        let (life, outbox) = greeted();
        life.blocked(1_000, 0);
        life.blocked(2_000, 0);
        life.heard(30_000);
        life.sweep(&outbox, 31_000);
        assert_eq!(close(&outbox), Some(Close::TOO_SLOW));
        life.sweep(&outbox, 32_000);
        life.sweep(&outbox, 36_999);
        assert!(!life.is_over());
        life.sweep(&outbox, 37_000);
        assert!(life.is_over());
    }

    #[test]
    fn whoever_reads_slowly_is_not_cut() {
        let (life, outbox) = greeted();
        for round in 1..10 {
            life.blocked(round * 20_000, round);
            life.heard(round * 20_000);
            life.sweep(&outbox, round * 20_000 + 10_000);
        }
        life.unblocked();
        life.heard(300_000);
        life.sweep(&outbox, 300_000);
        assert!(!outbox.is_closing());
        life.blocked(301_000, 10);
        life.sweep(&outbox, 330_999);
        assert!(!outbox.is_closing());
        life.sweep(&outbox, 331_000);
        assert_eq!(close(&outbox), Some(Close::TOO_SLOW));
    }
}
