//! Rates, by the generic cell rate algorithm: one number per key, no timers (ITU-T I.371, appendix I).

use std::{collections::HashMap, hash::Hash, time::Duration};

use parking_lot::Mutex;

use super::Now;

/// So many at once, then one each interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    interval_us: u64,
    burst: u64,
}

impl Rate {
    /// `count` per `period`, `burst` at once. A count or burst of 0 is taken as 1.
    pub(super) fn new(count: u32, period: Duration, burst: u32) -> Self {
        let period_us = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        Self {
            interval_us: (period_us / u64::from(count.max(1))).max(1),
            burst: u64::from(burst.max(1)),
        }
    }
}

/// Cells of one rate by key. A cell that has recovered fully is the same as none and is dropped.
pub(super) struct Meter<K> {
    /// When the next one would arrive if all came at the steady rate (theoretical arrival time).
    due_us: HashMap<K, u64>,
    prune_at: usize,
}

impl<K> Default for Meter<K> {
    fn default() -> Self {
        Self {
            due_us: HashMap::new(),
            prune_at: 64,
        }
    }
}

impl<K: Eq + Hash> Meter<K> {
    /// Milliseconds until one more is allowed, rounded up; `Ok` when it is now. Charges nothing.
    pub(super) fn check(&self, key: &K, rate: Rate, now: Now) -> Result<(), u64> {
        let due = self.due_us.get(key).copied().unwrap_or(0);
        let tolerance = rate.interval_us.saturating_mul(rate.burst - 1);
        let earliest = due.saturating_sub(tolerance);
        if earliest <= now.mono_us {
            return Ok(());
        }
        Err((earliest - now.mono_us).div_ceil(1_000))
    }

    /// Charges one.
    pub(super) fn charge(&mut self, key: K, rate: Rate, now: Now) {
        if self.due_us.len() >= self.prune_at {
            self.due_us.retain(|_, due| *due > now.mono_us);
            self.prune_at = (self.due_us.len() * 2).max(64);
        }
        let due = self.due_us.entry(key).or_insert(0);
        *due = (*due).max(now.mono_us).saturating_add(rate.interval_us);
    }

    /// Takes one charge back.
    pub(super) fn refund(&mut self, key: &K, rate: Rate) {
        if let Some(due) = self.due_us.get_mut(key) {
            *due = due.saturating_sub(rate.interval_us);
        }
    }
}

/// New rooms per address, one for all partitions of a process.
pub struct NewRooms {
    rate: Rate,
    meter: Mutex<Meter<u64>>,
}

impl NewRooms {
    /// `per_hour` rooms of one address.
    pub fn new(per_hour: u32) -> Self {
        let rate = Rate::new(per_hour, Duration::from_secs(3_600), per_hour);
        Self {
            rate,
            meter: Mutex::default(),
        }
    }

    /// Milliseconds until this address may make a room; address 0 always may.
    pub(super) fn check(&self, address: u64, now: Now) -> Result<(), u64> {
        if address == 0 {
            Ok(())
        } else {
            self.meter.lock().check(&address, self.rate, now)
        }
    }

    pub(super) fn charge(&self, address: u64, now: Now) {
        if address != 0 {
            self.meter.lock().charge(address, self.rate, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            unix_ms: 0,
            mono_us: ms * 1_000,
        }
    }

    #[test]
    fn a_burst_then_one_each_second() {
        let rate = Rate::new(1, Duration::from_secs(1), 5);
        let mut meter = Meter::default();
        for _ in 0..5 {
            assert_eq!(meter.check(&"u", rate, at(10_000)), Ok(()));
            meter.charge("u", rate, at(10_000));
        }
        assert_eq!(meter.check(&"u", rate, at(10_000)), Err(1_000));
        assert_eq!(meter.check(&"u", rate, at(10_400)), Err(600));
        assert_eq!(meter.check(&"u", rate, at(11_000)), Ok(()));
        assert_eq!(meter.check(&"v", rate, at(10_000)), Ok(()));
        meter.refund(&"u", rate);
        assert_eq!(meter.check(&"u", rate, at(10_000)), Ok(()));
    }

    #[test]
    fn recovered_cells_are_dropped() {
        let rate = Rate::new(1, Duration::from_secs(1), 5);
        let mut meter = Meter::default();
        for key in 0..10_000_u64 {
            meter.charge(key, rate, at(key * 100));
        }
        assert!(meter.due_us.len() < 200, "{}", meter.due_us.len());
    }
}
