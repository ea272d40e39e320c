//! Reads from the owner what the subscription missed. One reading at a time for a room, fifty for the
//! process.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use proto::bus::v1::{Read, request};
use tracing::debug;

use super::{Room, state::Missing};
use crate::{backoff::Backoff, shared::Shared, upstream::Answer};

/// How far behind a room may be and still be read on; beyond, its members resume with a gap.
pub(super) const CATCH_UP: u32 = 4_096;

/// Reads until nothing is missing. Started by whoever set the room's mark that it runs.
pub(super) async fn run<B: Bus>(room: Arc<Room>, shared: Arc<Shared<B>>) {
    let mut backoff = Backoff::between(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        // Held for one reading only, so that an owner who is away holds up nobody else's rooms.
        let Ok(permit) = shared.hub.repairs.acquire().await else {
            return;
        };
        let Some(missing) = room.missing() else {
            return;
        };
        shared.metrics.repairs.inc();
        let read = read_above(&shared, missing);
        match shared.upstream.call(room.id(), read, None).await {
            Ok(Answer::Room { room: view, epoch }) => {
                if !room.repaired(&shared, view, epoch) {
                    return;
                }
            }
            other => {
                debug!(answer = ?other, "missing events could not be read, trying again");
                drop(permit);
                backoff.wait().await;
            }
        }
    }
}

fn read_above<B>(shared: &Shared<B>, missing: Missing) -> request::Op {
    request::Op::Read(Read {
        after: Some(missing.after),
        after_gen: missing.generation,
        limit: 0,
        catch_up: CATCH_UP,
        min_seq: missing.min_seq,
        gateway: shared.me.to_string(),
    })
}
