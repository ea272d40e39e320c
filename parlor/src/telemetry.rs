//! What this process tells: log lines on stderr (`logs`), traces to a collector (`traces`), metrics
//! about the process itself (`process_metrics`). Set up once, at the start of main.

mod logs;
pub(crate) mod process_metrics;
mod traces;

use anyhow::{Context as _, Result};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LoggingArgs, Remark};

/// Keeps traces flowing; [`shutdown`](Self::shutdown) sends the last ones.
pub(crate) struct Telemetry {
    traces: Option<traces::Traces>,
}

impl Telemetry {
    /// Installs logs and traces for the whole process; inside a tokio runtime, which the traces need.
    ///
    /// # Errors
    /// When it was done before, or the exporter cannot be made.
    pub(crate) fn start(args: &LoggingArgs, service: &'static str, instance: &str) -> Result<Self> {
        let traces = args.otlp_endpoint.as_deref();
        let traces = traces.map(|endpoint| traces::Traces::start(endpoint, service, instance));
        let traces = traces
            .transpose()
            .context("--otlp-endpoint: cannot make an exporter")?;
        tracing_subscriber::registry()
            .with(traces.as_ref().map(traces::Traces::layer))
            .with(logs::layer(&args.log, args.log_format)?)
            .try_init()
            .context("cannot install the log")?;
        log_panics();
        Ok(Self { traces })
    }

    /// Sends what is left of the traces, for a limited time.
    pub(crate) async fn shutdown(self) {
        if let Some(traces) = self.traces {
            traces.shutdown().await;
        }
    }
}

/// Makes a panic a log line like any other; with RUST_BACKTRACE set, what Rust prints follows.
fn log_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string);
        let words = panic.payload_as_str().unwrap_or_default();
        tracing::error!(panic.location = location, "a fault of ours: {words}");
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default(panic);
        }
    }));
}

/// Logs what the configuration wants a person to know.
pub(crate) fn tell(remarks: &[Remark]) {
    for remark in remarks {
        match remark {
            Remark::Info(words) => tracing::info!("{words}"),
            Remark::Warn(words) => tracing::warn!("{words}"),
        }
    }
}
