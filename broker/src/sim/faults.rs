//! What goes wrong in a simulated broker, and how often. Chances are from 0 to 1; times are in whole
//! milliseconds, as the runtime's timers are.

use std::time::Duration;

/// All that goes wrong.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Chance that a step of a call takes time; of the other steps half let other tasks go first.
    pub pause: f64,
    /// The longest such step, and a message's longest way when nothing is wrong with it.
    pub pause_max: Duration,
    /// The longest that a call waits for an answer before it is unclear or the broker unavailable.
    pub timeout: Duration,
    /// What becomes of messages.
    pub bus: BusFaults,
    /// What becomes of messages on certain subjects instead: the first pattern that covers counts.
    pub bus_on: Vec<(String, BusFaults)>,
    /// What becomes of appends, trims, puts, purges and erasures.
    pub writes: WriteFaults,
    /// What becomes of reads of log and store.
    pub reads: ReadFaults,
}

/// What becomes of a message on its way to one subscription.
#[derive(Clone, Copy, Debug, Default)]
pub struct BusFaults {
    /// Chance that it is lost, and nobody says so.
    pub dropped: f64,
    /// Chance that it is lost, and the subscription yields `Lost` in its place.
    pub lost: f64,
    /// Chance that it comes twice.
    pub doubled: f64,
    /// Chance that it comes late, so that later ones overtake it.
    pub delayed: f64,
    /// How late at most.
    pub delay_max: Duration,
}

/// What becomes of a change of log or store.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteFaults {
    /// Chance that it is not written, and nobody says so.
    pub vanished: f64,
    /// Chance that it is written, and nobody says so.
    pub unanswered: f64,
    /// Chance that nobody says anything, and it lands later, when what it expects is still true.
    pub late: f64,
    /// How late at most.
    pub late_max: Duration,
    /// Chance that it is refused, as by a full disk.
    pub refused: f64,
}

/// What becomes of a read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadFaults {
    /// Chance that nobody answers.
    pub unavailable: f64,
    /// Chance that a read of the store is answered from a state that was: the port forbids it, so only a
    /// test that wants to see it caught sets this.
    pub stale: f64,
    /// How old that state is at most.
    pub stale_max: Duration,
}

impl Faults {
    /// Nothing goes wrong; calls and messages take a little time now and then.
    pub fn none() -> Self {
        Self {
            pause: 0.1,
            pause_max: Duration::from_millis(2),
            timeout: Duration::from_secs(1),
            bus: BusFaults::default(),
            bus_on: Vec::new(),
            writes: WriteFaults::default(),
            reads: ReadFaults::default(),
        }
    }

    /// Everything that the port allows goes wrong now and then.
    pub fn rough() -> Self {
        Self {
            pause: 0.25,
            pause_max: Duration::from_millis(10),
            bus: BusFaults {
                dropped: 0.02,
                lost: 0.01,
                doubled: 0.02,
                delayed: 0.03,
                delay_max: Duration::from_millis(500),
            },
            writes: WriteFaults {
                vanished: 0.02,
                unanswered: 0.02,
                late: 0.02,
                late_max: Duration::from_secs(5),
                refused: 0.005,
            },
            reads: ReadFaults {
                unavailable: 0.02,
                ..ReadFaults::default()
            },
            ..Self::none()
        }
    }

    /// What becomes of messages on a subject.
    pub(super) fn on(&self, subject: &str) -> BusFaults {
        let special = self
            .bus_on
            .iter()
            .find(|(pattern, _)| crate::subject::covers(pattern, subject));
        special.map_or(self.bus, |(_, faults)| *faults)
    }
}
