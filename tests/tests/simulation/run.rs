//! One seed's run: a world of room services, gateways and clients while everything goes wrong, then peace
//! until every outbox is empty and every screen has all, then the checker.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use broker::sim::{Faults, Sim};
use proto::{PartitionCount, RoomId};
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    checker::{self, Facts, Kept},
    client::Client,
    cluster::{Clocks, Gates, Site},
    operator,
    owners::Owners,
    profile::Profile,
    seen::Seen,
};

/// How long everything goes wrong in a world without silences.
const WAR: Duration = Duration::from_secs(20);
/// How long after that the last outbox may take: a gateway's patience and a claim's longest wait.
const PEACE: Duration = Duration::from_secs(60);
/// How long a hole may stay unnoticed once nothing goes wrong (GAP), and be fetched, over a connection that
/// may have to be opened first.
const REPAIR: Duration = Duration::from_secs(6);
/// How long a redaction may take to reach log and store (GONE).
const GONE_WITHIN: u32 = 60;
/// What a test waits for a look at all.
const LOOK: Duration = Duration::from_secs(30);

/// What is told of what is broken: one thing seldom comes alone.
const TOLD: usize = 20;

/// What a run was like.
pub(crate) struct Report {
    /// Of all that happened: equal for equal runs.
    pub(crate) digest: u64,
    /// Lines of the trace.
    pub(crate) steps: usize,
    /// What the checker counted.
    pub(crate) facts: Facts,
    /// How long the last outbox took once nothing went wrong any more.
    pub(crate) drained_ms: u128,
    /// Records that were trimmed.
    pub(crate) trimmed: u64,
    /// Full pages in the stores.
    pub(crate) pages: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            digest,
            steps,
            facts,
            drained_ms,
            trimmed,
            pages,
        } = self;
        write!(
            f,
            "run {digest:016x}: {steps} steps, {facts}, {pages} pages, {trimmed} trimmed, drained in {drained_ms} ms"
        )
    }
}

/// Runs a seed on a thread of its own, on which nothing was ever drawn before.
///
/// # Errors
/// What promise was broken, and what happened before.
pub(crate) fn run(seed: u64) -> Result<Report, String> {
    let run = move || {
        entropy::seed(seed);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let mut world = World::begin(seed)?;
            let lived = world.live().await;
            lived.map_err(|broken| world.told(broken))
        })
    };
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let running = thread.spawn(run).map_err(|error| error.to_string())?;
    running
        .join()
        .unwrap_or_else(|_| Err("a panic, see above".to_owned()))
}

/// A world and all that runs in it.
struct World {
    site: Site,
    seen: Seen,
    rng: StdRng,
    rooms: Vec<RoomId>,
    room_services: Vec<String>,
    gateways: Vec<String>,
    talking: watch::Sender<bool>,
    end: CancellationToken,
    processes: JoinSet<()>,
    clients: JoinSet<()>,
    /// Each tells when its outbox is empty.
    outboxes: Vec<oneshot::Receiver<()>>,
    operator: Owners,
}

impl World {
    fn begin(seed: u64) -> Result<Self, String> {
        let mut rng = StdRng::seed_from_u64(seed);
        let profile = Profile::draw(seed, &mut rng);
        let sim = Sim::new(rng.random(), Faults::rough());
        let partitions = PartitionCount::new(2).map_err(|error| error.to_string())?;
        sim.note("world", format_args!("{profile:?}"));
        let mut world = Self {
            seen: Seen::default(),
            rooms: rooms(profile.rooms),
            room_services: names("room-service", profile.replicas),
            gateways: names("gateway", profile.gateways),
            talking: watch::Sender::new(true),
            end: CancellationToken::new(),
            processes: JoinSet::new(),
            clients: JoinSet::new(),
            outboxes: Vec::new(),
            operator: Owners::new(sim.broker("operator"), partitions),
            site: Site {
                sim,
                partitions,
                clocks: Clocks::default(),
                gates: Gates::default(),
                profile,
                began: Instant::now(),
            },
            rng,
        };
        world.people();
        Ok(world)
    }

    /// Lets everybody in.
    fn people(&mut self) {
        let Self { site, rng, .. } = self;
        for name in &self.room_services {
            let running = site.clone().keep_room_service(name.clone(), fork(rng));
            self.processes.spawn(running);
        }
        for name in &self.gateways {
            let running = site.clone().keep_gateway(name.clone(), fork(rng));
            self.processes.spawn(running);
        }
        self.processes.spawn(self.operator.clone().follow());
        if site.profile.silences > 0 {
            let operator = self.operator.clone();
            let redacts =
                operator::redact(operator, self.rooms.clone(), self.seen.clone(), fork(rng));
            self.clients.spawn(ends_with(self.end.clone(), redacts));
        }
        for name in names("client", site.profile.clients) {
            let rooms = some_rooms(&self.rooms, site.profile.silences > 0, rng);
            let listening = (self.talking.subscribe(), self.end.clone());
            let (client, said) =
                Client::new(&name, rooms, (site, &self.seen), listening, fork(rng));
            self.outboxes.push(said);
            self.clients.spawn(client.live());
        }
    }

