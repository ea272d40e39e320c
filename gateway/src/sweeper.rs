//! The one timer of all sockets: pings, the dead, those that never said hello, those that do not read,
//! and closes that nobody confirms.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use tokio::time::MissedTickBehavior;

use crate::{clock::mono_ms, shared::Shared};

/// How often every socket is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Sweeps for as long as it is polled.
pub(crate) async fn run<B: Bus>(shared: Arc<Shared<B>>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = mono_ms();
        shared.sessions.for_each(|session| session.sweep(now));
    }
}
