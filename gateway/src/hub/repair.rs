//! Reads from the owner what nobody knows yet and what the subscription missed. One reading at a time for
//! a room, fifty for a partition.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use tracing::debug;

use super::{Room, reading, state::Next};
use crate::{backoff::Backoff, shared::Shared};

/// Reads until nothing is missing. Started by whoever set the room's mark that it runs.
pub(super) async fn run<B: Bus>(room: Arc<Room>, shared: Arc<Shared<B>>) {
    let pause = || Backoff::between(Duration::from_millis(100), Duration::from_secs(2));
    let mut backoff = pause();
    let turns = shared.hub.turns(room.pp());
    loop {
        // Held for one reading only. An owner who is away holds up no other partition's rooms.
        let Ok(turn) = turns.acquire().await else {
            return;
        };
        let Some(missing) = room.missing() else {
            return;
        };
        shared.metrics.repairs.inc();
        let next = match reading::read(&shared, room.id(), missing).await {
            Ok(answer) => room.take(&shared, answer),
            Err(refusal) => {
                debug!(error.code = ?refusal.code, "a room could not be read, trying again");
                room.unread(refusal);
                Next::Later
            }
        };
        drop(turn);
        match next {
            Next::Done => return,
            Next::Another => backoff = pause(),
            Next::Later => backoff.wait().await,
        }
    }
}