    async fn live(&mut self) -> Result<Report, Vec<String>> {
        self.war().await;
        self.talking.send_replace(true);
        self.site.clocks.heal();
        self.site.sim.heal();
        let drained_ms = self.peace().await?;
        sleep(REPAIR).await;
        self.end.cancel();
        while let Some(ended) = self.clients.join_next().await {
            assert!(ended.is_ok(), "a client ended: {ended:?}");
        }
        let kept = self.kept().await;
        self.begin_anew();
        self.look().await?;
        let facts = checker::check(&self.seen.lock(), &kept)?;
        let trace = self.site.sim.trace();
        let mut hasher = DefaultHasher::new();
        trace.hash(&mut hasher);
        Ok(Report {
            digest: hasher.finish(),
            steps: trace.len(),
            facts,
            drained_ms,
            trimmed: kept.trimmed.values().sum(),
            pages: kept.pages(),
        })
    }

    /// Everything goes wrong, until nobody has anything to say or it has lasted long enough.
    async fn war(&mut self) {
        let mut all = self.room_services.clone();
        all.extend(self.gateways.clone());
        let site = self.site.clone();
        let torment = site.torment(self.room_services.clone(), all, fork(&mut self.rng));
        let (site, talking) = (&self.site, &self.talking);
        let (rng, room_services) = (&mut self.rng, &self.room_services);
        let time = async {
            if site.profile.silences == 0 {
                return sleep(WAR).await;
            }
            for _ in 0..site.profile.silences {
                sleep(Duration::from_millis(rng.random_range(2_000..6_000))).await;
                let silence = Duration::from_millis(rng.random_range(8_000..16_000));
                if let Some(sleeper) = room_services.choose(rng) {
                    site.let_sleep(sleeper, silence, rng);
                }
                sleep(Duration::from_millis(rng.random_range(0..1_000))).await;
                talking.send_replace(false);
                sleep(silence).await;
                talking.send_replace(true);
            }
        };
        tokio::select! {
            biased;
            () = torment => {}
            () = time => {}
            () = all_said(&mut self.outboxes) => {}
        }
    }

    /// Waits until every outbox is empty; how long that took, in milliseconds.
    async fn peace(&mut self) -> Result<u128, Vec<String>> {
        let healed = Instant::now();
        let patience = PEACE + self.site.profile.repeat_after;
        let drained = timeout(patience, all_said(&mut self.outboxes)).await;
        drained.map_err(|_| {
            vec![format!(
                "an outbox is not empty {patience:?} after the last fault"
            )]
        })?;
        Ok(healed.elapsed().as_millis())
    }

    /// What logs and stores hold; where something was redacted, once the logs are trimmed to their ends.
    async fn kept(&self) -> Kept {
        let sim = &self.site.sim;
        let rooms = || self.site.partitions.rooms();
        let is_trimmed = || rooms().all(|pp| sim.trimmed(pp) == sim.log(pp).len() as u64);
        let mut waits = if self.site.profile.silences > 0 {
            GONE_WITHIN
        } else {
            0
        };
        while waits > 0 && !is_trimmed() {
            waits -= 1;
            sleep(Duration::from_secs(1)).await;
        }
        Kept {
            logs: rooms().map(|pp| (pp, sim.log(pp))).collect(),
            trimmed: rooms().map(|pp| (pp, sim.trimmed(pp))).collect(),
            stores: rooms().map(|pp| (pp, sim.store(pp))).collect(),
            must_be_gone: self.site.profile.silences > 0,
            clocks_jump: self.site.profile.clocks_jump,
        }
    }

    /// All room services lose their memory: what is read from now on is what log and store hold.
    fn begin_anew(&self) {
        for name in &self.room_services {
            self.site.sim.crash(name);
        }
    }

    /// Reads every room.
    async fn look(&self) -> Result<(), Vec<String>> {
        for room in &self.rooms {
            let read = timeout(LOOK, operator::read_all(&self.operator, room)).await;
            let events = read.map_err(|_| vec![format!("{room} cannot be read")])?;
            self.seen.lock().read.push((room.clone(), events));
        }
        Ok(())
    }

    /// What is broken, the first of it; with `TRACE=1` also all that happened.
    fn told(&self, mut broken: Vec<String>) -> String {
        if broken.len() > TOLD {
            let more = format!("and {} more", broken.len() - TOLD);
            broken.truncate(TOLD);
            broken.push(more);
        }
        if std::env::var_os("TRACE").is_some() {
            broken.splice(0..0, self.site.sim.trace());
        }
        broken.join("\n")
    }
}

/// Does something until the world ends.
async fn ends_with(end: CancellationToken, what: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = end.cancelled() => {}
        () = what => {}
    }
}

/// Waits for all that are still there.
async fn all_said(outboxes: &mut Vec<oneshot::Receiver<()>>) {
    while let Some(outbox) = outboxes.last_mut() {
        // A client that ended has said nothing more.
        let _ = outbox.await;
        outboxes.pop();
    }
}

/// Up to three rooms of a client; in a long world everybody is in the first, so that its pages fill.
fn some_rooms(all: &[RoomId], is_long: bool, rng: &mut StdRng) -> Vec<RoomId> {
    let count = rng.random_range(1..=3);
    let mut rooms = all.iter().cloned().sample(rng, count);
    if is_long {
        rooms.extend(all.first().cloned());
    }
    rooms.sort();
    rooms.dedup();
    rooms
}

fn rooms(count: usize) -> Vec<RoomId> {
    let names = names("room", count);
    names
        .iter()
        .filter_map(|name| RoomId::parse(name).ok())
        .collect()
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{kind}-{number}"))
        .collect()
}

fn fork(rng: &mut StdRng) -> StdRng {
    StdRng::from_rng(rng)
}
