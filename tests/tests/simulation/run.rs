//! One seed's run: a world of room services and clients while everything goes wrong, then peace until every
//! outbox is empty and every screen has all, then the checker.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use broker::sim::{Faults, Sim};
use proto::{PartitionCount, PartitionId, RoomId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    checker::{self, Facts},
    client::Client,
    cluster,
    seen::Seen,
};

/// How long everything goes wrong.
const WAR: Duration = Duration::from_secs(20);
/// How long after that the last outbox may take: a gateway's patience and a claim's longest wait.
const PEACE: Duration = Duration::from_secs(60);
/// How long a hole may stay unnoticed once nothing goes wrong (GAP), and be fetched.
const REPAIR: Duration = Duration::from_secs(4);
/// What a test waits for a look at all.
const LOOK: Duration = Duration::from_secs(30);

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
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            digest,
            steps,
            facts,
            drained_ms,
        } = self;
        write!(
            f,
            "run {digest:016x}: {steps} steps, {facts}, drained in {drained_ms} ms"
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
        runtime.block_on(live(seed))
    };
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let running = thread.spawn(run).map_err(|error| error.to_string())?;
    running
        .join()
        .unwrap_or_else(|_| Err("a panic, see above".to_owned()))
}

async fn live(seed: u64) -> Result<Report, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let sim = Sim::new(rng.random(), Faults::rough());
    let seen = Seen::default();
    let partitions = PartitionCount::new(2).map_err(|error| error.to_string())?;
    let mut tasks = JoinSet::new();
    let replicas = names("room-service", rng.random_range(2..=3));
    for name in &replicas {
        let rng = StdRng::from_rng(&mut rng);
        tasks.spawn(cluster::keep_running(
            sim.clone(),
            name.clone(),
            partitions,
            rng,
        ));
    }
    let (clients, mut outboxes) = (clients(&sim, partitions, &seen, &mut rng), JoinSet::new());
    for (client, operations) in &clients {
        tasks.spawn(client.clone().follow());
        let rng = StdRng::from_rng(&mut rng);
        outboxes.spawn(client.clone().talk(*operations, rng));
    }
    let gateways = names("client", clients.len());
    let torment = cluster::torment(sim.clone(), replicas, gateways, StdRng::from_rng(&mut rng));
    // Whichever ends first: with all said, there is nothing more to go wrong.
    let _ = timeout(WAR, async {
        tokio::select! {
            biased;
            () = torment => {}
            () = all_of(&mut outboxes) => {}
        }
    })
    .await;
    sim.heal();
    let healed = Instant::now();
    let drained = timeout(PEACE, all_of(&mut outboxes)).await;
    let drained_ms = healed.elapsed().as_millis();
    if drained.is_err() {
        return Err(told(
            &sim,
            vec![format!(
                "an outbox is not empty {PEACE:?} after the last fault"
            )],
        ));
    }
    sleep(REPAIR).await;
    for (client, _) in &clients {
        let Ok(events) = timeout(LOOK, client.read_all()).await else {
            return Err(told(
                &sim,
                vec![format!("{} cannot be read", client.room())],
            ));
        };
        seen.lock().read.push((client.room().clone(), events));
    }
    let logs = partitions.rooms().map(|pp: PartitionId| (pp, sim.log(pp)));
    let facts = checker::check(&seen.lock(), &logs.collect());
    let facts = facts.map_err(|broken| told(&sim, broken))?;
    let trace = sim.trace();
    let mut hasher = DefaultHasher::new();
    trace.hash(&mut hasher);
    Ok(Report {
        digest: hasher.finish(),
        steps: trace.len(),
        facts,
        drained_ms,
    })
}

/// Some clients in some rooms, with how much each has to say.
fn clients(
    sim: &Sim,
    partitions: PartitionCount,
    seen: &Seen,
    rng: &mut StdRng,
) -> Vec<(Client, u64)> {
    let rooms: Vec<_> = ["hall", "porch", "attic"]
        .iter()
        .filter_map(|name| RoomId::parse(name).ok())
        .collect();
    let names = names("client", rng.random_range(3..=6));
    names
        .iter()
        .zip(rooms.iter().cycle())
        .map(|(name, room)| {
            let client = Client::new(name, room, sim.broker(name), partitions, seen.clone());
            (client, rng.random_range(5..=40))
        })
        .collect()
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{kind}-{number}"))
        .collect()
}

async fn all_of(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        assert!(ended.is_ok(), "a client ended: {ended:?}");
    }
}

/// What is broken; with `TRACE=1` also all that happened.
fn told(sim: &Sim, mut broken: Vec<String>) -> String {
    if std::env::var_os("TRACE").is_some() {
        broken.splice(0..0, sim.trace());
    }
    broken.join("\n")
}
