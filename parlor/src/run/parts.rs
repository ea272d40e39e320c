//! The parts of a process: what is bound before it runs, and in which order it ends. The gateway goes
//! first, so that what its clients have sent is still acked; the room service follows; probes are
//! answered to the last.

use ::broker::Broker;
use anyhow::anyhow;
use gateway::Gateway;
use prometheus_client::registry::Registry;
use room_service::RoomService;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::signals::Signals;
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

/// A running part. Its end before it was asked for is a failure, whatever it says.
struct Part {
    name: &'static str,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl<B: Broker> Parts<B> {
    /// Binds what the plan has, and names the addresses.
    pub(super) async fn bind(plan: Plan, broker: B) -> Result<Self, Failure> {
        let mut registry = Registry::default();
        process_metrics::register(&mut registry);
        let ops = match plan.metrics.address() {
            Some(listen) => Some(OpsServer::bind(listen).await?),
            None => None,
        };
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
            info!(listening.http = %gateway.local_addr(), "listening for browsers");
        }
        if let Some(address) = self.rooms.as_ref().and_then(RoomService::admin_addr) {
            info!(listening.admin = %address, "listening for operators (gRPC)");
        }
        if let Some(ops) = &self.ops {
            info!(listening.metrics = %ops.local_addr(), "listening for probes and Prometheus");
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
        let ops = self.ops.map(|ops| ops.start(self.registry, checks));
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
        if let Some(ops) = ops {
            ops.stop().await;
        }
        info!("stopped");
        Ok(())
    }
}

impl Part {
    fn start<R>(name: &'static str, run: impl FnOnce(CancellationToken) -> R) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(shutdown.clone()));
        Self {
            name,
            shutdown,
            task,
        }
    }

    /// Waits for its end, which is a failure unless it was asked for. Cancel-safe.
    async fn ended(&mut self) -> Result<(), Failure> {
        let result: Result<_, JoinError> = (&mut self.task).await;
        match result {
            Ok(Ok(())) if self.shutdown.is_cancelled() => Ok(()),
            Ok(Ok(())) => Err(Failure::Run(anyhow!("{} ended by itself", self.name))),
            Ok(Err(error)) => Err(Failure::Run(error)),
            Err(_) => Err(Failure::Run(anyhow!(
                "{} failed on a fault of ours; please report the lines above",
                self.name
            ))),
        }
    }

    /// Asks it to end and waits.
    async fn end(mut self) -> Result<(), Failure> {
        self.shutdown.cancel();
        self.ended().await
    }
}

/// Waits for `shutdown`, then ends one part after the other. The first part that fails ends it all.
async fn end_in_order(
    parts: [Option<Part>; 2],
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let [mut first, mut second] = parts;
    tokio::select! {
        () = shutdown.cancelled() => {}
        failed = of(first.as_mut()) => return failed,
        failed = of(second.as_mut()) => return failed,
    }
    if let Some(first) = first {
        // What the second one does meanwhile is told when its turn comes.
        first.end().await?;
    }
    match second {
        Some(second) => second.end().await,
        None => Ok(()),
    }
}

/// The end of a part; none ever, of a part that is not there.
async fn of(part: Option<&mut Part>) -> Result<(), Failure> {
    match part {
        Some(part) => part.ended().await,
        None => std::future::pending().await,
    }
}
