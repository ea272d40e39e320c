//! What an idle connection costs in our memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use tests::{Browser, Parlor};

const CONNECTIONS: u64 = 2_000;
/// Resident memory per idle connection that is in a room.
const MOST_KIB: u64 = 16;

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_idle_connection_takes_at_most_16_kib() {
    // Ours are as many descriptors as the process's that is measured, which raises its own limit.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(
        descriptors > CONNECTIONS + 100,
        "{CONNECTIONS} connections need more file descriptors than the hard limit, {descriptors}: \
         raise it (ulimit -Hn)"
    );
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--limits", "off"]).await;
    let gateway = parlor.address("http").await;
    let mut warm = Browser::enter(gateway, "Ann", &["lobby"]).await;
    warm.send("lobby", "c", "hi").await;
    let before = resident_kib(parlor.pid());
    let mut browsers = Vec::new();
    for _ in 0..CONNECTIONS {
        browsers.push(Browser::enter(gateway, "Idle", &["lobby"]).await);
    }
    warm.settle().await;
    let grown = resident_kib(parlor.pid()) - before;
    println!(
        "{} B per idle connection of {CONNECTIONS}",
        grown * 1024 / CONNECTIONS
    );
    assert!(
        grown <= MOST_KIB * CONNECTIONS,
        "{grown} KiB for {CONNECTIONS} connections"
    );
}
