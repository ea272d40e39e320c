//! The two clocks of a process: the wall clock, which may jump, and one that never runs backwards.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::domain::Now;

/// Where a process has the time of day from: [`SystemTime`], unless a test says otherwise. Cheap to clone.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    /// A clock that tells what `now` returns; it may jump.
    pub fn of(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) fn unix_ms(&self) -> u64 {
        let since_1970 = (self.0)().duration_since(SystemTime::UNIX_EPOCH);
        let since_1970 = since_1970.unwrap_or(Duration::ZERO);
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::of(SystemTime::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

/// Wall time, and time since the process started.
pub(crate) struct Clock {
    wall: WallClock,
    started: Instant,
}

impl Clock {
    pub(crate) fn start(wall: WallClock) -> Self {
        Self {
            wall,
            started: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            unix_ms: self.wall.unix_ms(),
            mono_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }
}
