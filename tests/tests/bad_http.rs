//! Requests that no browser should make, byte by byte.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;

use tests::{Browser, PATIENCE, Parlor};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends `request` and reads until the server has said a head, or has closed.
async fn ask(gateway: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    // A server that has heard enough may close before all is written.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n{headers}\r\n")
}

fn upgrade(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test]
async fn pages_are_served_for_odd_names_and_the_root_leads_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let root = ask(gateway, &get("/", "")).await;
    assert!(
        status(&root).starts_with('3') && root.contains("/chat/"),
        "{root}"
    );
    for path in [
        "/chat/",
        "/chat/lobby/",
        "/chat/%E8%81%8A%E5%A4%A9%E5%AE%A4/",
        "/chat/a%20b/",
    ] {
        let page = ask(gateway, &get(path, "")).await;
        assert_eq!(status(&page), "200", "{path}: {page}");
        let head = page.to_lowercase();
        assert!(head.contains("content-security-policy:"), "{head}");
        assert!(!head.contains("unsafe-inline"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }
    let unslashed = ask(gateway, &get("/chat/%E5%AE%A4", "")).await;
    assert!(unslashed.contains("/chat/%E5%AE%A4/"), "{unslashed}");
    for (path, expected) in [
        ("/chat/%ff%fe/", "400"),
        // No escape: the name is what it says.
        ("/chat/%zz/", "200"),
        ("/chat//", "404"),
        ("/chat/a/b/c", "404"),
        ("/nothing", "404"),
        ("/ws/chat/", "426"),
        ("/ws/chat/lobby/", "426"),
    ] {
        let page = ask(gateway, &get(path, "")).await;
        assert_eq!(status(&page), expected, "{path}: {page}");
    }
}

#[tokio::test]
async fn origins_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = [
        "--allowed-origins",
        "https://app.example,https://*.apps.example",
    ];
    let parlor = Parlor::serve(dir.path(), &allowed).await;
    let gateway = parlor.address("http").await;
    let origins = [
        ("", "101"),
        ("Origin: http://chat.example\r\n", "101"),
        ("Origin: https://app.example\r\n", "101"),
        ("Origin: https://x.apps.example\r\n", "101"),
        ("Origin: https://evil.example\r\n", "403"),
        ("Origin: https://apps.example.evil.example\r\n", "403"),
        ("Origin: null\r\n", "403"),
        (
            "Origin: https://out.example\r\nX-Forwarded-Host: out.example\r\n",
            "101",
        ),
    ];
    for (headers, expected) in origins {
        for path in ["/ws", "/ws/chat/lobby/"] {
            let answer = ask(gateway, &upgrade(path, headers)).await;
            assert_eq!(status(&answer), expected, "{path} {headers}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let plain = ask(gateway, &get("/ws", "")).await;
    assert!(matches!(status(&plain), "400" | "426"), "{plain}");
    let version = upgrade("/ws", "").replace("Version: 13", "Version: 7");
    assert!(matches!(
        status(&ask(gateway, &version).await),
        "400" | "426"
    ));
}

#[tokio::test]
async fn a_socket_without_our_subprotocol_is_closed_4010() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    for headers in [
        &[][..],
        &[("Sec-WebSocket-Protocol", "parlor.v9.json, other")],
    ] {
        let mut browser = Browser::connect_with(gateway, "/ws", headers).await;
        assert_eq!(browser.closed().await, 4010);
    }
}

#[tokio::test]
async fn heads_are_bounded_in_bytes_and_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let large = get("/chat/", &format!("X-Large: {}\r\n", "x".repeat(17_000)));
    assert_eq!(status(&ask(gateway, &large).await), "431");
    let fits = get("/chat/", &format!("X-Large: {}\r\n", "x".repeat(15_000)));
    assert_eq!(status(&ask(gateway, &fits).await), "200");
    // A head that never ends: the server closes by itself.
    let started = tokio::time::Instant::now();
    let slow = ask(
        gateway,
        "GET /chat/ HTTP/1.1\r\nHost: chat.example\r\nX-Slow: ",
    )
    .await;
    assert!(matches!(status(&slow), "closed" | "408"), "{slow}");
    let took = started.elapsed().as_secs();
    // After 5 s, with room for a busy machine.
    assert!((3..=15).contains(&took), "{took} s");
}
