//! Where browsers and Prometheus come in.

use std::net::SocketAddr;

use clap::Args;
use ipnet::IpNet;

use super::values::{Listen, socket_address};

/// Where browsers come in, and from where they may.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Browsers")]
pub(crate) struct NetworkArgs {
    /// Address for browsers: pages and WebSockets
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub(crate) listen: SocketAddr,
    /// Origins whose pages may connect, beside our own: `https://chat.example.org,https://*.example.org`
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub(crate) allowed_origins: Vec<gateway::OriginPattern>,
    /// Networks of reverse proxies whose X-Forwarded-For is believed
    #[arg(
        long,
        value_name = "NETWORKS",
        value_delimiter = ',',
        default_values = ["127.0.0.0/8", "::1/128"],
        value_parser = network
    )]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Time zone of the classic protocol's timestamps
    #[arg(long, value_name = "NAME", default_value = "UTC", value_parser = time_zone)]
    pub(crate) time_zone: chrono_tz::Tz,
}

/// Where Prometheus and probes come in.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Watching")]
pub(crate) struct MetricsArgs {
    /// Address for /healthz, /readyz and /metrics, or `off`
    #[arg(long, value_name = "ADDRESS|off", default_value = "127.0.0.1:9091")]
    pub(crate) metrics_listen: Listen,
}

/// A network in CIDR notation; a bare address is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let bare = || {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| IpNet::from(address))
    };
    text.parse().ok().or_else(bare).ok_or_else(|| {
        "expected an IP address or a network such as 10.0.0.0/8 or fd00::/8".to_owned()
    })
}

fn time_zone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| {
        "expected the name of a time zone, such as UTC, Europe/Berlin or Asia/Shanghai".to_owned()
    })
}
