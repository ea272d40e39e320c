//! Whoever waits for something to be loaded.

use std::collections::HashMap;

use super::partition::{Asked, Load, Submission};

/// A request that waits.
pub(super) enum Waiting<T> {
    Send(Submission<T>),
    Question(Asked<T>),
}

impl<T> Waiting<T> {
    pub(super) fn asker(&self) -> &T {
        match self {
            Self::Send(submission) => &submission.asker,
            Self::Question(asked) => &asked.asker,
        }
    }

    pub(super) fn into_asker(self) -> T {
        match self {
            Self::Send(submission) => submission.asker,
            Self::Question(asked) => asked.asker,
        }
    }
}

/// Those who wait, by what they wait for, in the order of their coming.
pub(super) struct WaitingRoom<T> {
    by_load: HashMap<Load, Vec<Waiting<T>>>,
    count: usize,
}

impl<T> Default for WaitingRoom<T> {
    fn default() -> Self {
        Self {
            by_load: HashMap::new(),
            count: 0,
        }
    }
}

impl<T> WaitingRoom<T> {
    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, load: Load, waiting: Waiting<T>) {
        self.count += 1;
        self.by_load.entry(load).or_default().push(waiting);
    }

    /// Those who waited for a load.
    pub(super) fn take(&mut self, load: &Load) -> Vec<Waiting<T>> {
        let waited = self.by_load.remove(load).unwrap_or_default();
        self.count -= waited.len();
        waited
    }

    /// Drops whom `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Waiting<T>) -> bool) {
        self.by_load.retain(|_, waiting| {
            waiting.retain(&mut keep);
            !waiting.is_empty()
        });
        self.count = self.by_load.values().map(Vec::len).sum();
    }

    /// Everybody.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting<T>> {
        self.count = 0;
        self.by_load.drain().flat_map(|(_, waiting)| waiting)
    }
}
