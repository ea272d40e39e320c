use crate::http::testing::{Running, options, start};

async fn running() -> Running {
    start(options()).await
}

#[tokio::test]
async fn the_root_leads_to_the_chat() {
    let gateway = running().await;
    for (path, status, location) in [
        ("/", 302, "/chat/"),
        ("/chat", 308, "/chat/"),
        ("/chat/lobby", 308, "/chat/lobby/"),
        ("/chat/lobby?x=1", 308, "/chat/lobby/?x=1"),
        ("/chat/%E5%A4%A7%E5%8E%85", 308, "/chat/%E5%A4%A7%E5%8E%85/"),
        ("/chat/a%2Fb", 308, "/chat/a%2Fb/"),
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("location"), Some(location), "{path}");
    }
}

#[tokio::test]
async fn every_room_has_its_page_whatever_its_name() {
    let gateway = running().await;
    for name in [
        "lobby",
        "%E5%A4%A7%E5%8E%85",
        "..",
        ".",
        "-",
        "a.b",
        "*",
        "%3E",
        "a%2Fb",
        "%00",
        "%E2%80%8D",
        "%zz",
        "%",
        "a%20b",
        "+",
        "{room}",
        ":room",
        &"x".repeat(1_000),
    ] {
        let answer = gateway.get(&format!("/chat/{name}/")).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body.contains("chat-message-input"), "{name}");
        assert!(
            !answer.body.contains(&"x".repeat(1_000)),
            "a name is in no page"
        );
    }
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_refused_in_words() {
    let gateway = running().await;
    for name in ["%FF", "%E5%A4", "%ED%A0%80"] {
        let answer = gateway.get(&format!("/chat/{name}/")).await;
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.body.contains("UTF-8"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_page_is_in_the_language_that_is_liked_best() {
    let gateway = running().await;
    let chinese = "Accept-Language: zh-CN,zh;q=0.9,en;q=0.1\r\n";
    let page = gateway.request("GET", "/chat/", chinese).await;
    assert!(page.body.contains("lang=\"zh-CN\""), "{}", page.body);
    assert_eq!(page.header("vary"), Some("accept-language"));
    let page = gateway.get("/chat/").await;
    assert!(page.body.contains("lang=\"en\""), "{}", page.body);
    assert!(page.body.contains("room-name-input"));
}

#[tokio::test]
async fn pages_and_errors_carry_security_headers() {
    let gateway = running().await;
    for path in [
        "/chat/",
        "/chat/lobby/",
        "/assets/room.js",
        "/nothing",
        "/ws",
        "/",
    ] {
        let answer = gateway.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name} of {path}");
        }
        assert!(answer.header("permissions-policy").is_some(), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        let is_page = path.starts_with("/chat/");
        assert_eq!(policy == web::CSP, is_page, "{path}: {policy}");
    }
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let gateway = running().await;
    for path in [
        "/chat/",
        "/chat/lobby/",
        "/assets/room.js",
        "/assets/client/parlor.js",
    ] {
        let first = gateway.get(path).await;
        assert_eq!(first.status, 200, "{path}");
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let etag = first.header("etag").unwrap().to_owned();
        for known in [
            etag.clone(),
            format!("W/{etag}"),
            format!("\"x\", {etag}"),
            "*".to_owned(),
        ] {
            let again = gateway
                .request("GET", path, &format!("If-None-Match: {known}\r\n"))
                .await;
            assert_eq!(again.status, 304, "{path} with {known}");
            assert_eq!(again.body, "");
            assert_eq!(again.header("etag"), Some(etag.as_str()));
        }
        let other = gateway
            .request("GET", path, "If-None-Match: \"x\"\r\n")
            .await;
        assert_eq!(other.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let gateway = running().await;
    for path in [
        "/nothing",
        "/assets/",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/chat/a/b/",
        "/chat//",
        "/ws/",
        "//chat/",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("/chat/"), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_head_is_get_without_a_body() {
    let gateway = running().await;
    for path in ["/", "/chat/", "/chat/lobby/", "/assets/room.js", "/ws"] {
        let answer = gateway.request("POST", path, "Content-Length: 0\r\n").await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("GET")),
            "{path}"
        );
        assert!(answer.body.contains("GET"), "{}", answer.body);
    }
    let head = gateway.request("HEAD", "/chat/", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let gateway = running().await;
    gateway.get("/chat/").await;
    gateway.get("/chat/lobby/").await;
    gateway.get("/chat/%FF/").await;
    gateway.get("/nothing").await;
    let metrics = gateway.metrics();
    for line in [
        "parlor_gateway_accepted_total 4",
        "parlor_gateway_http_requests_total{route=\"index\",status=\"2xx\"} 1",
        "parlor_gateway_http_requests_total{route=\"room\",status=\"2xx\"} 1",
        "parlor_gateway_http_requests_total{route=\"room\",status=\"4xx\"} 1",
        "parlor_gateway_http_requests_total{route=\"other\",status=\"4xx\"} 1",
        "parlor_gateway_lifecycle{state=\"ended\"} 0",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
}
