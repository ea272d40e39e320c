use crate::http::testing::{Client, Running, UPGRADE, close_of, options, start};

const V1: (&str, &str) = ("sec-websocket-protocol", "parlor.v1.json");

async fn running() -> Running {
    start(options()).await
}

fn v1(more: &str) -> String {
    format!("{UPGRADE}Sec-WebSocket-Protocol: parlor.v1.json\r\n{more}")
}

#[tokio::test]
async fn a_right_handshake_is_completed_with_the_subprotocol() {
    let gateway = running().await;
    for offered in ["parlor.v1.json", "other, parlor.v1.json"] {
        let headers = format!("{UPGRADE}Sec-WebSocket-Protocol: {offered}\r\n");
        let answer = gateway.request("GET", "/ws", &headers).await;
        assert_eq!(answer.status, 101, "{offered}");
        assert_eq!(
            answer.header("sec-websocket-protocol"),
            Some("parlor.v1.json")
        );
        let accept = answer.header("sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}

#[tokio::test]
async fn without_our_subprotocol_the_socket_opens_and_closes_4010() {
    let gateway = running().await;
    for offered in [
        None,
        Some("chat"),
        Some("parlor.v2.json, chat"),
        Some("PARLOR.V1.JSON"),
    ] {
        let headers: Vec<_> = offered.map(|offered| (V1.0, offered)).into_iter().collect();
        // The client library refuses a handshake that does not answer what it offered.
        let (mut client, response) = gateway.handshake("/ws", &headers).await;
        let first = offered.and_then(|offered| offered.split(',').next());
        let chosen = response
            .headers()
            .get(V1.0)
            .and_then(|value| value.to_str().ok());
        assert_eq!(chosen, first);
        let (code, reason) = close_of(&mut client).await;
        assert_eq!(code, 4010, "{offered:?}");
        assert!(reason.contains("parlor.v1.json"), "{reason}");
    }
    let metrics = gateway.metrics();
    assert!(
        metrics.contains("parlor_gateway_refused_total{reason=\"subprotocol\"} 4"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_request_that_does_not_upgrade_is_told_to() {
    let gateway = running().await;
    for path in ["/ws", "/ws/chat/lobby", "/ws/chat/lobby/", "/ws/chat/"] {
        for headers in [
            "",
            "Upgrade: websocket\r\n",
            "Connection: upgrade, close\r\nUpgrade: h2c\r\n",
        ] {
            let answer = gateway.request("GET", path, headers).await;
            assert_eq!(answer.status, 426, "{path} with {headers:?}");
            assert_eq!(answer.header("upgrade"), Some("websocket"));
            assert!(answer.body.contains("WebSocket"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_wrong_is_refused_in_words() {
    let gateway = running().await;
    let version = |version: &str| UPGRADE.replace("Sec-WebSocket-Version: 13\r\n", version);
    for headers in [version(""), version("Sec-WebSocket-Version: 8\r\n")] {
        let answer = gateway.request("GET", "/ws", &headers).await;
        assert_eq!(answer.status, 426, "{headers}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    }
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for other in [
        "",
        "Sec-WebSocket-Key: x\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==x\r\n",
    ] {
        let answer = gateway
            .request("GET", "/ws", &UPGRADE.replace(key, other))
            .await;
        assert_eq!(answer.status, 400, "{other}");
    }
    let once = UPGRADE.replace("keep-alive, ", "");
    let old = format!("GET /ws HTTP/1.0\r\nHost: chat.test\r\n{once}\r\n");
    let answer = gateway.raw(old.as_bytes()).await;
    assert!(
        answer.contains(" 400 ") || answer.contains(" 426 "),
        "{answer}"
    );
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_on_every_socket() {
    let mut options = options();
    options.allowed_origins = vec!["https://*.friend.test".parse().unwrap()];
    let gateway = start(options).await;
    for (headers, status) in [
        ("", 101),
        ("Origin: http://chat.test\r\n", 101),
        ("Origin: https://chat.test\r\n", 101),
        ("Origin: https://a.friend.test\r\n", 101),
        (
            "Origin: https://outer.test\r\nX-Forwarded-Host: outer.test\r\n",
            101,
        ),
        ("Origin: https://evil.test\r\n", 403),
        ("Origin: https://friend.test\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin:\r\n", 403),
        (
            "Origin: http://chat.test\r\nOrigin: https://evil.test\r\n",
            403,
        ),
        ("Origin: http://chat.test:81\r\n", 403),
    ] {
        for path in ["/ws", "/ws/chat/lobby", "/ws/chat/lobby/"] {
            let answer = gateway.request("GET", path, &v1(headers)).await;
            assert_eq!(answer.status, status, "{path} with {headers:?}");
        }
    }
    let refused = gateway.request("GET", "/ws", &v1("Origin: null\r\n")).await;
    assert!(
        refused.body.contains("--allowed-origins"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn only_a_trusted_proxy_may_name_the_host() {
    let mut options = options();
    options.trusted_proxies = Vec::new();
    let gateway = start(options).await;
    let headers = v1("Origin: https://outer.test\r\nX-Forwarded-Host: outer.test\r\n");
    assert_eq!(gateway.request("GET", "/ws", &headers).await.status, 403);
}

#[tokio::test]
async fn the_classic_socket_needs_no_subprotocol() {
    let gateway = running().await;
    for path in [
        "/ws/chat/lobby/",
        "/ws/chat/lobby",
        "/ws/chat/%E5%A4%A7%E5%8E%85/",
        "/ws/chat/a%2Fb/?history=50",
        "/ws/chat/lobby/?history=1000000&token=x",
        "/ws/chat/%FF/",
    ] {
        let answer = gateway.request("GET", path, UPGRADE).await;
        assert_eq!(answer.status, 101, "{path}");
        assert_eq!(answer.header("sec-websocket-protocol"), None);
    }
}

/// A browser's page cannot read an HTTP status: what is wrong is said on the socket.
#[tokio::test]
async fn what_is_wrong_with_a_classic_address_is_said_on_the_socket() {
    let gateway = running().await;
    for (path, words) in [
        ("/ws/chat/lobby/?history=x", "?history="),
        ("/ws/chat/lobby/?history=-1", "?history="),
        ("/ws/chat/lobby/?history=1&history=2", "?history="),
        ("/ws/chat/a%20b/", "room name"),
        ("/ws/chat/%FF/", "room name"),
        ("/ws/chat/", "room name"),
        ("/ws/chat", "room name"),
        ("/ws/chat//", "room name"),
        ("/ws/chat/lobby/?token=1.x.y", "token refused"),
    ] {
        let mut client = gateway.connect(path, &[]).await;
        let said = first_of(&mut client).await;
        let error = said["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{path}: {said}"));
        assert!(error.contains(words), "{path}: {error}");
        let code = if path.contains("token") { 4004 } else { 1000 };
        assert_eq!(close_of(&mut client).await.0, code, "{path}");
    }
}

/// What is wrong with the name of a room costs no new guest.
#[tokio::test]
async fn too_many_new_guests_are_told_so_and_bad_names_do_not_count() {
    let mut options = options();
    options.limits.new_guests_per_minute = 1;
    let gateway = start(options).await;
    let from = [("x-forwarded-for", "192.0.2.1")];
    for _ in 0..3 {
        let mut odd = gateway.connect("/ws/chat/a%20b/", &from).await;
        assert_eq!(close_of(&mut odd).await.0, 1000);
    }
    let mut first = gateway.connect("/ws/chat/lobby/?token=", &from).await;
    assert!(is_let_in(&mut first).await);
    let mut second = gateway.connect("/ws/chat/lobby/", &from).await;
    let said = first_of(&mut second).await;
    assert!(said["error"].as_str().unwrap().contains("guests"), "{said}");
    assert_eq!(close_of(&mut second).await.0, 4008);
}

/// The first text that comes.
async fn first_of(client: &mut Client) -> serde_json::Value {
    use futures_util::StreamExt as _;
    let first = client.next().await.unwrap().unwrap();
    serde_json::from_str(first.to_text().unwrap()).unwrap()
}

#[tokio::test]
async fn an_address_with_too_many_sockets_gets_4012() {
    let mut options = options();
    options.limits.connections = 2;
    options.limits.new_connections = 100;
    let gateway = start(options).await;
    let from = |address| [V1, ("x-forwarded-for", address)];
    let _one = gateway.connect("/ws", &from("192.0.2.1")).await;
    let two = gateway.connect("/ws", &from("192.0.2.1")).await;
    let mut three = gateway.connect("/ws", &from("192.0.2.1")).await;
    assert_eq!(close_of(&mut three).await.0, 4012);
    let _other = gateway.connect("/ws", &from("192.0.2.2")).await;
    drop(two);
    // The gateway notices that it is gone whenever it does: only then one more is let in.
    loop {
        let mut again = gateway.connect("/ws", &from("192.0.2.1")).await;
        if is_let_in(&mut again).await {
            break;
        }
    }
}

#[tokio::test]
async fn an_address_that_connects_too_fast_gets_4008() {
    let mut options = options();
    options.limits.new_connections = 3;
    let gateway = start(options).await;
    let from = [V1, ("x-forwarded-for", "192.0.2.1")];
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(gateway.connect("/ws", &from).await);
    }
    let mut fourth = gateway.connect("/ws/chat/lobby/", &from[1..]).await;
    let (code, reason) = close_of(&mut fourth).await;
    assert_eq!(code, 4008);
    assert!(reason.contains("retry in"), "{reason}");
    // The proxy itself is not limited.
    for _ in 0..30 {
        held.push(gateway.connect("/ws", &[V1]).await);
    }
}

/// Whether the socket stays open: a ping comes back, no close.
async fn is_let_in(client: &mut Client) -> bool {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;
    if client.send(Message::Ping("x".into())).await.is_err() {
        return false;
    }
    while let Some(Ok(message)) = client.next().await {
        match message {
            Message::Pong(_) => return true,
            Message::Close(_) => return false,
            _ => {}
        }
    }
    false
}
