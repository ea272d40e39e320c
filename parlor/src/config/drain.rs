//! How a gateway says good-bye.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::values::duration;

/// How long a load balancer takes to notice that a gateway is unready.
const BEHIND_A_BALANCER: Duration = Duration::from_secs(5);

/// The phases of a gateway's drain after SIGTERM.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Shutdown")]
pub(crate) struct DrainArgs {
    /// Time between unready and closing the door [default: 0 on a loopback --listen, else 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    drain_delay: Option<Duration>,
    /// Time over which clients are told to move to another gateway
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    drain_window: Duration,
    /// Time after which the gateway ends, whoever is still connected
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration)]
    drain_deadline: Duration,
}

impl DrainArgs {
    pub(crate) fn options(&self, listen: SocketAddr) -> gateway::DrainOptions {
        let default = if listen.ip().is_loopback() {
            Duration::ZERO
        } else {
            BEHIND_A_BALANCER
        };
        gateway::DrainOptions {
            delay: self.drain_delay.unwrap_or(default),
            window: self.drain_window,
            deadline: self.drain_deadline,
        }
    }
}
