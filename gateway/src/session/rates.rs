//! How much one connection may ask for, and how often it may be wrong.

use proto::Limits;

/// In which breaches and malformed frames count.
const WINDOW_MS: u64 = 60_000;
/// Breaches of the ops limit in a minute that close the socket.
const BREACHES: usize = 3;
/// Malformed frames in a minute that close the socket.
const MALFORMED: usize = 10;

/// The counters of one connection.
pub(super) struct Rates {
    /// `None` with `--limits off`.
    ops: Option<Ops>,
    breaches: Recent<BREACHES>,
    malformed: Recent<MALFORMED>,
}

/// So many at once, then one each interval: the generic cell rate algorithm.
struct Ops {
    interval_us: u64,
    tolerance_us: u64,
    /// When the next one would come if all came at the steady rate.
    due_us: u64,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        let interval_us = (60_000_000 / u64::from(limits.ops_per_minute.max(1))).max(1);
        let ops = Ops {
            interval_us,
            tolerance_us: interval_us * u64::from(limits.ops_burst.max(1) - 1),
            due_us: 0,
        };
        Self {
            ops: limits.rates.then_some(ops),
            breaches: Recent::default(),
            malformed: Recent::default(),
        }
    }

    /// Charges one op.
    ///
    /// # Errors
    /// Milliseconds until the next one is allowed.
    pub(super) fn charge(&mut self, now_ms: u64) -> Result<(), u64> {
        let Some(ops) = &mut self.ops else {
            return Ok(());
        };
        let now_us = now_ms * 1_000;
        let earliest_us = ops.due_us.saturating_sub(ops.tolerance_us);
        if earliest_us > now_us {
            return Err((earliest_us - now_us).div_ceil(1_000));
        }
        ops.due_us = ops.due_us.max(now_us) + ops.interval_us;
        Ok(())
    }

    /// Notes a breach; `true` when it is one too many.
    pub(super) fn breach(&mut self, now_ms: u64) -> bool {
        self.breaches.note(now_ms)
    }

    /// Notes a malformed frame; `true` when it is one too many.
    pub(super) fn malformed(&mut self, now_ms: u64) -> bool {
        self.malformed.note(now_ms)
    }
}

/// When the last `N` happened; 0 is never.
struct Recent<const N: usize>([u64; N]);

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Recent<N> {
    /// Notes one; `true` when `N` have happened within the window.
    fn note(&mut self, now_ms: u64) -> bool {
        self.0.rotate_left(1);
        self.0[N - 1] = now_ms;
        self.0[0] != 0 && now_ms - self.0[0] < WINDOW_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_at_once_then_two_a_second() {
        let mut rates = Rates::new(&Limits::default());
        for _ in 0..30 {
            assert_eq!(rates.charge(5_000), Ok(()));
        }
        assert_eq!(rates.charge(5_000), Err(500));
        assert_eq!(rates.charge(5_499), Err(1));
        assert_eq!(rates.charge(5_500), Ok(()));
        assert_eq!(rates.charge(5_500), Err(500));
    }

    #[test]
    fn without_limits_nothing_is_charged() {
        let limits = Limits {
            rates: false,
            ..Limits::default()
        };
        let mut rates = Rates::new(&limits);
        assert!((0..10_000).all(|_| rates.charge(1).is_ok()));
    }

    #[test]
    fn the_third_breach_in_a_minute_is_too_many() {
        let mut rates = Rates::new(&Limits::default());
        assert!(!rates.breach(1_000));
        assert!(!rates.breach(2_000));
        assert!(!rates.breach(61_000));
        assert!(rates.breach(61_999));
        assert!((0..9).all(|at| !rates.malformed(1_000 + at)));
        assert!(rates.malformed(60_000));
    }
}
