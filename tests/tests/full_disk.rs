//! A data folder on a disk without space. What stands in for it is the system's limit on the size of a
//! file: with its signal ignored, a write beyond it fails like one to a full disk, and the limit of a
//! running process can be lifted.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, time::Duration};

use serde_json::Value;
use tests::{Browser, PATIENCE, Parlor, http::get, process};
use tokio::{process::Command, time::Instant};

/// `parlor serve` whose files may have this size.
fn serve(dir: &Path, most_kib: u64) -> Command {
    let mut command = process::command_of("/bin/sh".as_ref());
    // In blocks of 512 bytes.
    let limited = format!(
        "trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"",
        most_kib * 2
    );
    command.arg("-c").arg(limited).arg(process::binary());
    command.args([
        "serve",
        "--partitions",
        "4",
        "--limits",
        "off",
        "--data-dir",
    ]);
    command.arg(dir);
    for listen in ["--listen", "--admin-listen", "--metrics-listen"] {
        command.args([listen, "127.0.0.1:0"]);
    }
    command
}

fn lift(parlor: &Parlor) {
    let pid = i32::try_from(parlor.pid()).unwrap();
    let unlimited = Some((rlimit::INFINITY, rlimit::INFINITY));
    rlimit::prlimit(pid, rlimit::Resource::FSIZE, unlimited, None).unwrap();
}

fn is_unavailable(answer: &Value) -> bool {
    answer["op"] == "error" && answer["code"] == "UNAVAILABLE" && answer["retry_after_ms"].is_u64()
}

#[tokio::test]
async fn sends_wait_for_space_and_nothing_acked_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::run(serve(dir.path(), 4 * 1024));
    parlor.ready().await;
    let mut ann = Browser::enter(parlor.address("http").await, "Ann", &["lobby"]).await;
    let long = "字".repeat(2_000);
    let mut acked = 0;
    let refused = loop {
        let answer = ann.send("lobby", &format!("c{acked}"), &long).await;
        if answer["op"] == "error" {
            break answer;
        }
        acked += 1;
        assert!(
            acked < 5_000,
            "files of 4 MiB took {acked} messages of 6 kB"
        );
    };
    assert!(acked > 0 && is_unavailable(&refused), "{acked}: {refused}");
    let metrics = parlor.address("metrics").await;
    assert!(get(metrics, "/healthz").await.starts_with("HTTP/1.1 200"));
    let again = ann.send("lobby", &format!("c{acked}"), &long).await;
    assert!(is_unavailable(&again), "{again}");

    lift(&parlor);
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        let answer = ann.send("lobby", &format!("c{acked}"), &long).await;
        if !is_unavailable(&answer) {
            break answer;
        }
        assert!(Instant::now() < deadline, "still {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(answer["seq"], acked + 1, "{answer}");
    parlor.kill().await;

    let parlor = Parlor::serve(dir.path(), &[]).await;
    let mut bo = Browser::enter(parlor.address("http").await, "Bo", &[]).await;
    bo.say(serde_json::json!({"op": "join", "room": "lobby"}))
        .await;
    let joined = bo.expect("joined").await;
    assert_eq!(joined["head"], acked + 1, "{}", joined["head"]);
}

#[tokio::test]
async fn a_start_without_space_names_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let output = serve(dir.path(), 4).output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .unwrap()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let folder = dir.path().to_str().unwrap();
    assert!(
        stderr.contains(folder) && stderr.contains("free space") && stderr.contains("--data-dir"),
        "{stderr}"
    );
    // With space it starts, on whatever the failed start has left.
    Parlor::serve(dir.path(), &[]).await;
}
