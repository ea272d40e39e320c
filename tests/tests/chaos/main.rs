//! Every process dies, ends, sleeps and comes back under load: every acked message comes exactly once and in
//! order to every reader that stays, and to every reader that comes and goes.
//!
//! A seed decides the order of the faults and whom they hit. It is printed; `CHAOS_SEED` sets it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cluster;
mod faults;
mod load;

use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use cluster::Cluster;
use faults::Fault;
use load::Load;

fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("CHAOS_SEED={seed}");
    seed
}

/// Lets all of these faults come over the processes, in an order that the seed decides.
async fn stand(mut cluster: Cluster, mut faults: Vec<Fault>, rounds: usize) {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut load = Load::start(&cluster, seed).await;
    for _ in 0..rounds {
        faults.shuffle(&mut rng);
        for fault in &faults {
            fault.inflict(&mut cluster, &mut load, &mut rng).await;
        }
    }
    load.judge().await;
}

#[tokio::test]
async fn whatever_befalls_the_processes_every_acked_message_comes_once_and_in_order() {
    let rounds = if tests::full() { 5 } else { 1 };
    let cluster = Cluster::on_one().await;
    stand(cluster, Fault::WITH_ONE.to_vec(), rounds).await;
}

#[tokio::test]
async fn whatever_befalls_three_nats_servers_every_acked_message_comes_once_and_in_order() {
    let rounds = if tests::full() { 4 } else { 1 };
    let cluster = Cluster::on_three().await;
    stand(cluster, Fault::OF_THREE.to_vec(), rounds).await;
}
