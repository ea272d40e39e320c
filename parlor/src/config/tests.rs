use std::{fs, time::Duration};

use super::*;

fn parse(args: &[&str]) -> Result<Verb, Failure> {
    let args = std::iter::once("parlor")
        .chain(args.iter().copied())
        .map(OsString::from);
    super::parse(args, [])
}

fn plan(args: &[&str]) -> Result<Plan, String> {
    let plan = match parse(args) {
        Ok(Verb::Serve(args)) => Plan::serve(args),
        Ok(Verb::Gateway(args)) => Plan::gateway(args),
        Ok(Verb::RoomService(args)) => Plan::room_service(args),
        Ok(Verb::Rooms(_) | Verb::Messages(_) | Verb::Doctor(_)) => {
            panic!("{args:?} serves nothing")
        }
        Err(Failure::Config(error)) => Err(error),
        Err(failure) => panic!("{args:?}: {failure:?}"),
    };
    plan.map_err(|error| format!("{error:#}"))
}

#[test]
fn nothing_at_all_serves_with_the_defaults() {
    let plan = plan(&[]).unwrap();
    assert_eq!(plan.service, "parlor");
    assert_eq!(plan.broker, BrokerChoice::Embedded("./parlor-data".into()));
    assert_eq!(
        plan.metrics.address(),
        Some("127.0.0.1:9091".parse().unwrap())
    );
    let gateway = plan.gateway.unwrap();
    assert_eq!(gateway.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(gateway.limits, proto::Limits::default());
    assert!(gateway.guests && gateway.allowed_origins.is_empty());
    assert_eq!(gateway.trusted_proxies.len(), 2);
    assert_eq!(gateway.time_zone, chrono_tz::UTC);
    assert_eq!(gateway.drain.delay, Duration::ZERO);
    assert_eq!(gateway.drain.window, Duration::from_secs(10));
    assert_eq!(gateway.drain.deadline, Duration::from_secs(25));
    let rooms = plan.rooms.unwrap();
    assert!(rooms.alone && rooms.auto_create);
    assert_eq!(
        (rooms.partitions, rooms.default_partitions.get()),
        (None, 32)
    );
    let admin = rooms.admin.unwrap();
    assert_eq!(
        (admin.listen, admin.token),
        ("127.0.0.1:9090".parse().unwrap(), None)
    );
    assert!(
        matches!(&plan.remarks[..], [Remark::Info(words)] if words.contains("--admin-token-file"))
    );
}

#[test]
fn the_word_serve_makes_no_difference() {
    for args in [
        &["--listen", "127.0.0.1:0"][..],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        assert_eq!(plan(args).unwrap().gateway.unwrap().listen.port(), 0);
    }
}

#[test]
fn each_command_has_its_parts() {
    let nats = ["--nats", "nats://127.0.0.1:4222"];
    let all = plan(&nats).unwrap();
    assert!(all.gateway.is_some() && !all.rooms.unwrap().alone && all.role == "serve");
    let gateway = plan(&["gateway", nats[0], nats[1]]).unwrap();
    assert!(gateway.rooms.is_none() && gateway.role == "gateway");
    assert_eq!(gateway.gateway.unwrap().gateway_id, gateway.id);
    let rooms = plan(&["room-service", nats[0], nats[1], "--nats-replicas", "3"]).unwrap();
    assert!(rooms.gateway.is_none() && rooms.service == "parlor-room-service");
    assert_eq!(rooms.rooms.unwrap().default_partitions.get(), 128);
    assert!(plan(&["gateway"]).unwrap_err().contains("--nats"));
}

#[test]
fn flags_reach_what_they_are_for() {
    let plan = plan(&[
        "--admin-listen=off",
        "--metrics-listen=off",
        "--allowed-origins=https://a.example,https://b.example:8443",
        "--trusted-proxies=10.0.0.0/8,192.0.2.1",
        "--time-zone=Asia/Shanghai",
        "--guests=off",
        "--auto-create=off",
        "--limits=off",
        "--limit-text=100",
        "--partitions=4",
        "--listen=0.0.0.0:8080",
        "--drain-window=500ms",
        "--replica-id=a-1",
    ])
    .unwrap();
    let (gateway, rooms) = (plan.gateway.unwrap(), plan.rooms.unwrap());
    assert!(rooms.admin.is_none() && plan.metrics.address().is_none());
    assert_eq!(gateway.allowed_origins.len(), 2);
    assert_eq!(gateway.trusted_proxies[1], "192.0.2.1/32".parse().unwrap());
    assert_eq!(gateway.time_zone, chrono_tz::Asia::Shanghai);
    assert!(!gateway.guests && !rooms.auto_create);
    assert!(!gateway.limits.rates && gateway.limits.text == 100);
    assert_eq!(rooms.limits, gateway.limits);
    assert_eq!(rooms.partitions.unwrap().get(), 4);
    assert_eq!(gateway.drain.delay, Duration::from_secs(5));
    assert_eq!(gateway.drain.window, Duration::from_millis(500));
    assert_eq!(
        (gateway.gateway_id.as_str(), rooms.replica_id.as_str()),
        ("a-1", "a-1")
    );
    assert!(matches!(&plan.remarks[..], [Remark::Warn(words)] if words.contains("--limits off")));
}

#[test]
fn a_wrong_value_names_flag_value_and_what_is_expected() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--listen", "off"],
            &["--listen", "'off'", "expected an IP address and a port"],
        ),
        (
            &["--listen", "nowhere"],
            &["--listen", "'nowhere'", "expected"],
        ),
        (
            &["--admin-listen", "9090"],
            &["--admin-listen", "'9090'", "expected", "off"],
        ),
        (
            &["--partitions", "0"],
            &["--partitions", "'0'", "from 1 to 1024"],
        ),
        (&["--limits", "maybe"], &["--limits", "'maybe'", "on, off"]),
        (
            &["--limit-text", "0"],
            &[
                "--limit-text",
                "'0'",
                "expected a whole number from 1 to 2500",
            ],
        ),
        (
            &["--limit-text", "x"],
            &[
                "--limit-text",
                "'x'",
                "expected a whole number from 1 to 2500",
            ],
        ),
        (
            &["--limit-new-rooms-per-hour", "0"],
            &["--limit-new-rooms-per-hour", "'0'", "from 1 to 1000000"],
        ),
        (
            &["rooms", "list", "--page-size", "x"],
            &[
                "--page-size",
                "'x'",
                "expected a whole number from 1 to 1000",
            ],
        ),
        (
            &["--partitions", "x"],
            &[
                "--partitions",
                "'x'",
                "expected a number of partitions from 1",
            ],
        ),
        (
            &["--time-zone", "Mars/Base"],
            &["--time-zone", "Mars/Base", "Europe/Berlin"],
        ),
        (
            &["--drain-window", "5"],
            &["--drain-window", "'5'", "500ms"],
        ),
        (
            &["--trusted-proxies", "10.0.0.0/99"],
            &["--trusted-proxies", "10.0.0.0/99", "10.0.0.0/8"],
        ),
        (
            &["--allowed-origins", "evil"],
            &["--allowed-origins", "evil"],
        ),
        (
            &["--nats-prefix", "a.b"],
            &["--nats-prefix", "a.b", "expected"],
        ),
        (
            &["--nats-replicas", "2"],
            &["--nats-replicas", "'2'", "1 or 3"],
        ),
        (
            &["--nats", "http://x"],
            &["--nats", "http://x", "nats://host:port"],
        ),
        (
            &["--log", "parlor=loud"],
            &["--log", "parlor=loud", "expected"],
        ),
        (
            &["--log-format", "xml"],
            &["--log-format", "'xml'", "text, json"],
        ),
        (
            &["--otlp-endpoint", "collector:4317"],
            &["--otlp-endpoint", "http://host:port"],
        ),
        (&["--auth", "jwt"], &["--auth", "'jwt'", "guest"]),
        (
            &["--replica-id", "a.b"],
            &["--replica-id", "'a.b'", "expected"],
        ),
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--listen"], &["--listen", "value"]),
        (&["gossip"], &["gossip"]),
        (&["rooms"], &["rooms", "list", "get"]),
        (&["rooms", "get"], &["<ROOM>"]),
        (&["gateway", "--data-dir", "x"], &["--data-dir"]),
    ];
    for (args, words) in cases {
        let line = plan(args).unwrap_err();
        assert!(!line.contains('\n'), "{args:?}: {line}");
        for word in *words {
            assert!(
                line.contains(word),
                "{args:?} does not say {word:?}: {line}"
            );
        }
    }
}

