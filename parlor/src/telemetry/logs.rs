//! Log lines on stderr: for people, or one JSON object each. Spans meant for a collector are not shown.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, Result};
use broker::trace::TARGET;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt as _, filter_fn},
    fmt::{self, MakeWriter},
    registry::LookupSpan,
};

use crate::config::LogFormat;

/// Libraries that repeat what we log ourselves, at every attempt. `--log info,async_nats=debug` hears
/// them again.
const QUIET: &str = "async_nats=error";

/// The layer for stderr; colours only for a terminal.
pub(super) fn layer<S>(filter: &str, format: LogFormat) -> Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    layer_to(filter, format, io::stderr().is_terminal(), io::stderr)
}

fn layer_to<S, W>(
    filter: &str,
    format: LogFormat,
    ansi: bool,
    writer: W,
) -> Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = format!("{QUIET},{filter}");
    let filter = EnvFilter::builder().parse(filter).context("--log")?;
    let filter = filter.and(filter_fn(|metadata| metadata.target() != TARGET));
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        .log_internal_errors(false);
    Ok(match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Arc};

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the start of a process logs.
    fn log(filter: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let sink = lines.clone();
        let layer = layer_to(filter, format, false, move || sink.clone()).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let address: std::net::SocketAddr = "127.0.0.1:8080".parse().unwrap();
            let span = tracing::info_span!(target: TARGET, "gateway.receive", room = "secret");
            span.in_scope(|| tracing::info!(listening.http = %address, "listening"));
            tracing::debug!("not shown");
            tracing::info!(target: "async_nats::connector", "not shown either");
            tracing::info!("ready");
        });
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_lines_have_plain_fields_and_a_message_alone() {
        let text = log("info", LogFormat::Text);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].ends_with(": listening listening.http=127.0.0.1:8080"),
            "{text}"
        );
        assert!(
            lines[1].contains(" INFO ") && lines[1].ends_with(": ready"),
            "{text}"
        );
        assert!(
            !text.contains('\u{1b}') && !text.contains("secret"),
            "{text}"
        );
    }

    #[test]
    fn json_lines_have_the_same_fields_at_the_top() {
        let text = log("info", LogFormat::Json);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["listening.http"], "127.0.0.1:8080");
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[1]["message"], "ready");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn the_filter_goes_by_level_and_module() {
        assert_eq!(log("warn", LogFormat::Text), "");
        assert_eq!(log("warn,parlor=debug", LogFormat::Text).lines().count(), 3);
        assert_eq!(
            log("off,async_nats=debug", LogFormat::Text).lines().count(),
            1
        );
    }
}
