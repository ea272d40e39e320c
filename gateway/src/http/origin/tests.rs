use super::*;

fn allowed(origin: &str, hosts: &[&str], patterns: &[&str]) -> bool {
    let patterns: Vec<OriginPattern> = patterns
        .iter()
        .map(|p| p.parse().expect("a pattern of this table"))
        .collect();
    is_allowed(origin, hosts.iter().copied(), &patterns)
}

#[test]
fn a_page_of_this_server_may_connect() {
    for (origin, host) in [
        ("http://localhost:8080", "localhost:8080"),
        ("https://chat.example.com", "chat.example.com"),
        ("https://chat.example.com", "chat.example.com:443"),
        ("https://chat.example.com:443", "chat.example.com"),
        ("http://chat.example.com", "chat.example.com:80"),
        ("http://chat.example.com", "chat.example.com"),
        ("https://CHAT.example.com", "chat.EXAMPLE.com"),
        ("https://chat.example.com:8443", "chat.example.com:8443"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]:80"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
    ] {
        assert!(allowed(origin, &[host], &[]), "{origin} at {host}");
    }
}

#[test]
fn a_page_of_another_server_may_not() {
    for (origin, host) in [
        ("https://evil.example", "chat.example.com"),
        ("https://chat.example.com.evil.example", "chat.example.com"),
        ("https://evilchat.example.com", "chat.example.com"),
        ("http://localhost:8081", "localhost:8080"),
        ("http://localhost", "localhost:8080"),
        ("https://chat.example.com", "chat.example.com:80"),
        ("http://chat.example.com", "chat.example.com:443"),
        ("null", "null"),
        ("", ""),
        ("chat.example.com", "chat.example.com"),
        ("file://", "chat.example.com"),
        ("https://", "chat.example.com"),
        ("https://chat.example.com/", "chat.example.com"),
        ("https://a@chat.example.com", "chat.example.com"),
        ("https://chat.example.com:", "chat.example.com"),
        ("https://chat.example.com:99999", "chat.example.com:99999"),
        ("https://chat.example.com:+443", "chat.example.com"),
        ("chrome-extension://abcdef", "abcdef"),
        ("https://a.example https://b.example", "a.example"),
    ] {
        assert!(!allowed(origin, &[host], &[]), "{origin} at {host}");
    }
}

#[test]
fn without_a_host_nothing_is_the_same_host() {
    assert!(!allowed("https://chat.example.com", &[], &[]));
}

#[test]
fn patterns_admit_what_they_say() {
    let host = ["inner:8080"];
    for (origin, pattern, expected) in [
        ("https://a.example.com", "https://a.example.com", true),
        ("https://a.example.com", "https://a.example.com:443", true),
        ("https://a.example.com", "https://A.Example.com", true),
        ("http://a.example.com", "https://a.example.com", false),
        ("https://a.example.com:8443", "https://a.example.com", false),
        ("https://a.example.com", "https://*.example.com", true),
        ("https://a.b.example.com", "https://*.example.com", true),
        ("https://example.com", "https://*.example.com", false),
        ("https://.example.com", "https://*.example.com", false),
        ("https://aexample.com", "https://*.example.com", false),
        ("http://a.example.com", "https://*.example.com", false),
        ("https://a.example.com:1", "https://*.example.com", false),
        ("https://a.example.com:1", "https://*.example.com:1", true),
        ("http://localhost:3000", "http://localhost:3000", true),
        ("null", "https://*.example.com", false),
        ("https://*.example.com", "https://*.example.com", false),
    ] {
        assert_eq!(
            allowed(origin, &host, &[pattern]),
            expected,
            "{origin} under {pattern}"
        );
    }
}

#[test]
fn a_pattern_that_is_none_is_refused_with_what_is_expected() {
    for text in [
        "",
        "*",
        "null",
        "example.com",
        "https://",
        "https://*",
        "https://*.com",
        "https://a.*.com",
        "https://*example.com",
        "https://*.*.example.com",
        "https://*..com",
        "ftp://a.example",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example:port",
        "https://a b.example",
        "https://*.example.com.",
    ] {
        let error = text.parse::<OriginPattern>().expect_err(text);
        assert!(
            error.to_string().contains("https://*.example.com"),
            "{error}"
        );
    }
}

#[test]
fn a_pattern_prints_as_it_is_written() {
    for text in [
        "https://a.example",
        "http://a.example:81",
        "https://*.example.com:8443",
    ] {
        let pattern: OriginPattern = text.parse().expect("a pattern");
        assert_eq!(pattern.to_string(), text);
    }
}
