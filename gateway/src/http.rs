//! What comes in as HTTP: pages and their assets, and the handshakes of sockets. What is said on a
//! socket is the sessions' part; health and metrics have a port of their own, in the binary.

pub(crate) mod client;
mod handshake;
mod headers;
pub(crate) mod metrics;
pub(crate) mod origin;
mod pages;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use broker::Bus;
use http::StatusCode;

use crate::shared::Shared;
use client::TrustedProxies;
use metrics::EdgeMetrics;
use origin::OriginPattern;

/// What the handlers have at hand.
pub(crate) struct Edge<B> {
    pub(crate) shared: Arc<Shared<B>>,
    pub(crate) proxies: TrustedProxies,
    pub(crate) allowed_origins: Vec<OriginPattern>,
    pub(crate) metrics: EdgeMetrics,
}

/// The other end of the TCP connection, put into every request's extensions by the accept loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub(crate) SocketAddr);

/// Every path that is served.
pub(crate) fn router<B: Bus>(edge: Arc<Edge<B>>) -> Router {
    Router::new()
        .route("/", get(pages::root))
        .route("/chat", get(pages::add_slash))
        .route("/chat/", get(pages::index))
        .route("/chat/{room}", get(pages::add_slash))
        .route("/chat/{room}/", get(pages::room))
        .route("/assets/{*path}", get(pages::asset))
        .route("/ws", get(socket::v1::<B>))
        // Without a name: the session says so in a way that a page can read.
        .route("/ws/chat", get(socket::classic::<B>))
        .route("/ws/chat/", get(socket::classic::<B>))
        .route("/ws/chat//", get(socket::classic::<B>))
        .route("/ws/chat/{room}", get(socket::classic::<B>))
        .route("/ws/chat/{room}/", get(socket::classic::<B>))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&edge), observe))
        .with_state(edge)
}

/// Counts every request and sets the headers that every answer has.
async fn observe<B: Bus>(
    State(edge): State<Arc<Edge<B>>>,
    request: Request,
    next: Next,
) -> Response {
    let route = metrics::Route::of(request.uri().path());
    let mut response = next.run(request).await;
    edge.metrics.answered(route, response.status());
    headers::secure(&mut response);
    response
}

async fn not_found() -> Response {
    let text = "There is nothing here. The chat is at /chat/.\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn method_not_allowed() -> Response {
    let text = "This path only takes GET.\n";
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}
