//! The port for probes and Prometheus: `/healthz`, `/readyz`, `/metrics`. It listens before anything
//! else is opened and answers until the very end.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text, registry::Registry};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::telemetry::process_metrics;

/// The content type that goes with [`text::encode`].
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Says whether a part of the process is ready; if not, why.
pub(crate) type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A port that answers; [`stop`](Self::stop) ends it.
pub(crate) struct OpsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

struct Shared {
    /// What is told until the parts are there.
    process: Registry,
    parts: OnceLock<Parts>,
}

struct Parts {
    registry: Registry,
    checks: Vec<Check>,
}

impl OpsServer {
    /// Binds the port and answers from now on: alive, not ready, the metrics of the process.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) async fn start(listen: SocketAddr) -> Result<Self> {
        let failed = || {
            format!(
                "cannot listen on --metrics-listen {listen}; choose another address or port, or `off`"
            )
        };
        let listener = TcpListener::bind(listen).await.with_context(failed)?;
        let address = listener.local_addr().with_context(failed)?;
        let mut process = Registry::default();
        process_metrics::register(&mut process);
        let shared = Arc::new(Shared {
            process,
            parts: OnceLock::new(),
        });
        let router = router(Arc::clone(&shared));
        let shutdown = CancellationToken::new();
        let until = shutdown.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let serve = axum::serve(listener, router);
            // Open keep-alive connections of a scraper are no reason to stay.
            tokio::select! {
                served = serve => if let Err(error) = served {
                    tracing::error!(error = %error, "the metrics port failed");
                },
                () = until => {}
            }
        });
        Ok(Self {
            address,
            shared,
            shutdown,
            task,
        })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Tells from now on what the parts of the process say; they are bound once.
    pub(crate) fn tell(&self, registry: Registry, checks: Vec<Check>) {
        self.shared.parts.get_or_init(|| Parts { registry, checks });
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        // A panic was logged where it happened.
        let _ = self.task.await;
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let reasons: Vec<_> = match shared.parts.get() {
        Some(parts) => parts
            .checks
            .iter()
            .filter_map(|check| check().err())
            .collect(),
        None => vec!["the broker is being opened".to_owned()],
    };
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {}\n", reasons.join("; ")),
    )
        .into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let parts = shared.parts.get();
    let registry = parts.map_or(&shared.process, |parts| &parts.registry);
    let mut body = String::new();
    match text::encode(&mut body, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn start() -> OpsServer {
        OpsServer::start("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn probes_and_metrics_are_answered() {
        let server = start().await;
        let address = server.local_addr();
        let mut registry = Registry::default();
        process_metrics::register(&mut registry);
        server.tell(
            registry,
            vec![
                Box::new(|| Ok(())),
                Box::new(|| Err("NATS is away".to_owned())),
                Box::new(|| Err("starting".to_owned())),
            ],
        );
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(
            ready.ends_with("not ready: NATS is away; starting\n"),
            "{ready}"
        );
        let metrics = get(address, "/metrics").await;
        assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"));
        for line in [
            "parlor_build_info{version=",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "process_open_fds ",
        ] {
            assert!(
                metrics.contains(&format!("\n{line}")),
                "no {line} in {metrics}"
            );
        }
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
        server.stop().await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn before_the_parts_are_there_it_is_alive_and_not_ready() {
        let server = start().await;
        let address = server.local_addr();
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(
            get(address, "/metrics")
                .await
                .contains("\nprocess_open_fds ")
        );
        server.tell(Registry::default(), Vec::new());
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_flag() {
        let first = start().await;
        let error = OpsServer::start(first.local_addr()).await.err().unwrap();
        let words = format!("{error:#}");
        assert!(
            words.contains(&format!("--metrics-listen {}", first.local_addr())),
            "{words}"
        );
    }
}
