//! The cluster in a simulated world, where a seed decides everything: room services and gateways on the real
//! code, scripted browsers with outboxes, lost, late and doubled messages, unclear writes, crashes at any
//! await, frozen and disconnected processes, clocks that jump. A separate checker reads what the browsers saw
//! and what logs and stores hold.
//!
//! `SEEDS=5000` runs so many, with `FIRST=1` up to the first that fails; `SEED=17` runs that one, here, with
//! its story when `TRACE=1`. Each seed has a process of its own, because tokio counts its runtimes in one: so
//! a seed replays exactly.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checker;
mod client;
mod cluster;
mod mutants;
mod operator;
mod owners;
mod profile;
mod run;
mod screen;
mod seen;

use std::{env, process::Stdio, thread};

use futures_util::{StreamExt as _, stream};
use tokio::process::Command;

/// Seeds of an ordinary run, some four minutes on two cores.
const SEEDS: u64 = 2_000;
/// Seeds of `./test --full`.
const FULL_SEEDS: u64 = 10_000;

#[tokio::test]
async fn whatever_goes_wrong_the_promises_hold() {
    if let Some(seed) = number("SEED") {
        match run::run(seed) {
            Ok(report) => println!("{report}"),
            Err(story) => panic!("seed {seed}:\n{story}"),
        }
        return;
    }
    let usual = if tests::full() { FULL_SEEDS } else { SEEDS };
    let seeds = number("SEEDS").unwrap_or(usual);
    println!("seeds 0 to {}", seeds - 1);
    let mut running = stream::iter(0..seeds)
        .map(async |seed| (seed, in_its_own_process(seed).await))
        .buffer_unordered(thread::available_parallelism().unwrap().get());
    let mut failed = Vec::new();
    while let Some((seed, ended)) = running.next().await {
        if let Err(story) = ended {
            println!("SEED={seed} fails:\n{story}");
            failed.push(seed);
            if env::var_os("FIRST").is_some() {
                break;
            }
        }
    }
    assert!(failed.is_empty(), "of {seeds} seeds these fail: {failed:?}");
}

#[tokio::test]
async fn a_seed_replays_exactly() {
    // Two short worlds, and a long one with clocks that jump.
    for seed in [1, 2, 9] {
        let first = in_its_own_process(seed).await.unwrap();
        let again = in_its_own_process(seed).await.unwrap();
        assert_eq!(first, again, "seed {seed}");
    }
}

/// Runs one seed in a process of its own; what it printed.
async fn in_its_own_process(seed: u64) -> Result<String, String> {
    let child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "whatever_goes_wrong_the_promises_hold",
            "--nocapture",
        ])
        .env("SEED", seed.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = child.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        // Without the test harness's own lines, which tell how long it took.
        let is_ours = |line: &&str| line.starts_with("run ");
        return Ok(text.lines().filter(is_ours).collect());
    }
    Err(text + &String::from_utf8_lossy(&output.stderr))
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap())
}
