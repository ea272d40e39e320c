//! What only the simulated broker can show: each fault on its own, and the same run from the same seed.

mod bus;
mod processes;
mod replay;
mod writes;

use broker::sim::{BusFaults, Faults, ReadFaults, Sim, WriteFaults};

/// A world in which messages fare like this, and nothing else goes wrong.
fn with_bus(bus: BusFaults) -> Sim {
    let faults = Faults {
        bus,
        ..Faults::none()
    };
    Sim::new(1, faults)
}

/// A world in which changes fare like this, and nothing else goes wrong.
fn with_writes(writes: WriteFaults) -> Sim {
    let faults = Faults {
        writes,
        ..Faults::none()
    };
    Sim::new(1, faults)
}

/// A world in which reads fare like this, and nothing else goes wrong.
fn with_reads(reads: ReadFaults) -> Sim {
    let faults = Faults {
        reads,
        ..Faults::none()
    };
    Sim::new(1, faults)
}
