//! Spans to a collector over OTLP. Only spans of [`TARGET`] go there; a collector that is away costs
//! the traces and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use broker::trace::TARGET;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::{Subscriber, info, warn};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Longer than a collector that is there needs for a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of the process waits for the last batch. It comes out of the 5 s that a supervisor
/// gives beyond the drain deadline.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The way to the collector.
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to send; inside a tokio runtime. Does not wait for the collector.
    pub(super) fn start(endpoint: &str, service: &'static str, instance: &str) -> Result<Self> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_batch_exporter(Told {
                exporter,
                failing: Arc::default(),
            })
            .build();
        Ok(Self { provider })
    }

    /// The layer that makes spans of [`TARGET`] into traces.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        layer(&self.provider)
    }

    /// Sends what is left, for a limited time.
    pub(super) async fn shutdown(self) {
        let provider = self.provider;
        // It blocks; the exporter's own tasks need this runtime meanwhile.
        let flush = move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
        let flushed = tokio::time::timeout(SHUTDOWN_TIMEOUT, tokio::task::spawn_blocking(flush));
        if !matches!(flushed.await, Ok(Ok(Ok(())))) {
            warn!("the last traces may not have reached the collector");
        }
    }
}

fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("parlor"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(filter_fn(|metadata| {
            metadata.is_span() && metadata.target() == TARGET
        }))
}

/// Says once when the collector goes away, and once when it is back.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    failing: Arc<AtomicBool>,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        let failing = result.is_err();
        let was_failing = self.failing.swap(failing, Ordering::Relaxed);
        match &result {
            Err(error) if !was_failing => warn!(
                otlp.spans = spans,
                error = %error,
                "the collector does not take traces; they are lost until it does"
            ),
            Ok(()) if was_failing => info!("the collector takes traces again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
