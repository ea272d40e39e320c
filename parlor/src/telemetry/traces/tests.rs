use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, time::Instant};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Two processes' worth of spans, and things that are no traces. Returns the first one's `traceparent`.
fn talk(traces: &Traces) -> String {
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    tracing::subscriber::with_default(subscriber, || {
        let first = tracing::info_span!(target: TARGET, "first");
        let traceparent = broker::trace::traceparent(&first);
        let second = tracing::info_span!(target: TARGET, "second");
        broker::trace::set_parent(&second, traceparent.as_deref());
        second.in_scope(|| {
            tracing::info!("an event of no concern");
            tracing::info_span!("a span of no concern").in_scope(|| {});
        });
        traceparent.expect("a recorded span has a context")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_meant_for_it_with_parent_and_origin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Collector::default();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);

    let traces = Traces::start(&endpoint, "parlor-gateway", "here-1").unwrap();
    let traceparent = talk(&traces);
    traces.shutdown().await;

    let requests = collector.0.lock();
    let resources: Vec<_> = requests.iter().flat_map(|r| &r.resource_spans).collect();
    let attributes = &resources[0].resource.as_ref().unwrap().attributes;
    for (key, expected) in [
        ("service.name", "parlor-gateway"),
        ("service.instance.id", "here-1"),
    ] {
        let found = attributes
            .iter()
            .find(|a| a.key == key)
            .and_then(|a| a.value.clone());
        let expected = Some(Value::StringValue(expected.to_owned()));
        assert_eq!(found.and_then(|v| v.value), expected, "{key}");
    }
    let mut spans: Vec<_> = resources
        .iter()
        .flat_map(|r| &r.scope_spans)
        .flat_map(|s| &s.spans)
        .collect();
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(spans[0].trace_id, spans[1].trace_id);
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    assert!(spans.iter().all(|span| span.events.is_empty()));
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let expected = format!(
        "00-{}-{}-01",
        hex(&spans[0].trace_id),
        hex(&spans[0].span_id)
    );
    assert_eq!(traceparent, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_no_more_than_the_traces() {
    let begun = Instant::now();
    // Nothing listens on port 1; 192.0.2.1 (for documentation) does not even refuse.
    for endpoint in ["http://127.0.0.1:1", "http://192.0.2.1:4317"] {
        let traces = Traces::start(endpoint, "parlor", "here-1").unwrap();
        talk(&traces);
        traces.shutdown().await;
    }
    assert!(begun.elapsed() < 2 * SHUTDOWN_TIMEOUT + Duration::from_secs(2));
}
