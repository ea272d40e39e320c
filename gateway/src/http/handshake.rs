//! Whether a request may become a socket, as far as HTTP can say no (PROTOCOL.md section 1). What a
//! browser's page must be able to read is said on the open socket instead.

use axum::response::{IntoResponse as _, Response};
use broker::Bus;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, request::Parts};

use super::{Edge, Remote, origin};

/// A request that does not become a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not ask to.
    NotWebSocket,
    /// It asks in a version of WebSocket that is not 13.
    Version,
    /// It asks wrongly.
    Malformed,
    /// The page it comes from may not.
    Origin,
    /// This gateway is going away.
    Draining,
}

impl Refusal {
    /// For the metric.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NotWebSocket => "not_websocket",
            Self::Version => "websocket_version",
            Self::Malformed => "bad_handshake",
            Self::Origin => "origin",
            Self::Draining => "draining",
        }
    }

    pub(super) fn response(self) -> Response {
        match self {
            Self::NotWebSocket => upgrade_required(
                "This path is for WebSocket connections only; upgrade to websocket.\n",
            ),
            Self::Version => upgrade_required(
                "Only version 13 of the WebSocket protocol (RFC 6455) is spoken here.\n",
            ),
            Self::Malformed => {
                let text = "The WebSocket handshake is malformed: Sec-WebSocket-Key must be 16 bytes in base64, \
                     over HTTP/1.1.\n";
                (StatusCode::BAD_REQUEST, text).into_response()
            }
            Self::Origin => {
                let text = "Pages of this origin may not connect here. The operator of this server can allow it \
                     with --allowed-origins.\n";
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Draining => {
                let text = "This server is going away; connect again.\n";
                let retry = [(header::RETRY_AFTER, "1"), (header::CONNECTION, "close")];
                (StatusCode::SERVICE_UNAVAILABLE, retry, text).into_response()
            }
        }
    }
}

fn upgrade_required(text: &'static str) -> Response {
    let headers = [
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "upgrade"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ];
    (StatusCode::UPGRADE_REQUIRED, headers, text).into_response()
}

/// Checks everything that HTTP can say no to.
pub(super) fn check<B: Bus>(edge: &Edge<B>, remote: Remote, parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    if !has_token(headers, &header::CONNECTION, "upgrade")
        || !has_token(headers, &header::UPGRADE, "websocket")
    {
        return Err(Refusal::NotWebSocket);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&HeaderValue::from_static("13")) {
        return Err(Refusal::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    if parts.version != Version::HTTP_11 || !key.is_some_and(is_key) {
        return Err(Refusal::Malformed);
    }
    if !is_origin_allowed(edge, remote, headers) {
        return Err(Refusal::Origin);
    }
    if edge.shared.sessions.is_draining() {
        return Err(Refusal::Draining);
    }
    Ok(())
}

fn is_origin_allowed<B: Bus>(edge: &Edge<B>, remote: Remote, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        // Not a browser.
        return true;
    };
    let (Ok(origin), None) = (origin.to_str(), origins.next()) else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let forwarded = edge.proxies.forwarded_hosts(remote.0.ip(), headers);
    origin::is_allowed(
        origin,
        host.into_iter().chain(forwarded),
        &edge.allowed_origins,
    )
}

/// Whether a header that is a list has `token` in it.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// 16 bytes in base64 are 24 characters of which the last two are padding.
fn is_key(key: &HeaderValue) -> bool {
    let key = key.as_bytes();
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/".contains(b);
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_base64)
}
