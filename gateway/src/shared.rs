//! What every part of a gateway has at hand.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use proto::{Limits, subject::Subjects};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    Options,
    admission::Admission,
    backoff::Backoff,
    hub::{self, Hub},
    identity::Guests,
    metrics::Metrics,
    presence::{self, Presence},
    session::registry::Registry,
    sweeper,
    upstream::{self, Upstream},
    user,
};

/// The parts of one gateway, for all its tasks.
pub(crate) struct Shared<B> {
    pub(crate) bus: B,
    pub(crate) subjects: Subjects,
    pub(crate) limits: Limits,
    /// Who this process is on the bus.
    pub(crate) me: Arc<str>,
    pub(crate) time_zone: chrono_tz::Tz,
    /// Whether somebody without a token may come in.
    pub(crate) guests: bool,
    pub(crate) identity: Guests,
    pub(crate) admission: Admission,
    pub(crate) upstream: Upstream<B>,
    pub(crate) hub: Hub,
    pub(crate) sessions: Registry,
    pub(crate) presence: Presence,
    pub(crate) metrics: Arc<Metrics>,
}

impl<B: Bus> Shared<B> {
    pub(crate) fn new(
        options: &Options,
        bus: B,
        registry: &mut prometheus_client::registry::Registry,
    ) -> Self {
        let metrics = Arc::new(Metrics::register(registry));
        Self {
            upstream: Upstream::new(bus.clone(), options.subjects.clone(), Arc::clone(&metrics)),
            bus,
            subjects: options.subjects.clone(),
            limits: options.limits.clone(),
            me: options.gateway_id.as_str().into(),
            time_zone: options.time_zone,
            guests: options.guests,
            identity: Guests::default(),
            admission: Admission::new(&options.limits, Instant::now()),
            hub: Hub::default(),
            sessions: Registry::default(),
            presence: Presence::default(),
            metrics,
        }
    }

    /// Listens to a pattern, however long the broker is away. Cancel-safe.
    pub(crate) async fn subscribe(&self, pattern: &str) -> B::Subscription {
        let mut backoff = Backoff::between(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            match self.bus.subscribe(pattern).await {
                Ok(subscription) => return subscription,
                Err(error) if backoff.is_first() => {
                    warn!(bus.pattern = pattern, error = %error, "cannot listen yet, trying again");
                }
                Err(error) => debug!(bus.pattern = pattern, error = %error, "still cannot listen"),
            }
            backoff.wait().await;
        }
    }

    /// Runs everything that serves no single socket, until shutdown; tells the owners at the end that
    /// nobody is here any more.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let work = async {
            tokio::join!(
                upstream::run(Arc::clone(&self)),
                upstream::run_routes(Arc::clone(&self)),
                user::run(Arc::clone(&self)),
                presence::run(Arc::clone(&self)),
                hub::run(Arc::clone(&self)),
                sweeper::run(Arc::clone(&self)),
            );
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
        presence::leave(&self).await;
    }
}
