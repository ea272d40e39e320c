//! The life of a gateway: what state it is in, who may see it, and how it ends. It decides when, never
//! how a socket is closed: that is the sessions' part.

mod departure;

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::sync::watch;

pub(crate) use departure::Departure;

/// Where in its life a gateway is. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifecycle {
    /// It listens; the bus or the installation is not known yet.
    Starting,
    /// It serves.
    Ready,
    /// It was told to stop and sees everybody off.
    Draining,
    /// Nobody is connected any more.
    Ended,
}

impl Lifecycle {
    const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::Ended];

    fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// The state, shared by whoever moves it and whoever looks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    state: Arc<watch::Sender<Lifecycle>>,
    /// `parlor_gateway_lifecycle{state}`: 1 for the present state, 0 for the others.
    metric: Family<StateLabel, Gauge>,
}

impl Life {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metric = Family::default();
        registry.register(
            "parlor_gateway_lifecycle",
            "1 for the state that the gateway is in, 0 for the others",
            metric.clone(),
        );
        let life = Self {
            state: Arc::new(watch::Sender::new(Lifecycle::Starting)),
            metric,
        };
        life.export();
        life
    }

    pub(crate) fn now(&self) -> Lifecycle {
        *self.state.borrow()
    }

    /// Moves forward to `next`; does nothing when it is there or beyond.
    pub(crate) fn advance(&self, next: Lifecycle) {
        let moved = self.state.send_if_modified(|state| {
            let forward = *state < next;
            if forward {
                *state = next;
            }
            forward
        });
        if moved {
            self.export();
            tracing::info!(gateway.lifecycle = next.as_str(), "lifecycle");
        }
    }

    /// Returns when the state is [`Lifecycle::Ready`]; never, once it is beyond.
    ///
    /// Cancel-safe.
    pub(crate) async fn ready(&self) {
        let mut changes = self.state.subscribe();
        // The sender is held by `self`: the wait cannot fail.
        let _ = changes.wait_for(|state| *state == Lifecycle::Ready).await;
    }

    fn export(&self) {
        let now = self.now();
        for state in Lifecycle::ALL {
            self.metric
                .get_or_create(&StateLabel {
                    state: state.as_str(),
                })
                .set(i64::from(state == now));
        }
    }
}

#[cfg(test)]
mod tests;
