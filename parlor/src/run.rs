//! Runs a plan until a signal: connects, binds, names the listeners, says `ready`, ends in order.
//! Everything that serves lives in its own crate; here it is only put together.

mod broker;
mod parts;
mod signals;

use std::future;

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
    telemetry::tell(&plan.remarks);
    let result = Box::pin(run_with(plan, &signals)).await;
    telemetry.shutdown().await;
    result
}

async fn run_with(plan: Plan, signals: &Signals) -> Result<(), Failure> {
    let Plan {
        gateway,
        rooms,
        role,
        ..
    } = plan;
    // First of all, so that probes are answered however long the rest takes.
    let ops = match plan.metrics.address() {
        Some(listen) => Some(OpsServer::bind(listen).await?),
        None => None,
    };
    match plan.broker {
        BrokerChoice::Embedded(folder) => {
            let embedded = broker::open(folder).await?;
            let parts = Parts::bind(gateway, rooms, embedded, ops).await?;
            until_the_end(parts.run(signals), future::pending(), signals).await
        }
        BrokerChoice::Nats(choice) => {
            let nats = broker::connect(choice, role).await?;
            let unusable = broker::unusable(nats.clone());
            let parts = Parts::bind(gateway, rooms, nats, ops).await?;
            until_the_end(parts.run(signals), unusable, signals).await
        }
    }
}

/// Whichever comes first: all ended in order, a broker that will never do, a second signal.
async fn until_the_end(
    run: impl Future<Output = Result<(), Failure>>,
    unusable: impl Future<Output = Failure>,
    signals: &Signals,
) -> Result<(), Failure> {
    tokio::select! {
        ended = run => ended,
        failure = unusable => Err(failure),
        failure = signals.second() => Err(failure),
    }
}
