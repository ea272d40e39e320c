//! The NATS configuration that the manifests mount: one exchange under its permissions, and wrong
//! credentials.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use broker::testing::NatsServer;
use tests::{Browser, Parlor};

const GATEWAY: &str = "gatewaysecretofthetest";
const ROOM_SERVICE: &str = "roomservicesecretofthetest";

fn configuration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats/nats.conf")
}

async fn server() -> NatsServer {
    let env = [
        ("GATEWAY_PASSWORD", GATEWAY),
        ("ROOM_SERVICE_PASSWORD", ROOM_SERVICE),
    ];
    NatsServer::start_with(&configuration(), &env).await
}

fn credentials(dir: &Path, user: &str, password: &str) -> String {
    let file = dir.join(format!("{user}.creds"));
    std::fs::write(&file, format!("{user}:{password}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_gateways_and_a_room_service_need_no_more_than_they_are_allowed() {
    let nats = server().await;
    let dir = tempfile::tempdir().unwrap();
    let of_service = credentials(dir.path(), "room-service", ROOM_SERVICE);
    let of_gateway = credentials(dir.path(), "gateway", GATEWAY);
    let service = Parlor::room_service(&nats.url(), &["--nats-creds", &of_service]);
    let gateways = [
        Parlor::gateway(&nats.url(), &["--nats-creds", &of_gateway]),
        Parlor::gateway(&nats.url(), &["--nats-creds", &of_gateway]),
    ];
    service.ready().await;
    let mut browsers = Vec::new();
    for gateway in &gateways {
        gateway.ready().await;
        browsers.push(Browser::enter(gateway.address("http").await, "Ann", &["室"]).await);
    }
    assert_eq!(browsers[0].send("室", "c1", "hi").await["seq"], 1);
    browsers[0]
        .say(serde_json::json!({"op": "nick", "nick": "Anna"}))
        .await;
    for browser in &mut browsers {
        assert_eq!(browser.events("室", 1).await[0]["text"], "hi");
        assert_eq!(browser.expect("user").await["nick"], "Anna");
    }
    for process in gateways.iter().chain([&service]) {
        let denied = process
            .stderr()
            .into_iter()
            .find(|line| line.contains("ermissions"));
        assert_eq!(denied, None);
    }
}

#[tokio::test]
async fn wrong_credentials_end_a_process_with_words() {
    let nats = server().await;
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none").to_str().unwrap().to_owned();
    let empty = credentials(dir.path(), "", "");
    for (verb, user) in [
        ("gateway", "gateway"),
        ("room-service", "room-service"),
        ("serve", "room-service"),
    ] {
        let wrong = credentials(dir.path(), user, "not-the-password-of-this-user");
        for (file, code, word) in [
            (&wrong, 1, "refuses our credentials"),
            (&missing, 2, missing.as_str()),
            (&empty, 2, empty.as_str()),
        ] {
            let mut args = vec![verb, "--nats-creds", file, "--metrics-listen", "off"];
            let url = nats.url();
            args.extend(["--nats", &url]);
            if verb != "room-service" {
                args.extend(["--listen", "127.0.0.1:0"]);
            }
            if verb != "gateway" {
                args.extend(["--admin-listen", "off"]);
            }
            let process = Parlor::spawn(&args, &[]);
            let line = |line: &str| line.contains(word) && line.contains("--nats-creds");
            process.line(word, line).await;
            assert_eq!(process.end().await.code(), Some(code), "{verb} {word}");
        }
    }
}
