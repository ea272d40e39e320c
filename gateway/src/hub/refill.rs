//! Brings the rooms of a session up again that it is behind in, as its socket drains: from what the hub
//! remembers, else from their owners. There is a task for it only while a session is behind.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tracing::debug;

use super::{
    Room, reading,
    state::{Fill, Missing},
};
use crate::{
    outbox::{Behind, FeedId},
    session::Session,
    shared::Shared,
};

/// Rooms of a session that are filled up at a time (DESIGN section 6).
const AT_A_TIME: usize = 4;
/// The pause after an owner could not be asked.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts the refill of a session, for whoever its outbox has told to.
pub(super) fn start<B: Bus>(shared: &Arc<Shared<B>>, session: &Arc<Session>) {
    tokio::spawn(run(Arc::clone(shared), Arc::clone(session)));
}

async fn run<B: Bus>(shared: Arc<Shared<B>>, session: Arc<Session>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_A_TIME
            && let Some(behind) = session.outbox.claim()
        {
            under_way.push(one(&shared, &session, behind));
        }
        if under_way.is_empty() {
            if session.outbox.ends_refill() {
                return;
            }
            continue;
        }
        tokio::select! {
            _ = under_way.next() => {}
            () = session.outbox.more_behind() => {}
        }
    }
}

/// Fills one room up by as much as the socket may have waiting.
async fn one<B: Bus>(shared: &Arc<Shared<B>>, session: &Session, behind: Behind) {
    session.outbox.wait_low().await;
    let Some(room) = behind.room.upgrade() else {
        session.outbox.shut(behind.feed);
        return;
    };
    let mut fill = room.fill(shared, session.id, behind.feed);
    if let Fill::Read(missing) = fill {
        fill = Box::pin(read(shared, session, &room, behind.feed, missing)).await;
    }
    if fill == Fill::Later {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = session.outbox.closing() => {}
        }
    }
    session.outbox.unclaim(behind.feed);
}

async fn read<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Session,
    room: &Room,
    feed: FeedId,
    missing: Missing,
) -> Fill {
    let from = missing.after.unwrap_or(0);
    shared.metrics.refills.inc();
    let answer = tokio::select! {
        answer = reading::read(shared, room.id(), missing) => answer,
        () = session.outbox.closing() => return Fill::Done,
    };
    match answer {
        Ok(answer) => room.refill(shared, (session, feed), from, answer),
        Err(refusal) => {
            debug!(error.code = ?refusal.code, "a slow socket's events could not be read, trying again");
            Fill::Later
        }
    }
}
