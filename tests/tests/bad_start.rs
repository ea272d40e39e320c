//! Starts that cannot succeed, and brokers that are not as they must be: words for a person, an exit
//! code, nothing broken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use broker::testing::NatsServer;
use tests::{Parlor, eventually, process};

/// Runs `parlor` to its end: exit code and stderr.
async fn fail(args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let output = process::command()
        .args(args)
        .envs(env.iter().copied())
        .output();
    let output = tokio::time::timeout(tests::PATIENCE, output)
        .await
        .expect("it ends")
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code().unwrap_or(-1), stderr)
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
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
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "off",
        "--metrics-listen",
        "off",
    ];
    let args = [&["serve", "--data-dir", folder][..], &listen].concat();
    let (code, stderr) = fail(&args, &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains(folder) && stderr.contains("another"),
        "{stderr}"
    );

    // Nobody, not even root, makes folders there.
    let args = [&["serve", "--data-dir", "/proc/parlor"][..], &listen].concat();
    let (code, stderr) = fail(&args, &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("/proc/parlor") && stderr.contains("--data-dir"),
        "{stderr}"
    );

    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let args = [
        &["serve", "--data-dir", file.to_str().unwrap()][..],
        &listen,
    ]
    .concat();
    let (code, stderr) = fail(&args, &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(file.to_str().unwrap()), "{stderr}");
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Parlor::serve(dir.path(), &[]).await.terminate().await;
    let folder = dir.path().to_str().unwrap();
    let mut args = vec!["serve", "--data-dir", folder, "--partitions", "8"];
    args.extend([
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "off",
        "--metrics-listen",
        "off",
    ]);
    let (code, stderr) = fail(&args, &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("--partitions 8") && stderr.contains('4'),
        "{stderr}"
    );
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
