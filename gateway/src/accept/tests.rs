use std::{io::ErrorKind, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use super::*;
use crate::{
    Error, Gateway,
    http::testing::{options, start},
};

/// A request of exactly so many bytes.
fn request_of(bytes: usize) -> String {
    let start = "GET /chat/ HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\nX: ";
    let filler = bytes - start.len() - "\r\n\r\n".len();
    format!("{start}{}\r\n\r\n", "x".repeat(filler))
}

#[tokio::test]
async fn a_head_of_16_kib_passes_and_one_byte_more_is_answered_431() {
    let gateway = start(options()).await;
    for (bytes, status) in [(16_384, " 200 "), (16_385, " 431 "), (17_000, " 431 ")] {
        let answer = gateway.raw(request_of(bytes).as_bytes()).await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(line.contains(status), "{bytes}: {line:?}");
    }
}

#[tokio::test]
async fn a_long_path_counts_as_well() {
    let gateway = start(options()).await;
    let request = format!(
        "GET /chat/{}/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "x".repeat(16_384)
    );
    let answer = gateway.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    let gateway = start(options()).await;
    let headers = "X: y\r\n".repeat(101);
    let request = format!("GET /chat/ HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let answer = gateway.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn what_is_no_http_is_answered_400() {
    let gateway = start(options()).await;
    for request in [
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        let answer = gateway.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_head_is_cut_after_5_s() {
    let gateway = start(options()).await;
    for part in ["", "GET /chat/ HTTP/1.1\r\nHost: chat"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(part.as_bytes()).await.unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut answer).await;
        let took = began.elapsed();
        let expected = Duration::from_millis(4_900)..Duration::from_millis(5_500);
        assert!(expected.contains(&took), "{part:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_alive_and_idle_is_closed_after_5_s() {
    let gateway = start(options()).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"HEAD /chat/ HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await
        .unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
    assert!(began.elapsed() >= Duration::from_millis(4_900));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_forever_is_asked_to_connect_anew() {
    let gateway = start(options()).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    loop {
        let request = b"HEAD /chat/ HTTP/1.1\r\nHost: chat.test\r\n\r\n";
        if stream.write_all(request).await.is_err() {
            break;
        }
        match tokio::time::timeout(Duration::from_secs(1), stream.read_buf(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => break,
            // The next request comes a second later.
            Ok(Ok(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(_) => {}
        }
    }
    assert!(
        began.elapsed() < Duration::from_secs(70),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let gateway = start(options()).await;
    let mut options = options();
    options.listen = gateway.address;
    let mut registry = prometheus_client::registry::Registry::default();
    let error = Gateway::bind(options, gateway.bus.clone(), &mut registry)
        .await
        .err()
        .expect("the port is taken");
    let text = error.to_string();
    assert!(text.contains(&gateway.address.to_string()), "{text}");
    assert!(text.contains("--listen"), "{text}");
    assert!(matches!(error, Error::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse));
}

#[tokio::test(start_paused = true)]
async fn failures_that_last_pause_longer_and_longer_and_others_not_at_all() {
    let mut failures = Failures::default();
    let emfile = io::Error::from_raw_os_error(24);
    let pauses: Vec<u128> = (0..8)
        .filter_map(|_| failures.pause(&emfile, Instant::now()))
        .map(|pause| pause.as_millis())
        .collect();
    assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    assert_eq!(
        failures.pause(&ErrorKind::ConnectionAborted.into(), Instant::now()),
        None
    );
    failures.over();
    assert_eq!(failures.pause(&emfile, Instant::now()), Some(FIRST_PAUSE));
}
