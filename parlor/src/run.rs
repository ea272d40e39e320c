//! Runs a plan until a signal: answers probes, opens the broker, binds, names the listeners, says
//! `ready`, ends in order.
//! Everything that serves lives in its own crate; here it is only put together.

mod broker;
mod part;
mod parts;
mod signals;

use std::future;

use ::broker::Broker;

use tracing::info;

pub(crate) use self::broker::{connect, open};
use self::{parts::Parts, signals::Signals};
use crate::{
    config::{BrokerChoice, Plan},
    failure::Failure,
    ops_server::OpsServer,
    telemetry::{self, Telemetry},
};

/// Runs until a signal has ended everything, or something cannot go on.
pub(crate) async fn run(plan: Plan) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let telemetry = Telemetry::start(&plan.logging, plan.service, &plan.id)?;
    info!(
        service.instance.id = plan.id,
        "{} {} starts",
        plan.service,
        env!("CARGO_PKG_VERSION")
    );
    telemetry::tell(&plan.remarks);
    let result = Box::pin(run_with(plan, &signals)).await;
    tokio::select! {
        biased; // After a second signal nothing is waited for.
        _ = signals.second() => {}
        () = telemetry.shutdown() => {}
    }
    result
}

async fn run_with(plan: Plan, signals: &Signals) -> Result<(), Failure> {
    // Before the broker, so that probes are answered while it takes its time to open.
    let ops = match plan.metrics.address() {
        Some(listen) => Some(OpsServer::start(listen).await?),
        None => None,
    };
    if let Some(ops) = &ops {
        info!(listening.metrics = %ops.local_addr(), "listening for probes and Prometheus");
    }
    match plan.broker.clone() {
        BrokerChoice::Embedded(folder) => {
            let embedded = tokio::select! {
                opened = broker::open(folder) => opened?,
                // A repair of the data file that is cut short is made anew at the next start.
                () = signals.shutdown().cancelled() => {
                    info!("stopped before the data folder was open");
                    return Ok(());
                }
            };
            Box::pin(run_on(embedded, plan, ops, future::pending(), signals)).await
        }
        BrokerChoice::Nats(choice) => {
            let nats = broker::connect(choice, plan.role).await?;
            let unusable = broker::unusable(nats.clone());
            Box::pin(run_on(nats, plan, ops, unusable, signals)).await
        }
    }
}

/// Runs until the end of whichever comes first: all parts in order, a broker that will never do, a
/// second signal.
async fn run_on<B: Broker>(
    broker: B,
    plan: Plan,
    ops: Option<OpsServer>,
    unusable: impl Future<Output = Failure>,
    signals: &Signals,
) -> Result<(), Failure> {
    let parts = Box::pin(Parts::bind(plan, broker, ops)).await?;
    tokio::select! {
        ended = Box::pin(parts.run(signals)) => ended,
        failure = unusable => Err(failure),
        failure = signals.second() => Err(failure),
    }
}
