//! GONE: what was redacted is in no answer at once, and in no file once its page was put, the log
//! trimmed, and, where dead copies may lie about, `parlor doctor scrub` has run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, process::Stdio, time::Duration};

use broker::testing::NatsServer;
use serde_json::json;
use tests::{Browser, Parlor, eventually, nats, process};
use tokio::time::Instant;

/// After so long three servers have compacted what they ever will.
const SETTLED: Duration = Duration::from_secs(300);
/// How long three servers may take to be done with what their restart began.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A text that is nowhere by chance.
fn secret(name: &str) -> String {
    format!("{name}-{:016x}-secret", rand::random::<u64>())
}

/// Whether a file below the folder holds the text.
fn holds(folder: &Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        // A file may go while it is looked at; then it holds nothing.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

async fn gone(folder: &Path, text: &str, what: &str) {
    eventually(what, || async { (!holds(folder, text)).then_some(()) }).await;
}

async fn redact(service: &Parlor, room: &str, seq: u64) {
    let server = service.address("admin").await.to_string();
    let output = process::command()
        .args(["messages", "redact", room, &seq.to_string()])
        .args(["--server", &server, "--output", "json"])
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["name"], format!("rooms/{room}/messages/{seq}"));
}

/// Fills a page around the secret, so that it is put once, under its own key.
async fn say_in_a_full_page(ann: &mut Browser, secret: &str) {
    for n in 1..=64 {
        let text = if n == 7 { secret } else { "x" };
        ann.send("lobby", &format!("c{n}"), text).await;
    }
}

/// Redacts it; everybody sees the deletion, and no answer holds the text.
async fn redact_and_look(service: &Parlor, ann: &mut Browser, secret: &str) {
    redact(service, "lobby", 7).await;
    let deletion = ann
        .find("the deletion", |frame| frame["kind"] == "delete")
        .await;
    assert_eq!(deletion["target"], 7);
    assert_eq!(deletion["from"]["role"], "operator");
    ann.say(json!({"op": "history", "id": 1, "room": "lobby", "around": 7, "limit": 20}))
        .await;
    let history = ann.expect("history").await;
    assert!(!history.to_string().contains(secret), "{history}");
    assert_eq!(history["events"][6]["deleted"], true, "{history}");
    // The retry of what was redacted is the repeat that it is, whatever its body.
    let ack = ann.send("lobby", "c7", "something else").await;
    assert_eq!((&ack["seq"], &ack["dup"]), (&json!(7), &json!(true)));
}

#[tokio::test]
async fn redacted_text_leaves_the_embedded_folder() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--limits", "off"]).await;
    let mut ann = Browser::enter(parlor.address("http").await, "Ann", &["lobby"]).await;
    let secret = secret("embedded");
    say_in_a_full_page(&mut ann, &secret).await;
    assert!(holds(dir.path(), &secret));
    redact_and_look(&parlor, &mut ann, &secret).await;
    gone(dir.path(), &secret, "the text leaves the folder").await;
    parlor.terminate().await;
    assert!(!holds(dir.path(), &secret));
}

#[tokio::test]
async fn redacted_text_leaves_the_files_of_nats() {
    let nats = NatsServer::start().await;
    let service = Parlor::room_service(&nats.url(), &["--limits", "off"]);
    let gateway = Parlor::gateway(&nats.url(), &["--limits", "off"]);
    service.ready().await;
    gateway.ready().await;
    let mut ann = Browser::enter(gateway.address("http").await, "Ann", &["lobby"]).await;
    let secret = secret("nats");
    say_in_a_full_page(&mut ann, &secret).await;
    assert!(holds(nats.store(), &secret));
    redact_and_look(&service, &mut ann, &secret).await;
    gone(nats.store(), &secret, "the text leaves the store").await;
}

