//! The metrics of the edge. No label names a room, a user or an address.
//!
//! | name | kind | label | what it counts |
//! |---|---|---|---|
//! | `parlor_gateway_accepted_total` | counter | – | TCP connections accepted |
//! | `parlor_gateway_accept_errors_total` | counter | – | accepts that the system refused |
//! | `parlor_gateway_http_connections` | gauge | – | TCP connections that are no socket (yet) |
//! | `parlor_gateway_http_requests_total` | counter | `route`, `status` | requests answered |
//! | `parlor_gateway_refused_total` | counter | `reason` | sockets not let in |

use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Handles; cheap to clone.
#[derive(Clone)]
pub(crate) struct EdgeMetrics {
    pub(crate) accepted: Counter,
    pub(crate) accept_errors: Counter,
    pub(crate) http_connections: Gauge,
    requests: Family<RequestLabels, Counter>,
    refused: Family<RefusedLabel, Counter>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Index,
    Room,
    Assets,
    Socket,
    Classic,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabel {
    reason: &'static str,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("chat") if path.trim_end_matches('/') == "/chat" => Self::Index,
            Some("chat") => Self::Room,
            Some("assets") => Self::Assets,
            Some("ws") if path == "/ws" => Self::Socket,
            Some("ws") => Self::Classic,
            _ => Self::Other,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Room => "room",
            Self::Assets => "assets",
            Self::Socket => "ws",
            Self::Classic => "ws_chat",
            Self::Other => "other",
        }
    }
}

impl EdgeMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("parlor_gateway");
        let metrics = Self {
            accepted: Counter::default(),
            accept_errors: Counter::default(),
            http_connections: Gauge::default(),
            requests: Family::default(),
            refused: Family::default(),
        };
        registry.register(
            "accepted",
            "TCP connections accepted",
            metrics.accepted.clone(),
        );
        registry.register(
            "accept_errors",
            "Accepts that the system refused",
            metrics.accept_errors.clone(),
        );
        registry.register(
            "http_connections",
            "TCP connections that are no socket, or not yet",
            metrics.http_connections.clone(),
        );
        registry.register(
            "http_requests",
            "Requests answered, by route and status class",
            metrics.requests.clone(),
        );
        registry.register(
            "refused",
            "Sockets not let in, by reason",
            metrics.refused.clone(),
        );
        metrics
    }

    pub(super) fn answered(&self, route: Route, status: StatusCode) {
        let status = match status.as_u16() {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        let labels = RequestLabels {
            route: route.as_str(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabel { reason }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_route_and_few_of_them() {
        for (path, route) in [
            ("/", Route::Other),
            ("/chat", Route::Index),
            ("/chat/", Route::Index),
            ("/chat/lobby/", Route::Room),
            ("/assets/room.js", Route::Assets),
            ("/ws", Route::Socket),
            ("/ws/chat/lobby/", Route::Classic),
            ("/wsx", Route::Other),
            ("", Route::Other),
            ("*", Route::Other),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
