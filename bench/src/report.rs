//! Rows of figures on stdout.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::ValueEnum as _;

use crate::Broker;

/// What was measured so far is printed; nothing is kept.
pub(crate) struct Report {
    broker: String,
}

impl Report {
    pub(crate) fn new(broker: Broker) -> Self {
        let name = broker.to_possible_value();
        let name = name.map_or_else(String::new, |value| value.get_name().to_owned());
        Self { broker: name }
    }

    /// What, how much, and how long each took.
    pub(crate) fn row(&mut self, what: &str, figure: &str, mut took: Vec<Duration>) {
        took.sort_unstable();
        let at = |share: f64| {
            let index = (took.len() as f64 * share) as usize;
            let ms = took.get(index.min(took.len() - 1))?.as_secs_f64() * 1e3;
            Some(format!("{ms:.2}"))
        };
        let times = if took.is_empty() {
            String::new()
        } else {
            let shares = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];
            let times = shares
                .iter()
                .filter_map(|(name, share)| Some(format!("{name} {} ms", at(*share)?)));
            times.collect::<Vec<_>>().join("  ")
        };
        let line = format!("{:<17} {what:<46} {figure:>16}  {times}\n", self.broker);
        // Whoever closed stdout does not want to know.
        let _ = io::stdout().lock().write_all(line.as_bytes());
    }
}
