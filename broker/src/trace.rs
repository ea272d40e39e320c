//! W3C trace context between processes: a span of one becomes the parent of a span in another.
//! Spans that are meant for OTLP have the target [`TARGET`], so that a process without OTLP pays for
//! none of them.

use std::collections::HashMap;

use opentelemetry::{propagation::TextMapPropagator as _, trace::TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Target of the spans that go to OTLP.
pub const TARGET: &str = "parlor::otel";

/// The `traceparent` of a span; `None` when nothing records it.
pub fn traceparent(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags().to_u8()
        )
    })
}

/// Makes what `traceparent` names the parent of a span. Nothing happens when either is absent or the
/// text is no trace context.
pub fn set_parent(span: &Span, traceparent: Option<&str>) {
    if let Some(context) = context_of(span, traceparent) {
        // The span was just made, so there is no earlier parent to conflict with.
        let _ = span.set_parent(context);
    }
}

/// Links a span to what `traceparent` names, without making it the parent.
pub fn add_link(span: &Span, traceparent: Option<&str>) {
    if let Some(context) = context_of(span, traceparent) {
        span.add_link(context.span().span_context().clone());
    }
}

fn context_of(span: &Span, traceparent: Option<&str>) -> Option<opentelemetry::Context> {
    if span.is_disabled() {
        return None;
    }
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent?.to_owned())]);
    Some(TraceContextPropagator::new().extract(&carrier))
}
