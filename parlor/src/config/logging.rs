//! What is told to whom: log lines and traces.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Log lines on stderr and traces over OTLP.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Watching")]
pub(crate) struct LoggingArgs {
    /// Which log lines are written: error, warn, info, debug, or per module such as info,gateway=debug
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub(crate) log: String,
    /// How log lines are written: text or json
    #[arg(
        long,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    pub(crate) log_format: LogFormat,
    /// Where traces go, by OTLP over gRPC: http://collector:4317 [default: nowhere]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub(crate) otlp_endpoint: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "expected error, warn, info, debug or trace, or a list such as info,gateway=debug ({error})"
        )),
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let expected = "expected http://host:port of an OTLP collector's gRPC port, such as \
                    http://127.0.0.1:4317";
    let uri: http::Uri = text.parse().map_err(|_| expected.to_owned())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
        return Err(expected.to_owned());
    }
    Ok(text.to_owned())
}
