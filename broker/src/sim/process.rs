//! The simulated processes: which live, which are held up, and what is to befall them.

use std::time::Duration;

use tokio::time::Instant;

/// One life of a process; after a crash the same name begins another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProcessId(usize);

/// What befalls a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It never does anything again.
    Crash,
    /// It does nothing for this long, and then goes on as if nothing had been.
    Stall(Duration),
    /// It has no connection for this long.
    Disconnect(Duration),
}

/// What holds a process up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Not,
    Until(Instant),
    ForEver,
}

/// All processes that ever were.
#[derive(Default)]
pub(super) struct Processes(Vec<Process>);

struct Process {
    name: String,
    alive: bool,
    stalled_until: Option<Instant>,
    away_until: Option<Instant>,
    /// How many awaits before it happens.
    mishap: Option<(u64, Mishap)>,
}

impl Processes {
    /// The living process of this name; begun if there is none.
    pub(super) fn begin(&mut self, name: &str) -> ProcessId {
        if let Some(living) = self.living(name) {
            return living;
        }
        self.0.push(Process {
            name: name.to_owned(),
            alive: true,
            stalled_until: None,
            away_until: None,
            mishap: None,
        });
        ProcessId(self.0.len() - 1)
    }

    pub(super) fn living(&self, name: &str) -> Option<ProcessId> {
        let is_it = |process: &Process| process.alive && process.name == name;
        self.0.iter().position(is_it).map(ProcessId)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = ProcessId> + use<> {
        (0..self.0.len()).map(ProcessId)
    }

    pub(super) fn name(&self, id: ProcessId) -> &str {
        &self.0[id.0].name
    }

    pub(super) fn is_alive(&self, id: ProcessId) -> bool {
        self.0[id.0].alive
    }

    /// Whether it is connected.
    pub(super) fn is_here(&self, id: ProcessId) -> bool {
        let process = &self.0[id.0];
        process.alive
            && process
                .away_until
                .is_none_or(|until| until <= Instant::now())
    }

    pub(super) fn held(&self, id: ProcessId) -> Held {
        match &self.0[id.0] {
            Process { alive: false, .. } => Held::ForEver,
            Process {
                stalled_until: Some(until),
                ..
            } if *until > Instant::now() => Held::Until(*until),
            _ => Held::Not,
        }
    }

    /// What befalls it from now on; of crashes and connections the bus has to hear as well.
    pub(super) fn befall(&mut self, id: ProcessId, mishap: Mishap) {
        let process = &mut self.0[id.0];
        match mishap {
            Mishap::Crash => process.alive = false,
            Mishap::Stall(time) => process.stalled_until = Some(Instant::now() + time),
            Mishap::Disconnect(time) => process.away_until = Some(Instant::now() + time),
        }
    }

    pub(super) fn befall_later(&mut self, id: ProcessId, awaits: u64, mishap: Mishap) {
        self.0[id.0].mishap = Some((awaits, mishap));
    }

    /// One await more; what befalls the process at it.
    pub(super) fn count_await(&mut self, id: ProcessId) -> Option<Mishap> {
        let (left, _) = self.0[id.0].mishap.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        self.0[id.0].mishap.take().map(|(_, mishap)| mishap)
    }

    /// Nobody is held up any more, and nothing more befalls anybody; who was not connected.
    pub(super) fn heal(&mut self) -> Vec<ProcessId> {
        let away = self
            .all()
            .filter(|id| self.is_alive(*id) && !self.is_here(*id))
            .collect();
        for process in &mut self.0 {
            process.stalled_until = None;
            process.away_until = None;
            process.mishap = None;
        }
        away
    }
}
