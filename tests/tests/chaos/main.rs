//! Every process dies, ends, sleeps and comes back under load: every acked message comes exactly once and in
//! order to every reader that stays, and to every reader that comes and goes.
//!
//! A seed decides the order of the faults and whom they hit. It is printed; `CHAOS_SEED` sets it.

#![expect(
    clippy::unwrap_used,
    clippy::large_stack_frames,
    reason = "a test may panic, and have many values at hand"
)]

mod cluster;
mod faults;
mod load;

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use cluster::Cluster;
use faults::Fault;
use load::{Load, Verdict};

fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok();
    given.map_or_else(rand::random, |seed| seed.parse().expect("a number"))
}

/// Lets all of these faults come over the processes, in an order that the seed decides.
async fn stand(mut cluster: Cluster, mut faults: Vec<Fault>, rounds: usize, seed: u64) -> Verdict {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut load = Load::start(&cluster, seed).await;
    for _ in 0..rounds {
        faults.shuffle(&mut rng);
        for fault in &faults {
            fault.inflict(&mut cluster, &mut load, &mut rng).await;
        }
    }
    load.end().await
}

#[tokio::test]
async fn whatever_befalls_the_processes_every_acked_message_comes_once_and_in_order() {
    let seed = seed();
    println!("CHAOS_SEED={seed}");
    let rounds = if tests::full() { 5 } else { 1 };
    let cluster = Cluster::on_one().await;
    let verdict = stand(cluster, Fault::WITH_ONE.to_vec(), rounds, seed).await;
    println!("{verdict}");
    verdict.insist();
}

#[tokio::test]
async fn whatever_befalls_three_nats_servers_every_acked_message_comes_once_and_in_order() {
    let seed = seed();
    println!("CHAOS_SEED={seed}");
    let rounds = if tests::full() { 4 } else { 1 };
    let cluster = Cluster::on_three().await;
    let verdict = stand(cluster, Fault::OF_THREE.to_vec(), rounds, seed).await;
    println!("{verdict}");
    verdict.insist();
}
