//! The room services of a simulated world, and what befalls them.

use std::time::Duration;

use broker::sim::{Mishap, Sim};
use prometheus_client::registry::Registry;
use proto::{Limits, PartitionCount, subject::Subjects};
use rand::{RngExt as _, rngs::StdRng};
use room_service::{Options, RoomService};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The longest that a crashed process stays away.
const DOWN_MS: u64 = 3_000;
/// The longest between two mishaps.
const PEACE_MS: u64 = 2_000;
/// Awaits within which a crash or a stall comes: it may hit any of them.
const AWAITS: u64 = 300;
/// The longest that a process is frozen or away: past its death in the eyes of the others.
const HELD_MS: u64 = 8_000;

/// Keeps a room service running: whenever it crashes, it is started again after a while.
pub(crate) async fn keep_running(
    sim: Sim,
    name: String,
    partitions: PartitionCount,
    mut rng: StdRng,
) {
    loop {
        let broker = sim.broker(&name);
        let options = options(&name, partitions);
        let mut running = tokio::spawn(async move {
            let service = RoomService::bind(options, broker, &mut Registry::default()).await;
            service?.run(CancellationToken::new()).await
        });
        tokio::select! {
            biased;
            () = sim.crashed(&name) => running.abort(),
            ended = &mut running => panic!("the room service {name} ended: {ended:?}"),
        }
        sleep(Duration::from_millis(rng.random_range(0..DOWN_MS))).await;
    }
}

/// Lets mishaps befall the named processes, one after the other, for ever. Those in `mortal` may crash.
pub(crate) async fn torment(sim: Sim, mortal: Vec<String>, immortal: Vec<String>, mut rng: StdRng) {
    loop {
        sleep(Duration::from_millis(rng.random_range(0..PEACE_MS))).await;
        let number = rng.random_range(0..mortal.len() + immortal.len());
        let held = Duration::from_millis(rng.random_range(1..HELD_MS));
        let mishap = match (rng.random_range(0..4), mortal.get(number)) {
            (0 | 1, Some(_)) => Mishap::Crash,
            (2, _) => Mishap::Stall(held),
            _ => Mishap::Disconnect(held),
        };
        let process = mortal
            .get(number)
            .unwrap_or_else(|| &immortal[number - mortal.len()]);
        sim.befall_after(process, rng.random_range(0..AWAITS), mishap);
    }
}

fn options(replica: &str, partitions: PartitionCount) -> Options {
    Options {
        subjects: Subjects::default(),
        limits: Limits {
            rates: false,
            ..Limits::default()
        },
        replica_id: replica.to_owned(),
        partitions: Some(partitions),
        default_partitions: PartitionCount::DEFAULT,
        auto_create: true,
        alone: false,
        admin: None,
    }
}
