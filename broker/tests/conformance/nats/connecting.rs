//! Whom we connect to, and as whom.

use std::fmt::Write as _;

use broker::{
    Bus as _,
    nats::{ConnectError, Nats},
    testing::NatsServer,
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use super::soon;
use crate::fixture::options;

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_address_or_from_a_file() {
    let server = with_password().await;
    let url = server.url();
    let in_url = url.replace("//", "//anna:let-me-in@");
    assert!(verify(&in_url, None).await.is_ok());
    let file = file("anna:let-me-in\n");
    assert!(verify(&url, Some(&file)).await.is_ok());
    // The file counts when there are both.
    let wrong_in_url = url.replace("//", "//anna:wrong@");
    assert!(verify(&wrong_in_url, Some(&file)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_apart_from_an_absent_server() {
    let server = with_password().await;
    let url = server.url();
    for wrong in ["//", "//anna:wrong@", "//bert:let-me-in@"] {
        let refused = verify(&url.replace("//", wrong), None).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Credentials), "{refused:?}");
    }
    let refused = verify(&url, Some(&file("anna:wrong"))).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Credentials), "{refused:?}");
}

#[tokio::test]
async fn a_credentials_file_that_is_none_is_refused_by_name() {
    for content in ["", "\n", "no colon", ":no-user"] {
        let file = file(content);
        let error = verify("nats://127.0.0.1:1", Some(&file)).await.unwrap_err();
        assert!(matches!(error, ConnectError::File(..)), "{error:?}");
        assert!(
            error.to_string().contains(file.path().to_str().unwrap()),
            "{error}"
        );
        if !content.is_empty() {
            assert!(!error.to_string().contains(content.trim()) || content.trim().is_empty());
        }
    }
    let seedless = file("-----BEGIN NATS USER JWT-----\neyJ0eXAi\n------END NATS USER JWT------\n");
    let error = verify("nats://127.0.0.1:1", Some(&seedless)).await;
    let words = error.unwrap_err().to_string();
    assert!(words.contains(seedless.path().to_str().unwrap()), "{words}");
    let mut options = options("nats://127.0.0.1:1", "gateway");
    options.creds = Some("/nowhere/creds".into());
    let error = Nats::connect(options).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("/nowhere/creds"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for wrong in [
        "",
        "nats://",
        "http://localhost:4222",
        "nats://host:port",
        "a b",
    ] {
        let error = Nats::connect(options(wrong, "gateway")).await.map(drop);
        assert!(
            matches!(error, Err(ConnectError::Url(..))),
            "{wrong:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_with_both_versions() {
    for (version, replicas, needed) in [
        ("2.11.9", 1, "2.12.1"),
        ("2.12.0", 1, "2.12.1"),
        ("2.14.3", 3, "2.14.4"),
    ] {
        let mut options = options(&pretend(version, 1 << 20).await, "gateway");
        options.replicas = replicas;
        let error = soon(Nats::connect(options).await.unwrap().verify())
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::TooOld { .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains(version) && words.contains(needed), "{words}");
    }
    for (version, replicas) in [("2.12.1", 1), ("2.14.4", 3), ("2.15.0", 3)] {
        let mut options = options(&pretend(version, 1 << 20).await, "gateway");
        options.replicas = replicas;
        soon(Nats::connect(options).await.unwrap().verify())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_server_that_takes_only_small_messages_is_refused() {
    let url = pretend("2.15.2", 512 * 1024).await;
    let error = soon(verify(&url, None)).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::MaxPayload(524_288)),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_several_servers_will_do() {
    let (mut away, there) = (NatsServer::start().await, NatsServer::start().await);
    away.kill().await;
    let broker = Nats::connect(options(
        &format!("{}, {}", away.url(), there.url()),
        "gateway",
    ));
    let broker = broker.await.unwrap();
    broker.verify().await.unwrap();
    assert!(broker.is_connected());
}

async fn verify(url: &str, creds: Option<&NamedTempFile>) -> Result<(), ConnectError> {
    let mut options = options(url, "gateway");
    options.creds = creds.map(|file| file.path().to_owned());
    soon(Nats::connect(options).await?.verify()).await
}

async fn with_password() -> NatsServer {
    let config = file("authorization { user: anna, password: \"let-me-in\" }");
    NatsServer::start_with(config.path(), &[]).await
}

fn file(content: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

/// A server of another version, as far as a client can see.
async fn pretend(version: &str, max_payload: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let mut info = String::new();
    write!(
        info,
        "INFO {{\"server_id\":\"old\",\"version\":\"{version}\",\"max_payload\":{max_payload},\
         \"headers\":true,\"jetstream\":true}}\r\n"
    )
    .unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let info = info.clone();
            tokio::spawn(async move {
                let (from, mut to) = stream.into_split();
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
