//! A process's way to the broker. Every await of the adapter passes here, where it may take time, stall,
//! or be the process's last.

use std::{fmt, future, sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};

use super::{
    process::{Held, Mishap, ProcessId},
    world::{Shared, World},
};

/// One process's way. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) process: ProcessId,
}

/// What a caller hears of a change.
pub(super) enum Changed<T> {
    /// It was made, or was not, as this says.
    Told(T),
    /// It was not made.
    Refused(String),
    /// It may have been made, and may still be.
    Unclear,
}

/// What becomes of a change.
enum Fate {
    Told,
    Refused,
    Unclear {
        /// When it is made; `None` for never.
        lands_in: Option<Duration>,
        told_in: Duration,
    },
}

impl Link {
    /// One step of a call: takes time, lets others go first, or neither, as chance has it.
    pub(super) async fn pause(&self) {
        let (mishap, way, yields) = {
            let mut world = self.shared.world.lock();
            let mishap = world.processes.count_await(self.process);
            let way = world.way();
            (mishap, way, world.happens(0.5))
        };
        if let Some(mishap) = mishap {
            self.shared.befall(self.process, mishap);
        }
        if !way.is_zero() {
            sleep(way).await;
        } else if yields {
            tokio::task::yield_now().await;
        }
        self.pass().await;
    }

    /// Holds up who is stalled, for as long as that is, and who crashed, for ever.
    pub(super) async fn pass(&self) {
        loop {
            let changed = self.shared.changed.notified();
            let held = self.shared.world.lock().processes.held(self.process);
            match held {
                Held::Not => return,
                // Looked at again, whichever it was.
                Held::Until(end) => {
                    let _ = timeout_at(end, changed).await;
                }
                Held::ForEver => future::pending().await,
            }
        }
    }

    /// Has the broker look at something.
    pub(super) async fn look<T>(
        &self,
        what: String,
        look: impl FnOnce(&mut World) -> T,
    ) -> Result<T, String> {
        self.pause().await;
        let unanswered = {
            let mut world = self.shared.world.lock();
            let away = !world.processes.is_here(self.process);
            let unavailable = world.faults.reads.unavailable;
            let unanswered = world.happens(unavailable) || away;
            let timeout = world.faults.timeout;
            unanswered.then(|| world.up_to(timeout))
        };
        if let Some(wait) = unanswered {
            self.note(format_args!("{what}: no answer"));
            sleep(wait).await;
            self.pass().await;
            return Err("the broker does not answer".to_owned());
        }
        let found = look(&mut self.shared.world.lock());
        self.note(format_args!("{what}"));
        self.pause().await;
        Ok(found)
    }

    /// Has the broker make a change: now, later or never. Once it is on its way, it no longer depends on
    /// whether anybody waits for it.
    pub(super) async fn change<T: fmt::Debug + Send + 'static>(
        &self,
        what: String,
        change: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Changed<T> {
        self.pause().await;
        let (fate, there, back) = {
            let mut world = self.shared.world.lock();
            let fate = self.fate(&mut world);
            (fate, world.way(), world.way())
        };
        let (lands_in, told_in) = match fate {
            Fate::Refused => {
                self.note(format_args!("{what}: refused"));
                self.pause().await;
                return Changed::Refused("the simulated disk is full".to_owned());
            }
            Fate::Told => (Some(there), None),
            Fate::Unclear { lands_in, told_in } => (lands_in, Some(told_in)),
        };
        let (tell, told) = oneshot::channel();
        match lands_in {
            Some(lands_in) => {
                let link = self.clone();
                tokio::spawn(async move {
                    sleep(lands_in).await;
                    let made = link.land(&what, change);
                    sleep(back).await;
                    // Whoever asked may be gone.
                    drop(made.map(|made| tell.send(made)));
                });
            }
            None => self.note(format_args!("{what}: vanished")),
        }
        let heard = match told_in {
            Some(told_in) => {
                sleep(told_in).await;
                Changed::Unclear
            }
            None => match told.await {
                Ok(made) if self.is_here() => Changed::Told(made),
                _ => Changed::Unclear,
            },
        };
        self.pause().await;
        heard
    }

    /// Makes the change, unless it went down with its process.
    fn land<T: fmt::Debug>(&self, what: &str, change: impl FnOnce(&mut World) -> T) -> Option<T> {
        let mut world = self.shared.world.lock();
        if !world.processes.is_alive(self.process) && world.happens(0.5) {
            world.note(self.process, format_args!("{what}: went down with it"));
            return None;
        }
        let made = change(&mut world);
        world.note(self.process, format_args!("{what}: {made:?}"));
        Some(made)
    }

    fn fate(&self, world: &mut World) -> Fate {
        let faults = world.faults.writes;
        let timeout = world.faults.timeout;
        let away = !world.processes.is_here(self.process);
        let told_in = world.up_to(timeout);
        let lands_in = if away || world.happens(faults.vanished) {
            None
        } else if world.happens(faults.unanswered) {
            Some(world.way())
        } else if world.happens(faults.late) {
            // As often as not just when whoever gave it up looks for it and tries again.
            let a_little = 3 * world.faults.pause_max;
            let soon = told_in + world.up_to(a_little);
            let any_time = world.up_to(faults.late_max);
            Some(if world.happens(0.5) { soon } else { any_time })
        } else if world.happens(faults.refused) {
            return Fate::Refused;
        } else {
            return Fate::Told;
        };
        Fate::Unclear { lands_in, told_in }
    }

    /// Whether the process is connected.
    pub(super) fn is_here(&self) -> bool {
        self.shared.world.lock().processes.is_here(self.process)
    }

    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        self.shared.world.lock().note(self.process, what);
    }
}

impl Shared {
    /// What befalls a process, at once.
    pub(super) fn befall(&self, process: ProcessId, mishap: Mishap) {
        let mut world = self.world.lock();
        world.note(process, format_args!("{mishap:?}"));
        world.processes.befall(process, mishap);
        match mishap {
            Mishap::Crash => world.routes.forget(process),
            Mishap::Stall(_) => {}
            Mishap::Disconnect(time) => world.routes.cut(process, Instant::now() + time),
        }
        drop(world);
        self.changed.notify_waiters();
    }
}
