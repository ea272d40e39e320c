//! From an HTTP request to a WebSocket: the answer that completes the handshake, and the connection that
//! comes after it. Whether the request may have one is checked before.

use std::future::Future;

use axum::{body::Body, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use sha1::{Digest as _, Sha1};

/// What every server adds to the client's key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A connection that is about to become a WebSocket.
pub(crate) struct Upgrade {
    on_upgrade: OnUpgrade,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
}

impl Upgrade {
    /// Of a request whose handshake headers were found right; `None` when its connection cannot be
    /// upgraded.
    pub(crate) fn of(parts: &mut Parts) -> Option<Self> {
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY)?;
        Some(Self {
            accept: HeaderValue::from_str(&accept(key.as_bytes())).ok()?,
            on_upgrade: parts.extensions.remove()?,
            protocol: None,
        })
    }

    /// The subprotocol that is spoken.
    pub(crate) fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.protocol = Some(protocol);
    }

    /// The answer; once it is sent, `serve` runs in a task of its own.
    pub(crate) fn on_upgrade<F>(
        self,
        serve: impl FnOnce(Upgraded) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            // An error means that the client was gone before its answer.
            if let Ok(upgraded) = on_upgrade.await {
                serve(upgraded).await;
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = self.protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

fn accept(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_to_the_sample_key_is_the_sample_answer() {
        assert_eq!(
            super::accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