#[test]
fn an_open_admin_port_needs_a_token_or_a_word() {
    let open = ["--admin-listen", "0.0.0.0:9090"];
    let line = plan(&open).unwrap_err();
    assert!(line.contains("--admin-listen 0.0.0.0:9090") && line.contains("--admin-token-file"));

    let insecure = plan(&[&open[..], &["--admin-insecure"]].concat()).unwrap();
    assert!(
        matches!(&insecure.remarks[..], [Remark::Warn(words)] if words.contains("--admin-insecure"))
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let path = file.to_str().unwrap();
    let with_file = [&open[..], &["--admin-token-file", path]].concat();
    assert!(plan(&with_file).unwrap_err().contains(path), "not there");
    // The last is the example's, which everybody can read.
    for bad in [
        "",
        "short\n",
        "with a space in its midst\n",
        "changeMeAdminToken\n",
    ] {
        fs::write(&file, bad).unwrap();
        let line = plan(&with_file).unwrap_err();
        assert!(
            line.contains(path) && line.contains("--admin-token-file"),
            "{bad:?}: {line}"
        );
    }
    fs::write(&file, "0123456789abcdef\n").unwrap();
    let plan = plan(&with_file).unwrap();
    let admin = plan.rooms.unwrap().admin.unwrap();
    assert_eq!(admin.token.as_deref(), Some("0123456789abcdef"));
    assert_eq!(plan.remarks, []);
}

#[test]
fn help_and_version_are_asked_for_not_failures() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["gateway", "--help"],
        &["rooms", "get", "-h"],
    ] {
        assert!(matches!(parse(args), Err(Failure::Asked(text)) if text.contains("parlor")));
    }
}
