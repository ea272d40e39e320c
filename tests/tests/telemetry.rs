//! One trace of one message, and a collector that is not there.

use std::{sync::Arc, time::Duration};

use broker::testing::NatsServer;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use parking_lot::Mutex;
use tests::{Browser, Parlor, eventually, http::get};
use tokio::{net::TcpListener, time::Instant};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// A collector: service name and span.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let name = attributes
                .iter()
                .find(|attribute| attribute.key == "service.name");
            let name = format!("{:?}", name.and_then(|name| name.value.clone()));
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| (name.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn one_trace_spans_gateway_room_service_and_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Collector::default();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);

    let nats = NatsServer::start().await;
    let otlp = ["--otlp-endpoint", &endpoint];
    let service = Parlor::room_service(&nats.url(), &otlp);
    let here = Parlor::gateway(&nats.url(), &otlp);
    let there = Parlor::gateway(&nats.url(), &otlp);
    for process in [&service, &here, &there] {
        process.ready().await;
    }
    let mut ann = Browser::enter(here.address("http").await, "Ann", &["lobby"]).await;
    let mut bo = Browser::enter(there.address("http").await, "Bo", &["lobby"]).await;
    ann.send("lobby", "c1", "hi").await;
    bo.events("lobby", 1).await;

    let names = eventually("a whole trace", || {
        let spans = collector.0.lock().clone();
        async move {
            let (_, commit) = spans
                .iter()
                .find(|(_, span)| span.name.contains("commit"))?;
            let same = spans
                .iter()
                .filter(|(_, span)| span.trace_id == commit.trace_id);
            let names: Vec<_> = same
                .map(|(of, span)| (of.clone(), span.name.clone()))
                .collect();
            let gateways = names
                .iter()
                .filter(|(of, _)| of.contains("gateway"))
                .count();
            // The send and its request here, the fan-out there (and here).
            (gateways >= 3 && names.len() >= 5).then_some(names)
        }
    })
    .await;
    assert!(
        names.iter().any(|(of, _)| of.contains("room-service")),
        "{names:?}"
    );
    println!("{names:#?}");
}

#[tokio::test]
async fn an_absent_collector_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    // It takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &silent] {
        let parlor = Parlor::serve(dir.path(), &["--otlp-endpoint", endpoint]).await;
        let mut ann = Browser::enter(parlor.address("http").await, "Ann", &["lobby"]).await;
        ann.send("lobby", "c1", "hi").await;
        ann.leave().await;
        let metrics = parlor.address("metrics").await;
        assert!(get(metrics, "/readyz").await.starts_with("HTTP/1.1 200"));
        let asked = Instant::now();
        assert!(parlor.terminate().await.success());
        // With nobody connected, what is left is what a supervisor gives beyond the drain deadline.
        assert!(asked.elapsed() < Duration::from_secs(5), "{endpoint}");
    }
}
