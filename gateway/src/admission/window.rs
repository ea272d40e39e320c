//! At most so many in so long a time, exactly: the times of those let in.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The times, oldest first. As many as were let in, so the limit bounds it.
#[derive(Default)]
pub(super) struct Window {
    times: VecDeque<Instant>,
}

impl Window {
    /// Lets one in unless `max` were let in `within` the time before `now`; else says how long until.
    pub(super) fn take(
        &mut self,
        max: u32,
        within: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        self.forget(within, now);
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        if self.times.len() < max {
            self.times.push_back(now);
            return Ok(());
        }
        let oldest = self.times.front().copied().unwrap_or(now);
        Err((oldest + within).saturating_duration_since(now))
    }

    /// Drops the times that are out of the window.
    pub(super) fn forget(&mut self, within: Duration, now: Instant) {
        while self
            .times
            .front()
            .is_some_and(|time| now.saturating_duration_since(*time) >= within)
        {
            self.times.pop_front();
        }
        if self.times.is_empty() {
            self.times = VecDeque::new();
        }
    }

    pub(super) fn last(&self) -> Option<Instant> {
        self.times.back().copied()
    }
}
