//! Exploring a variant, and what came of it in words.

use std::{fmt, num::NonZeroUsize, thread, time::Duration};

use stateright::{Checker as _, Expectation, HasDiscoveries, Model as _};

use crate::{properties, steps::Step, variants::Variant};

/// When an exploration ends, unless it has seen everything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until<'a> {
    /// At the first property that breaks, if the variant is one that must break; else it goes on, to find
    /// all that do.
    AnyBreaks,
    /// When one of these properties breaks.
    OneOf(&'a [&'static str]),
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The variant's name.
    pub name: &'static str,
    /// Whether nothing was to break.
    pub must_hold: bool,
    /// States reached, counted as often as they were.
    pub states: usize,
    /// Different states.
    pub unique: usize,
    /// Steps of the longest way that was gone.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Properties that break, each with the steps that break it; the shortest way first.
    pub broken: Vec<(&'static str, Vec<Step>)>,
    /// What should have been seen if the exploration is to mean anything, and was not. Only of a variant
    /// that must hold: others end early.
    pub never_seen: Vec<&'static str>,
}

impl Report {
    /// Whether the variant did what it must: held, or broke.
    pub fn is_as_it_must_be(&self) -> bool {
        self.broken.is_empty() == self.must_hold
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            name,
            states,
            unique,
            depth,
            ..
        } = self;
        let took_s = self.took.as_secs_f64();
        let verdict = if self.broken.is_empty() {
            "all hold"
        } else {
            "BROKEN"
        };
        write!(
            f,
            "{name}: {states} states, {unique} unique, depth {depth}, {took_s:.0} s, {verdict}"
        )?;
        for property in &self.never_seen {
            write!(f, "\n  never {property}")?;
        }
        for (property, steps) in &self.broken {
            write!(f, "\n  {property}  ({} steps)\n    {steps:?}", steps.len())?;
        }
        Ok(())
    }
}

/// Walks through all that a variant can do within its bounds, on every core; ends early as `until` says.
/// Blocks until it is done, which takes from a second to many minutes and up to some gigabytes.
pub fn explore(variant: &Variant, until: Until<'_>) -> Report {
    let clock = Clock::start();
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut builder = variant.protocol.clone().checker().threads(threads);
    match until {
        Until::OneOf(properties) => {
            let properties = properties.iter().copied().collect();
            builder = builder.finish_when(HasDiscoveries::AnyOf(properties));
        }
        Until::AnyBreaks if variant.must_hold => {}
        Until::AnyBreaks => builder = builder.finish_when(HasDiscoveries::AnyFailures),
    }
    let checker = builder.spawn_bfs().join();
    let mut found = checker.discoveries();
    let mut broken = vec![];
    let mut never_seen = vec![];
    for property in properties::all() {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Sometimes, None) if variant.must_hold => never_seen.push(property.name),
            (Expectation::Sometimes, _) | (_, None) => {}
            (_, Some(path)) => broken.push((property.name, path.into_actions())),
        }
    }
    broken.sort_by_key(|(_, steps)| steps.len());
    Report {
        name: variant.name,
        must_hold: variant.must_hold,
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: clock.elapsed(),
        broken,
        never_seen,
    }
}

/// Wall time, for the report.
#[expect(
    clippy::disallowed_types,
    reason = "no runtime and no paused clock here: wall time is meant"
)]
struct Clock(std::time::Instant);

impl Clock {
    #[expect(
        clippy::disallowed_types,
        clippy::disallowed_methods,
        reason = "see the type"
    )]
    fn start() -> Self {
        Clock(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
