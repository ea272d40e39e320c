//! The processes of a simulated world, room services and gateways, and what befalls them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use broker::sim::{Mishap, Sim, SimBroker};
use gateway::Socketless;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use proto::{Limits, PartitionCount, subject::Subjects};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use room_service::{Options, RoomService, WallClock};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::profile::Profile;

/// The longest that a crashed process stays away.
const DOWN_MS: u64 = 3_000;
/// Awaits within which a crash or a stall comes: it may hit any of them.
const AWAITS: u64 = 300;
/// The time of day when a world begins: 2026-11-24 00:00 UTC.
const MIDNIGHT: Duration = Duration::from_secs(1_795_478_400);
/// How far a clock jumps, back or forward.
const JUMPS_S: [i64; 4] = [-3_600, -5, 5, 86_400];

/// How far each room service's clock is ahead, in seconds.
#[derive(Clone, Default)]
pub(crate) struct Clocks(Arc<Mutex<BTreeMap<String, Arc<AtomicI64>>>>);

impl Clocks {
    fn ahead(&self, name: &str) -> Arc<AtomicI64> {
        let mut clocks = self.0.lock();
        Arc::clone(clocks.entry(name.to_owned()).or_default())
    }

    fn of(&self, name: &str, began: Instant) -> WallClock {
        let ahead = self.ahead(name);
        WallClock::of(move || {
            let now = SystemTime::UNIX_EPOCH + MIDNIGHT + began.elapsed();
            let ahead_s = ahead.load(Ordering::Relaxed);
            let by = Duration::from_secs(ahead_s.unsigned_abs());
            if ahead_s < 0 { now - by } else { now + by }
        })
    }

    /// All are right again.
    pub(crate) fn heal(&self) {
        for ahead in self.0.lock().values() {
            ahead.store(0, Ordering::Relaxed);
        }
    }
}

/// A gateway that runs.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) name: String,
    pub(crate) gateway: Socketless<SimBroker>,
    /// Cancelled when it has crashed.
    pub(crate) gone: CancellationToken,
}

/// The gateways that run now.
#[derive(Clone, Default)]
pub(crate) struct Gates(Arc<Mutex<BTreeMap<String, Gate>>>);

impl Gates {
    /// Any of them.
    pub(crate) fn choose(&self, rng: &mut StdRng) -> Option<Gate> {
        let gates: Vec<_> = self.0.lock().values().cloned().collect();
        gates.choose(rng).cloned()
    }
}

/// What all processes have in common.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) sim: Sim,
    pub(crate) partitions: PartitionCount,
    pub(crate) clocks: Clocks,
    pub(crate) gates: Gates,
    pub(crate) profile: Profile,
    pub(crate) began: Instant,
}

impl Site {
    /// Keeps a room service running: whenever it crashes, it is started again after a while.
    pub(crate) async fn keep_room_service(self, name: String, mut rng: StdRng) {
        loop {
            let broker = self.sim.broker(&name);
            let options = self.options(&name);
            let mut running = tokio::spawn(async move {
                let service = RoomService::bind(options, broker, &mut Registry::default()).await;
                service?.run(CancellationToken::new()).await
            });
            tokio::select! {
                biased;
                () = self.sim.crashed(&name) => running.abort(),
                ended = &mut running => panic!("the room service {name} ended: {ended:?}"),
            }
            sleep(Duration::from_millis(rng.random_range(0..DOWN_MS))).await;
        }
    }

    /// Keeps a gateway running, in the same way.
    pub(crate) async fn keep_gateway(self, name: String, mut rng: StdRng) {
        loop {
            let gate = Gate {
                name: name.clone(),
                gateway: Socketless::new(&gateway_options(&name), self.sim.broker(&name)),
                gone: CancellationToken::new(),
            };
            let running = tokio::spawn(gate.gateway.clone().run());
            self.gates.0.lock().insert(name.clone(), gate.clone());
            self.sim.crashed(&name).await;
            self.gates.0.lock().remove(&name);
            gate.gone.cancel();
            running.abort();
            sleep(Duration::from_millis(rng.random_range(0..DOWN_MS))).await;
        }
    }

    /// Lets mishaps befall the named processes, one after the other, for ever.
    pub(crate) async fn torment(
        self,
        room_services: Vec<String>,
        all: Vec<String>,
        mut rng: StdRng,
    ) {
        let (held, between) = (millis(self.profile.held), millis(self.profile.between));
        loop {
            sleep(Duration::from_millis(rng.random_range(0..between))).await;
            let held = Duration::from_millis(rng.random_range(1..held));
            let Some(process) = all.choose(&mut rng) else {
                return;
            };
            let mishap = match rng.random_range(0..4) {
                0 | 1 => Mishap::Crash,
                2 => Mishap::Stall(held),
                _ => Mishap::Disconnect(held),
            };
            self.sim
                .befall_after(process, rng.random_range(0..AWAITS), mishap);
            if self.profile.clocks_jump
                && rng.random_bool(0.3)
                && let Some(clock) = room_services.choose(&mut rng)
            {
                let jump_s = JUMPS_S.choose(&mut rng).copied().unwrap_or_default();
                let ahead_s = if rng.random_bool(0.5) { jump_s } else { 0 };
                self.sim
                    .note(clock, format_args!("its clock is {ahead_s} s ahead"));
                self.clocks.ahead(clock).store(ahead_s, Ordering::Relaxed);
            }
        }
    }

    /// Now and then a room service sleeps through a silence: when it wakes, what it knew has been trimmed.
    pub(crate) fn let_sleep(&self, name: &str, silence: Duration, rng: &mut StdRng) {
        if rng.random_bool(0.5) {
            let time = silence + Duration::from_millis(rng.random_range(0..2_000));
            let awaits = rng.random_range(0..AWAITS);
            self.sim.befall_after(name, awaits, Mishap::Stall(time));
        }
    }

    fn options(&self, replica: &str) -> Options {
        Options {
            subjects: Subjects::default(),
            limits: limits(),
            replica_id: replica.to_owned(),
            partitions: Some(self.partitions),
            default_partitions: PartitionCount::DEFAULT,
            auto_create: true,
            alone: false,
            admin: None,
            memory_bytes: self.profile.memory_bytes,
            wall_clock: self.clocks.of(replica, self.began),
        }
    }
}

fn gateway_options(name: &str) -> gateway::Options {
    gateway::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        subjects: Subjects::default(),
        limits: limits(),
        allowed_origins: Vec::new(),
        trusted_proxies: Vec::new(),
        time_zone: chrono_tz::UTC,
        guests: true,
        drain: gateway::DrainOptions {
            delay: Duration::ZERO,
            window: Duration::ZERO,
            deadline: Duration::ZERO,
        },
        gateway_id: name.to_owned(),
    }
}

fn limits() -> Limits {
    Limits {
        rates: false,
        ..Limits::default()
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
