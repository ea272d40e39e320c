//! Starts that cannot succeed, and brokers that are not as they must be: words for a person, an exit
//! code, nothing broken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use broker::testing::NatsServer;
use nix::unistd::{Uid, mkfifo};
use tests::{Parlor, eventually, http::get, process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

/// Runs `parlor` to its end: exit code and stderr.
async fn fail(args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let mut command = process::command();
    command.args(args).envs(env.iter().copied());
    end(command).await
}

async fn end(mut command: Command) -> (i32, String) {
    let output = tokio::time::timeout(tests::PATIENCE, command.output())
        .await
        .expect("it ends")
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code().unwrap_or(-1), stderr)
}

const LISTEN: [&str; 6] = [
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "off",
    "--metrics-listen",
    "off",
];

/// `parlor serve` in this folder, listening anywhere.
fn serve(folder: &Path) -> Vec<&str> {
    let folder = folder.to_str().expect("temporary folders have plain names");
    [&["serve", "--data-dir", folder][..], &LISTEN].concat()
}

#[tokio::test]
async fn wrong_values_name_the_flag_the_value_and_what_is_expected() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--listen", "nowhere"], &["--listen", "nowhere"]),
        (&["--partitions", "0"], &["--partitions", "0", "1"]),
        (&["--limits", "maybe"], &["--limits", "maybe", "on", "off"]),
        (&["--time-zone", "Mars/Base"], &["--time-zone", "Mars/Base"]),
        (&["--drain-window", "soon"], &["--drain-window", "soon"]),
        (
            &["--trusted-proxies", "10.0.0.0/99"],
            &["--trusted-proxies", "10.0.0.0/99"],
        ),
        (
            &["--allowed-origins", "evil"],
            &["--allowed-origins", "evil"],
        ),
        (&["--nats-prefix", "a.b"], &["--nats-prefix", "a.b"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ];
    for (args, words) in cases {
        let (code, stderr) = fail(args, &[]).await;
        assert_eq!(code, 2, "{args:?}: {stderr}");
        for word in *words {
            assert!(
                stderr.contains(word),
                "{args:?} does not say {word}: {stderr}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_keys_in_the_environment_are_errors_but_kubernetes_links() {
    let (code, stderr) = fail(&["serve"], &[("PARLOR_LISTEM", "127.0.0.1:0")]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("PARLOR_LISTEM") && stderr.contains("PARLOR_LISTEN"),
        "{stderr}"
    );
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("PARLOR_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("PARLOR_GATEWAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PARLOR_DATA_DIR", dir.path().to_str().unwrap()),
        ("PARLOR_LISTEN", "127.0.0.1:0"),
        ("PARLOR_ADMIN_LISTEN", "off"),
        ("PARLOR_METRICS_LISTEN", "off"),
        ("PARLOR_PARTITIONS", "2"),
    ];
    Parlor::spawn(&["serve"], &env).ready().await;
}

#[tokio::test]
async fn a_doctor_that_finds_nothing_says_so_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let folder = missing.to_str().unwrap();
    for work in ["scrub", "restore"] {
        let (code, stderr) = fail(&["doctor", work, "--data-dir", folder], &[]).await;
        assert_eq!(code, 1, "{stderr}");
        let said = stderr.contains(folder) && stderr.contains("nothing was ever stored");
        assert!(said, "{stderr}");
        assert!(!missing.exists(), "{work} made the folder");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin-listen", "--metrics-listen"] {
        let dir = tempfile::tempdir().unwrap();
        let mut args = vec!["serve", "--data-dir", dir.path().to_str().unwrap()];
        for other in ["--listen", "--admin-listen", "--metrics-listen"] {
            args.extend([
                other,
                if other == flag {
                    &address
                } else {
                    "127.0.0.1:0"
                },
            ]);
        }
        let (code, stderr) = fail(&args, &[]).await;
        assert_eq!(code, 1, "{stderr}");
        assert!(
            stderr.contains(&address) && stderr.contains(flag),
            "{flag}: {stderr}"
        );
    }
}

#[tokio::test]
async fn a_data_folder_that_is_locked_or_no_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let _holder = Parlor::serve(dir.path(), &[]).await;
    let folder = dir.path().to_str().unwrap();
    let (code, stderr) = fail(&serve(dir.path()), &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains(folder) && stderr.contains("another"),
        "{stderr}"
    );

    // Nobody, not even root, makes folders there.
    let (code, stderr) = fail(&serve("/proc/parlor".as_ref()), &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("/proc/parlor") && stderr.contains("--data-dir"),
        "{stderr}"
    );

    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    let (code, stderr) = fail(&serve(&file), &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(file.to_str().unwrap()), "{stderr}");
}

#[tokio::test]
async fn a_data_folder_that_may_not_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let (empty, used) = (dir.path().join("empty"), dir.path().join("used"));
    fs::create_dir(&empty).unwrap();
    Parlor::serve(&used, &[]).await.terminate().await;
    for file in fs::read_dir(&used).unwrap() {
        fs::set_permissions(file.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
    }
    for folder in [&empty, &used] {
        fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
        let mut command = unprivileged(dir.path());
        command.args(serve(folder));
        let (code, stderr) = end(command).await;
        assert_eq!(code, 1, "{stderr}");
        let named = stderr.contains(folder.to_str().unwrap()) && stderr.contains("--data-dir");
        assert!(named && stderr.contains("ermission denied"), "{stderr}");
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    // What was there is as it was.
    for file in fs::read_dir(&used).unwrap() {
        fs::set_permissions(file.unwrap().path(), Permissions::from_mode(0o644)).unwrap();
    }
    Parlor::serve(&used, &[]).await;
}

/// `parlor` for somebody whom permissions stop: ourselves, or nobody when we are root. Root's own folders
/// may be closed to nobody, so `dir` gets a copy.
fn unprivileged(dir: &Path) -> Command {
    const NOBODY: u32 = 65_534;
    if !Uid::effective().is_root() {
        return process::command();
    }
    let copy = dir.join("parlor");
    if !copy.exists() {
        fs::copy(process::binary(), &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = process::command_of(&copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command
}

#[tokio::test]
async fn while_the_data_folder_opens_probes_are_answered_and_sigterm_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    // Opening a pipe that nobody reads from takes for ever, like a repair or a disk that hangs.
    mkfifo(
        &dir.path().join("parlor.lock"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    let folder = dir.path().to_str().unwrap();
    let args = ["serve", "--data-dir", folder, "--listen", "127.0.0.1:0"];
    let ports = ["--admin-listen", "off", "--metrics-listen", "127.0.0.1:0"];
    let parlor = Parlor::spawn(&[&args[..], &ports].concat(), &[]);
    let metrics = parlor.address("metrics").await;
    assert!(get(metrics, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(metrics, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get(metrics, "/metrics").await.contains("parlor_build_info"));
    assert!(parlor.terminate().await.success());
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Parlor::serve(dir.path(), &[]).await.terminate().await;
    let args = [serve(dir.path()), vec!["--partitions", "8"]].concat();
    let (code, stderr) = fail(&args, &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("--partitions 8") && stderr.contains("--partitions 4"),
        "{stderr}"
    );
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_on_nats_too() {
    let nats = NatsServer::start().await;
    let service = Parlor::room_service(&nats.url(), &[]);
    service.ready().await;
    service.terminate().await;
    let url = nats.url();
    for verb in ["room-service", "serve"] {
        let args = [verb, "--nats", &url, "--partitions", "8"];
        let ports: &[&str] = match verb {
            "serve" => &LISTEN,
            _ => &LISTEN[2..],
        };
        let (code, stderr) = fail(&[&args[..], ports].concat(), &[]).await;
        assert_eq!(code, 1, "{verb}: {stderr}");
        assert!(
            stderr.contains("--partitions 8") && stderr.contains("--partitions 4"),
            "{verb}: {stderr}"
        );
    }
    // Without the flag the number is the stored one.
    let args = ["room-service", "--nats", &url];
    let service = Parlor::spawn(&[&args[..], &LISTEN[2..]].concat(), &[]);
    service.ready().await;
}

#[tokio::test]
async fn a_nats_that_is_too_old_ends_each_process_with_both_versions() {
    let url = pretend_nats("2.11.9").await;
    for (verb, ports) in [
        ("gateway", &[LISTEN[0], LISTEN[1], LISTEN[4], LISTEN[5]][..]),
        ("room-service", &LISTEN[2..]),
        ("serve", &LISTEN),
    ] {
        let (code, stderr) = fail(&[&[verb, "--nats", &url], ports].concat(), &[]).await;
        assert_eq!(code, 1, "{verb}: {stderr}");
        assert!(
            stderr.contains("2.11.9 is too old") && stderr.contains("2.12.1"),
            "{verb}: {stderr}"
        );
    }
}

/// A server of this version, as far as a client can see.
async fn pretend_nats(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (from, mut to) = stream.into_split();
                let info = format!(
                    "INFO {{\"server_id\":\"old\",\"version\":\"{version}\",\
                     \"max_payload\":1048576,\"headers\":true,\"jetstream\":true}}\r\n"
                );
                to.write_all(info.as_bytes()).await?;
                let mut lines = BufReader::new(from).lines();
                while let Some(line) = lines.next_line().await? {
                    if line.starts_with("PING") {
                        to.write_all(b"PONG\r\n").await?;
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    url
}

#[tokio::test]
async fn an_open_admin_port_needs_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let args = [
        "serve",
        "--data-dir",
        folder,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
    ];
    let (code, stderr) = fail(&[&args[..], &["0.0.0.0:0"]].concat(), &[]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("--admin-token-file") && stderr.contains("--admin-listen"),
        "{stderr}"
    );
}

#[tokio::test]
async fn an_open_admin_port_that_was_asked_for_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let args = ["serve", "--data-dir", folder, "--listen", "127.0.0.1:0"];
    // An address of documentation, which no machine has: nothing is opened to anybody.
    let admin = ["--admin-insecure", "--admin-listen", "192.0.2.1:9090"];
    let ports = [&admin[..], &["--metrics-listen", "off"]].concat();
    let (code, stderr) = fail(&[&args[..], &ports].concat(), &[]).await;
    assert_eq!(code, 1, "{stderr}");
    let warned = |line: &str| {
        line.contains("WARN") && line.contains("--admin-insecure") && line.contains("192.0.2.1")
    };
    assert!(stderr.lines().any(warned), "{stderr}");
    assert!(
        stderr.contains("cannot listen on --admin-listen 192.0.2.1:9090"),
        "{stderr}"
    );
}

#[tokio::test]
async fn without_nats_a_process_waits_unready_and_says_so() {
    let mut nats = NatsServer::start().await;
    let url = nats.url();
    nats.kill().await;
    let service = Parlor::room_service(&url, &[]);
    let gateway = Parlor::gateway(&url, &[]);
    for process in [&service, &gateway] {
        let metrics = process.address("metrics").await;
        assert!(get(metrics, "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(get(metrics, "/healthz").await.starts_with("HTTP/1.1 200"));
        process
            .line("that NATS is away", |line| {
                line.to_lowercase().contains("nats")
            })
            .await;
    }
    nats.restart().await;
    service.ready().await;
    gateway.ready().await;
    let metrics = gateway.address("metrics").await;
    let ready = || async {
        get(metrics, "/readyz")
            .await
            .starts_with("HTTP/1.1 200")
            .then_some(())
    };
    eventually("ready", ready).await;
}
