//! Owners of partitions die, end, come and sleep under load: sends to their rooms go on, and nothing is
//! lost, doubled or out of order.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod installation;
mod load;
mod spy;
mod zombie;

use std::time::Duration;

use tests::{eventually, http::get};
use tokio::time::Instant;

use installation::Installation;
use load::Load;

/// Replica ids by which each of the three owns at least one of four partitions.
const REPLICAS: [&str; 3] = ["red", "green", "blue"];
/// Sends to the rooms of a replica that was killed succeed again within this (promise TAKEOVER).
const TAKEOVER: Duration = Duration::from_secs(1);
/// A planned move may make a send wait this much longer.
const MOVE: Duration = Duration::from_millis(100);
/// How long sends are watched before a fault, to know what is usual on this machine.
const USUAL: Duration = Duration::from_secs(2);
/// How long they are watched after one.
const AFTER: Duration = Duration::from_secs(3);

#[tokio::test]
async fn sends_to_a_killed_replicas_rooms_succeed_again_within_a_second() {
    let mut installation = Installation::start(&REPLICAS).await;
    let load = Load::start(&installation).await;
    let usual = load.watch(USUAL).await;
    let victim = installation.busiest().await;
    let killed = Instant::now();
    let owned = installation.kill(&victim).await;
    tokio::time::sleep(AFTER).await;
    let longest = load.longest_since(killed);
    println!(
        "kill -9 of {victim} with {owned} partitions: usual {usual:?}, longest stall {longest:?}"
    );
    println!("  {}", load.stop().await.check());
    assert!(longest < TAKEOVER, "{longest:?}");
}

#[tokio::test]
async fn a_replica_that_ends_in_good_order_makes_no_send_wait() {
    let mut installation = Installation::start(&REPLICAS).await;
    let load = Load::start(&installation).await;
    let usual = load.watch(USUAL).await;
    let victim = installation.busiest().await;
    let asked = Instant::now();
    let owned = installation.terminate(&victim).await;
    let took = asked.elapsed();
    tokio::time::sleep(AFTER).await;
    let longest = load.longest_since(asked);
    println!(
        "SIGTERM of {victim} with {owned} partitions: ended after {took:?}, usual {usual:?}, longest stall \
         {longest:?}"
    );
    println!("  {}", load.stop().await.check());
    assert!(longest <= usual + MOVE, "{longest:?}, usually {usual:?}");
}

#[tokio::test]
async fn growing_to_three_replicas_and_back_loses_and_doubles_nothing() {
    let mut installation = Installation::start(&REPLICAS[..1]).await;
    let load = Load::start(&installation).await;
    let usual = load.watch(USUAL).await;
    let began = Instant::now();
    for name in &REPLICAS[1..] {
        installation.add(name).await;
    }
    eventually("each of the three owns something", || async {
        let owners = installation.owners().await?;
        REPLICAS
            .iter()
            .all(|name| owners.values().any(|owner| owner == name))
            .then_some(())
    })
    .await;
    for name in &REPLICAS[..2] {
        installation.terminate(name).await;
    }
    eventually("the last one owns everything", || async {
        let owners = installation.owners().await?;
        owners
            .values()
            .all(|owner| owner == REPLICAS[2])
            .then_some(())
    })
    .await;
    let longest = load.longest_since(began);
    println!("1, 3, 1 replicas: usual {usual:?}, longest stall {longest:?}");
    println!("  {}", load.stop().await.check());
    assert!(longest < TAKEOVER, "{longest:?}");
}

#[tokio::test]
async fn a_replica_that_sleeps_past_its_death_and_wakes_changes_nothing() {
    let installation = Installation::start(&REPLICAS).await;
    let load = Load::start(&installation).await;
    let usual = load.watch(USUAL).await;
    let victim = installation.busiest().await;
    let spy = installation.spy(&victim).await;
    let stopped = Instant::now();
    installation.pause(&victim);
    eventually("others own what it owned", || async {
        let owners = installation.owners().await?;
        owners.values().all(|owner| *owner != victim).then_some(())
    })
    .await;
    let (repeated, seen) = spy.repeated();
    tokio::time::sleep(AFTER).await;
    let asleep = load.longest_since(stopped);
    let woken = Instant::now();
    installation.resume(&victim);
    tokio::time::sleep(AFTER).await;
    let awake = load.longest_since(woken);
    println!(
        "SIGSTOP, then SIGCONT of {victim}: usual {usual:?}, longest stall {asleep:?} and {awake:?}; of {seen} \
         requests to it {repeated} came twice"
    );
    println!("  {}", load.stop().await.check());
    assert_eq!(repeated, 0, "a request waited for the stopped owner again");
    assert!(asleep < 2 * TAKEOVER, "{asleep:?}");
    assert!(awake < TAKEOVER, "{awake:?}");
}

#[tokio::test]
async fn the_later_of_two_with_one_replica_id_owns_nothing_and_says_why() {
    let installation = Installation::start(&REPLICAS[..1]).await;
    let owned = installation.owned_by(REPLICAS[0]).await;
    let later = installation.service(REPLICAS[0]);
    let told = |line: &str| line.contains("ERROR") && line.contains("replica ids doubled");
    later.line("replica ids doubled", told).await;
    let probe = get(later.address("metrics").await, "/readyz").await;
    assert!(probe.starts_with("HTTP/1.1 503"), "{probe}");
    assert!(
        probe.contains("replica ids doubled: process red."),
        "{probe}"
    );
    assert!(later.terminate().await.success());
    assert_eq!(
        installation.owned_by(REPLICAS[0]).await,
        owned,
        "the same epochs"
    );
}
