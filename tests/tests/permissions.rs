//! The NATS configurations that the manifests mount: exchanges under their permissions, with one server and
//! with three, and wrong credentials.

use broker::testing::NatsServer;
use tests::{
    Browser, Parlor,
    nats::{GATEWAY, ROOM_SERVICE, cluster, configuration, credentials},
};

async fn server() -> NatsServer {
    let env = [
        ("GATEWAY_PASSWORD", GATEWAY),
        ("ROOM_SERVICE_PASSWORD", ROOM_SERVICE),
    ];
    NatsServer::start_with(&configuration(), &env).await
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
    nothing_denied(gateways.iter().chain([&service]));
}

fn nothing_denied<'a>(processes: impl Iterator<Item = &'a Parlor>) {
    for process in processes {
        let mut lines = process.stderr().into_iter();
        assert_eq!(lines.find(|line| line.contains("ermissions")), None);
    }
}

#[tokio::test]
async fn three_room_services_share_three_servers_and_stand_the_loss_of_one_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let (mut servers, url) = cluster(dir.path()).await;
    let of_service = credentials(dir.path(), "room-service", ROOM_SERVICE);
    let of_gateway = credentials(dir.path(), "gateway", GATEWAY);
    let off = ["--limits", "off"];
    let replicated = ["--nats-replicas", "3", "--nats-creds", &of_service];
    let replicated = [&off[..], &replicated].concat();
    let mut services: Vec<_> = (0..3)
        .map(|_| Parlor::room_service(&url, &replicated))
        .collect();
    let of_gateway = [&off[..], &["--nats-creds", &of_gateway]].concat();
    let gateways = [(); 2].map(|()| Parlor::gateway(&url, &of_gateway));
    for process in services.iter().chain(&gateways) {
        process.ready().await;
    }
    let rooms: Vec<_> = (0..8).map(|n| format!("room-{n}")).collect();
    let rooms: Vec<_> = rooms.iter().map(String::as_str).collect();
    let mut ann = Browser::enter(gateways[0].address("http").await, "Ann", &rooms).await;
    let mut bo = Browser::enter(gateways[1].address("http").await, "Bo", &rooms).await;
    let mut everywhere = async |seq: u64| {
        for room in &rooms {
            let answer = ann.send(room, &format!("c{seq}"), "hi").await;
            assert_eq!(answer["seq"], seq, "{answer}");
            assert_eq!(bo.events(room, 1).await[0]["seq"], seq);
        }
    };
    everywhere(1).await;
    services.remove(0).kill().await;
    everywhere(2).await;
    servers[0].kill().await;
    everywhere(3).await;
    nothing_denied(services.iter().chain(&gateways));
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
