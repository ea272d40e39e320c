//! The parts of a process: what is bound before it runs, and in which order it ends. The gateway goes
//! first, so that what its clients have sent is still acked; the room service follows; probes are
//! answered to the last.

use ::broker::Broker;
use gateway::Gateway;
use prometheus_client::registry::Registry;
use room_service::RoomService;
use tracing::info;

use super::{
    part::{Part, end_in_order},
    signals::Signals,
};
use crate::{
    config::Plan,
    failure::Failure,
    ops_server::{Check, OpsServer},
    telemetry::process_metrics,
};

/// Everything bound, nothing running.
pub(super) struct Parts<B: Broker> {
    gateway: Option<Gateway<B>>,
    rooms: Option<RoomService<B>>,
    ops: Option<OpsServer>,
    registry: Registry,
}

impl<B: Broker> Parts<B> {
    /// Binds what the plan has, and names the addresses; `ops` answers already.
    pub(super) async fn bind(
        plan: Plan,
        broker: B,
        ops: Option<OpsServer>,
    ) -> Result<Self, Failure> {
        let mut registry = Registry::default();
        process_metrics::register(&mut registry);
        let gateway = match plan.gateway {
            Some(options) => Some(Gateway::bind(options, broker.clone(), &mut registry).await),
            None => None,
        };
        let rooms = match plan.rooms {
            Some(options) => Some(RoomService::bind(options, broker, &mut registry).await),
            None => None,
        };
        let parts = Self {
            gateway: gateway.transpose().map_err(anyhow::Error::from)?,
            rooms: rooms.transpose().map_err(anyhow::Error::from)?,
            ops,
            registry,
        };
        parts.tell_addresses();
        Ok(parts)
    }

    fn tell_addresses(&self) {
        if let Some(gateway) = &self.gateway {
            let address = gateway.local_addr();
            info!(listening.http = %address, "listening for browsers on http://{address}");
        }
        if let Some(address) = self.rooms.as_ref().and_then(RoomService::admin_addr) {
            info!(listening.admin = %address, "listening for operators (gRPC)");
        }
    }

    /// Runs until the first signal has ended all parts in order, or a part fails.
    pub(super) async fn run(self, signals: &Signals) -> Result<(), Failure> {
        let gateway_handle = self.gateway.as_ref().map(Gateway::handle);
        let rooms_handle = self.rooms.as_ref().map(RoomService::handle);
        let mut checks: Vec<Check> = Vec::new();
        if let Some(handle) = rooms_handle.clone() {
            checks.push(Box::new(move || handle.readiness()));
        }
        if let Some(handle) = gateway_handle.clone() {
            checks.push(Box::new(move || handle.readiness()));
        }
        if let Some(ops) = &self.ops {
            ops.tell(self.registry, checks);
        }
        let gateway = self.gateway.map(|gateway| {
            Part::start("the gateway", |shutdown| async move {
                Ok(gateway.run(shutdown).await?)
            })
        });
        let rooms = self.rooms.map(|rooms| {
            Part::start("the room service", |shutdown| async move {
                Ok(rooms.run(shutdown).await?)
            })
        });
        let ready = async {
            if let Some(handle) = rooms_handle {
                handle.ready().await;
            }
            if let Some(handle) = gateway_handle {
                handle.ready().await;
            }
            info!("ready");
        };
        let shutdown = signals.shutdown();
        tokio::select! {
            ended = end_in_order([gateway, rooms], shutdown) => ended?,
            never = async { shutdown.run_until_cancelled(ready).await; std::future::pending().await } => never,
        }
        if let Some(ops) = self.ops {
            ops.stop().await;
        }
        info!("stopped");
        Ok(())
    }
}
