//! Operations on rooms: on one room in the order in which they came, on several at a time. A lane's
//! task is there only while the lane has work.
//!
//! A message whose socket was closed after it was read is still sent: its sender will ask for it with
//! the same cid. Joins and readings of a closed socket are dropped.

mod history;
mod send;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use broker::Bus;
use parking_lot::Mutex;
use proto::{
    Code, RoomId,
    frame::{Cursor, Echo},
};

use super::{Session, Wish};
use crate::{
    close::Close,
    hub::{self, Form, Join},
    shared::Shared,
};

pub(super) use history::History;
pub(super) use send::{Send, span};

/// Operations of a session that may wait; beyond, its socket is not read.
const MAX_OPS: usize = 128;
/// Bytes of them.
const MAX_BYTES: usize = 256 * 1024;

/// An operation on a room.
pub(super) enum Op {
    Join {
        asked: String,
        after: Option<Cursor>,
        history: u32,
        echo: Echo,
        wish: Wish,
    },
    Leave,
    Send(Box<Send>),
    History(Box<History>),
}

/// The lanes of a session.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Work>);

#[derive(Default)]
struct Work {
    /// What waits behind the operation under way, of lanes that have one.
    waiting: HashMap<RoomId, VecDeque<Op>>,
    ops: usize,
    bytes: usize,
}

impl Op {
    fn len(&self) -> usize {
        match self {
            Self::Join { asked, .. } => asked.len(),
            Self::Leave | Self::History(_) => 0,
            Self::Send(send) => send.body.len(),
        }
    }
}

impl Lanes {
    /// Whether no more should be read from the socket.
    pub(super) fn is_full(&self) -> bool {
        let work = self.0.lock();
        work.ops >= MAX_OPS || work.bytes >= MAX_BYTES
    }
}

/// Queues an operation, and starts its lane if it has no work yet.
pub(super) fn enqueue<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Arc<Session>,
    room: RoomId,
    op: Op,
) {
    let mut work = session.lanes.0.lock();
    work.ops += 1;
    work.bytes += op.len();
    if let Some(lane) = work.waiting.get_mut(&room) {
        lane.push_back(op);
        return;
    }
    work.waiting.insert(room.clone(), VecDeque::new());
    drop(work);
    tokio::spawn(run(Arc::clone(shared), Arc::clone(session), room, op));
}

async fn run<B: Bus>(shared: Arc<Shared<B>>, session: Arc<Session>, room: RoomId, first: Op) {
    let mut next = Some(first);
    while let Some(op) = next {
        let len = op.len();
        match op {
            Op::Join {
                asked,
                after,
                history,
                echo,
                wish,
            } => {
                let join = Join {
                    room: room.clone(),
                    asked,
                    after,
                    history,
                };
                Box::pin(join_room(&shared, &session, join, &echo, wish)).await;
            }
            Op::Leave => session.leave(&room),
            Op::Send(send) => {
                if Box::pin(send::run(&shared, &session, &room, &send))
                    .await
                    .is_err()
                {
                    fail_waiting(&shared, &session, &room);
                }
            }
            Op::History(history) => {
                if Box::pin(history::run(&shared, &session, &room, &history))
                    .await
                    .is_err()
                {
                    fail_waiting(&shared, &session, &room);
                }
            }
        }
        next = session.finished(&room, len);
        session.outbox.wake();
    }
}

async fn join_room<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Arc<Session>,
    join: Join,
    echo: &Echo,
    wish: Wish,
) {
    let Ok(_permit) = session.readings.acquire().await else {
        return;
    };
    if session.has_ended() {
        return;
    }
    let joins = &shared.metrics.joins;
    let room = join.room.clone();
    let Err(refusal) = hub::join(shared, session, join).await else {
        joins.joined.inc();
        return;
    };
    match refusal.code {
        Code::Unavailable => joins.unavailable.inc(),
        _ => joins.refused.inc(),
    };
    session.failed_to_join(&room, wish);
    session.refuse(refusal, echo, None);
    if session.form == Form::Classic {
        // There is nothing else this socket could do.
        session.outbox.close(match refusal.code {
            Code::Unavailable | Code::Internal => Close::INTERNAL,
            _ => Close::DONE,
        });
    }
}

/// The owner could not be reached for an operation: what is queued behind it for the owner is not tried
/// either.
fn fail_waiting<B: Bus>(shared: &Shared<B>, session: &Session, room: &RoomId) {
    let mut failed = Vec::new();
    {
        let mut work = session.lanes.0.lock();
        let Some(lane) = work.waiting.get_mut(room) else {
            return;
        };
        let mut kept = VecDeque::new();
        for op in lane.drain(..) {
            match op {
                Op::Send(_) | Op::History(_) => failed.push(op),
                Op::Join { .. } | Op::Leave => kept.push_back(op),
            }
        }
        *lane = kept;
        work.ops -= failed.len();
        work.bytes -= failed.iter().map(Op::len).sum::<usize>();
    }
    for op in failed {
        match op {
            Op::Send(send) => send.unavailable(shared, session),
            Op::History(history) => history.unavailable(shared, session),
            Op::Join { .. } | Op::Leave => {}
        }
    }
}

impl Session {
    /// The next operation of a lane whose last one, of `len` bytes, is done; the lane ends with `None`.
    fn finished(&self, room: &RoomId, len: usize) -> Option<Op> {
        let mut work = self.lanes.0.lock();
        work.ops -= 1;
        work.bytes -= len;
        let next = work.waiting.get_mut(room).and_then(VecDeque::pop_front);
        if next.is_none() {
            work.waiting.remove(room);
            if work.waiting.is_empty() {
                work.waiting = HashMap::new();
            }
        }
        next
    }
}