#[tokio::test]
async fn scrubbing_leaves_nothing_of_a_text_whose_page_was_put_often() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start().await;
    let embedded = Parlor::serve(dir.path(), &["--limits", "off"]).await;
    let service = Parlor::room_service(&nats.url(), &["--limits", "off"]);
    let gateway = Parlor::gateway(&nats.url(), &["--limits", "off"]);
    service.ready().await;
    gateway.ready().await;
    let secret = secret("often");
    for (admin, http) in [(&embedded, &embedded), (&service, &gateway)] {
        let mut ann = Browser::enter(http.address("http").await, "Ann", &["lobby"]).await;
        // A message that is said again and again in other words: each put has one of them.
        ann.send("lobby", "c", &secret).await;
        for n in 0..40 {
            let text = format!("{secret} {n}");
            let frame = json!({
                "op": "edit", "room": "lobby", "cid": format!("e{n}"), "target": 1, "text": text,
            });
            ann.say(frame).await;
            let cid = format!("e{n}");
            let ack = ann
                .find("an ack", |f| f["op"] == "ack" && f["cid"] == cid)
                .await;
            assert!(ack["seq"].is_u64());
        }
        redact(admin, "lobby", 1).await;
    }
    // The folder has one user: the service ends first. Beside NATS it may go on.
    embedded.terminate().await;
    let folder = dir.path().to_str().unwrap();
    for at in [["--data-dir", folder], ["--nats", &nats.url()]] {
        let output = process::command()
            .args(["doctor", "scrub"])
            .args(at)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}");
        assert_eq!(output.stdout, b"scrubbed 5 partitions\n");
    }
    assert!(!holds(dir.path(), &secret), "the folder still holds it");
    gone(nats.store(), &secret, "the text leaves the store").await;
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let http = [parlor.address("http").await, gateway.address("http").await];
    for http in http {
        let mut bo = Browser::connect(http).await;
        bo.say(json!({"op": "hello", "rooms": {"lobby": null}}))
            .await;
        let joined = bo.expect("joined").await;
        assert_eq!(joined["head"], 42, "{joined}");
        assert!(!joined.to_string().contains(&secret));
    }
}

/// Waits for what only time brings: nats-server compacts the consensus log of a stream every 2 to 3 minutes,
/// and when it ends in good order, which is sooner. One that starts may be sent the text once more by another
/// that has not compacted yet, so all of them do it again after a while. How long it took.
async fn settle(servers: &mut [NatsServer], text: &str) -> Duration {
    let began = Instant::now();
    let mut next_round = began;
    loop {
        if !tests::full() && next_round <= Instant::now() {
            for server in &mut *servers {
                server.stop().await;
                server.restart().await;
            }
            next_round = Instant::now() + AGAIN_AFTER;
        }
        if !servers.iter().any(|server| holds(server.store(), text)) {
            return began.elapsed();
        }
        assert!(began.elapsed() < SETTLED, "a store still holds the text");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn scrubbing_leaves_nothing_in_three_stores_once_they_are_settled() {
    let dir = tempfile::tempdir().unwrap();
    let (mut servers, url) = nats::cluster(dir.path()).await;
    let of_service = nats::credentials(dir.path(), "room-service", nats::ROOM_SERVICE);
    let of_gateway = nats::credentials(dir.path(), "gateway", nats::GATEWAY);
    let replicated = ["--nats-creds", &of_service, "--nats-replicas", "3"];
    let mut flags = vec!["--limits", "off"];
    flags.extend(replicated);
    let service = Parlor::room_service(&url, &flags);
    let gateway = Parlor::gateway(&url, &["--limits", "off", "--nats-creds", &of_gateway]);
    service.ready().await;
    gateway.ready().await;
    let mut ann = Browser::enter(gateway.address("http").await, "Ann", &["lobby"]).await;
    let secret = secret("three");
    say_in_a_full_page(&mut ann, &secret).await;
    for server in &servers {
        eventually("each server has it", async || {
            holds(server.store(), &secret).then_some(())
        })
        .await;
    }
    redact_and_look(&service, &mut ann, &secret).await;
    let output = process::command()
        .args(["doctor", "scrub", "--nats", &url])
        .args(replicated)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert_eq!(output.stdout, b"scrubbed 5 partitions\n");
    let after = settle(&mut servers, &secret).await;
    println!("in no file of three stores {after:?} after the scrub");
}
