//! One TCP connection as long as it speaks HTTP.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::http::Remote;

/// Most bytes of a request's line and headers; more is answered 431.
const MAX_HEAD: usize = 16 * 1024;

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For the head of a request, from the connection's start or the answer before it. Also ends
    /// connections that are kept alive and idle.
    pub(crate) head: Duration,
    /// For everything: HTTP here is a page, some assets, a handshake. Bounds clients that do not read.
    pub(crate) life: Duration,
    /// For the answer under way when the connection has to end.
    pub(crate) grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            life: Duration::from_secs(60),
            grace: Duration::from_secs(5),
        }
    }
}

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) remote: Remote,
    pub(super) router: Router,
    pub(super) timeouts: Timeouts,
}

impl Connection {
    /// Serves until it is closed, upgraded, too slow, or `stop` ends it.
    pub(super) async fn serve(self, stop: CancellationToken) {
        // Without it small frames wait for the other side's acknowledgements. It fails only on a
        // connection that is gone.
        let _ = self.stream.set_nodelay(true);
        let (router, remote) = (self.router, self.remote);
        let service = service_fn(move |request| answer(router.clone(), remote, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeouts.head)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(self.stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        // What goes wrong on a connection is its client's business.
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.timeouts.life) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = timeout(self.timeouts.grace, connection).await;
    }
}

async fn answer(
    router: Router,
    remote: Remote,
    request: http::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(remote);
    router.oneshot(request).await
}
