//! Writers with outboxes, readers that stay and readers that come and go, and what they wrote down.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tests::{
    Journal, Outbox, Reader,
    checker::{Account, Phase, check},
    reader::{Habit, Heads},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::cluster::Cluster;

/// Two in each partition, on average.
const ROOMS: usize = 8;
const WRITERS: usize = 2 * ROOMS;
/// Between an ack and the next send of a writer.
const PAUSE: Duration = Duration::from_millis(25);
/// Messages of each room that are sent and acked after a fault before it is over.
const AFTER: usize = 10;
/// A fault and the time after it take at least this long, so that one is over before the next begins.
const APART: Duration = Duration::from_secs(6);
/// A fault that is not over after this long never will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// Readers stay at these; the others are killed.
pub(crate) const LIVING: usize = 2;

/// Clients under way.
pub(crate) struct Load {
    journal: Journal,
    rooms: Vec<String>,
    phases: Vec<Phase>,
    stop: watch::Sender<bool>,
    until: watch::Sender<Heads>,
    writers: JoinSet<Outbox>,
    steady: JoinSet<Reader>,
    flapping: JoinSet<Reader>,
}

/// What became of it all.
pub(crate) struct Verdict {
    account: Account,
    steady: Vec<Reader>,
    flapping: Vec<Reader>,
    lasted: Duration,
}

impl Load {
    /// Begins with nothing wrong.
    pub(crate) async fn start(cluster: &Cluster, seed: u64) -> Self {
        let gateways = cluster.addresses();
        let journal = Journal::default();
        let rooms: Vec<_> = (0..ROOMS).map(|n| format!("hall-{n}")).collect();
        let (stop, until) = (watch::Sender::new(false), watch::Sender::new(None));
        let (mut steady, mut flapping) = (JoinSet::new(), JoinSet::new());
        for n in 0..LIVING {
            let name = format!("steady{n}");
            let living = &gateways[..LIVING];
            let reader = Reader::new(&journal, &name, &rooms, living, n, Habit::Steady, seed);
            steady.spawn(reader.run(until.subscribe()));
        }
        // One that is seldom away for long, and one that often is.
        for (n, away) in [0..500, 500..5_000].into_iter().enumerate() {
            let (name, here) = (format!("flapping{n}"), 20..1_000);
            let habit = Habit::Flapping { here, away };
            let seed = seed.wrapping_add(n as u64);
            let reader = Reader::new(&journal, &name, &rooms, &gateways, n, habit, seed);
            flapping.spawn(reader.run(until.subscribe()));
        }
        let mut writers = JoinSet::new();
        for n in 0..WRITERS {
            let room = &rooms[n % ROOMS];
            let outbox = Outbox::new(&format!("w{n}"), room, &gateways, n).writing(&journal);
            writers.spawn(outbox.run(PAUSE, Arc::default(), stop.subscribe()));
        }
        let mut load = Self {
            journal,
            rooms,
            phases: Vec::new(),
            stop,
            until,
            writers,
            steady,
            flapping,
        };
        load.begin("no fault");
        load.is_over().await;
        load
    }

    /// Counts what follows to this fault.
    pub(crate) fn begin(&mut self, name: &str) {
        self.phases.push(Phase {
            name: name.to_owned(),
            from: Instant::now(),
        });
    }

    /// Waits until sends to every room succeed again.
    ///
    /// # Panics
    /// When they do not.
    pub(crate) async fn goes_on(&self) {
        let from = Instant::now();
        while self.journal.least_acked_since(&self.rooms, from) < AFTER {
            assert!(from.elapsed() < PATIENCE, "sends do not succeed any more");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until this fault is over, and then a little.
    pub(crate) async fn is_over(&self) {
        self.goes_on().await;
        if let Some(phase) = self.phases.last() {
            sleep_until(phase.from + APART).await;
        }
    }

    /// Ends it, when every reader has everything or nothing more comes.
    pub(crate) async fn end(self) -> Verdict {
        let began = self.phases[0].from;
        self.stop.send_replace(true);
        let writers = self.writers.join_all().await;
        let lasted = began.elapsed();
        let mut heads = BTreeMap::new();
        for writer in &writers {
            let head: &mut u64 = heads.entry(writer.room().to_owned()).or_default();
            let last = writer.acked.values().max();
            *head = (*head).max(*last.expect("every writer is acked something"));
        }
        self.until.send_replace(Some(heads));
        Verdict {
            steady: self.steady.join_all().await,
            flapping: self.flapping.join_all().await,
            account: check(&self.journal.record(), &self.phases),
            lasted,
        }
    }
}

impl Verdict {
    fn sum(&self, count: impl Fn(&Reader) -> usize) -> usize {
        self.flapping.iter().map(count).sum()
    }

    /// Insists that nothing is missing, doubled or out of order, and that everybody did their part.
    pub(crate) fn insist(&self) {
        self.account.insist();
        let gaps = self.sum(|reader| reader.gaps);
        assert!(gaps > 0, "nobody was away long enough to meet a gap");
        for reader in &self.steady {
            // Gateways that end in good order send their browsers away, and nothing else does.
            let broken = reader.broken.iter().filter(|why| *why != "closed 1012");
            let broken: Vec<_> = broken.collect();
            assert!(broken.is_empty(), "a steady reader was cut off: {broken:?}");
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasted.as_secs_f64();
        write!(
            f,
            "{}{:.0} sends a second for {seconds:.0} s; flapping readers came back {} times, {} gaps were \
             filled",
            self.account,
            self.account.total().acked as f64 / seconds,
            self.sum(|reader| reader.returns),
            self.sum(|reader| reader.gaps),
        )
    }
}
