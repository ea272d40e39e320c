//! What kind of world a seed makes: short and rough, or long, with silences in which partitions checkpoint,
//! trim and let rooms go while others crash.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};

/// A kind of world.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) replicas: usize,
    pub(crate) gateways: usize,
    pub(crate) clients: usize,
    /// Rooms there are; the first are the busiest.
    pub(crate) rooms: usize,
    /// Operations of each client, at most.
    pub(crate) operations: u64,
    /// The longest that a client thinks between two operations.
    pub(crate) think: Duration,
    /// How often everybody talks and then falls silent; none is talking all the time.
    pub(crate) silences: u32,
    /// The longest that a process is frozen or away.
    pub(crate) held: Duration,
    /// The longest between two mishaps.
    pub(crate) between: Duration,
    /// The longest between an answer and a repeat of what it answered.
    pub(crate) repeat_after: Duration,
    /// What the rooms of a room service may hold in memory.
    pub(crate) memory_bytes: usize,
    /// Whether clocks jump.
    pub(crate) clocks_jump: bool,
}

impl Profile {
    /// Of each five worlds four are short and rough; of the long ones every second has clocks that jump.
    pub(crate) fn draw(seed: u64, rng: &mut StdRng) -> Self {
        let memory_bytes = if rng.random_bool(0.7) {
            // Whatever is stored and was not used for a second leaves at the next sweep.
            0
        } else {
            room_service::Options::MEMORY_BYTES
        };
        let rough = Self {
            replicas: rng.random_range(2..=3),
            gateways: 2,
            clients: rng.random_range(3..=5),
            rooms: 3,
            operations: rng.random_range(5..=40),
            think: Duration::from_millis(400),
            silences: 0,
            held: Duration::from_secs(8),
            between: Duration::from_secs(2),
            repeat_after: Duration::from_secs(10),
            memory_bytes,
            clocks_jump: false,
        };
        match seed % 10 {
            kind @ (4 | 9) => Self {
                clients: rng.random_range(4..=6),
                rooms: rng.random_range(4..=8),
                operations: rng.random_range(70..=120),
                think: Duration::from_millis(300),
                silences: rng.random_range(3..=5),
                held: Duration::from_secs(20),
                between: Duration::from_secs(4),
                repeat_after: Duration::from_secs(45),
                clocks_jump: kind == 9,
                ..rough
            },
            _ => rough,
        }
    }
}
