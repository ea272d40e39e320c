//! The two clocks: the calendar for what people see, and a monotonic one that tests can pause.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// The first moment anybody asked about; monotonic times count from here.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds on a clock that never goes back; never 0, so that 0 can stand for "not yet".
pub(crate) fn mono_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}
