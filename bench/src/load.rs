//! Messages to send, and how long they took.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use broker::Broker;
use proto::{
    RoomId,
    bus::v1::{Send, reply, request, send::Body},
    log::v1::{Author, Message},
};
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

use crate::stage::Stage;

/// Bytes of a message.
const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Sends one message and waits for its ack.
pub(crate) async fn send<B: Broker>(stage: &Stage<B>, room: &RoomId, cid: String) -> Result<u64> {
    let send = Send {
        from: Some(Author {
            id: "u_bench".to_owned(),
            nick: "bench".to_owned(),
            ..Author::default()
        }),
        cid,
        asked: room.to_string(),
        body: Some(Body::Message(Message {
            text: TEXT.to_owned(),
            reply_to: 0,
        })),
        ..Send::default()
    };
    match stage.ask(room, request::Op::Send(send)).await? {
        reply::Result::Acked(acked) => Ok(acked.seq),
        other => bail!("a send was answered with {other:?}"),
    }
}

/// Makes messages in order: which room, and under which cid.
pub(crate) trait Plan: std::marker::Send + 'static {
    /// The next message; `None` at the end.
    fn next(&mut self) -> Option<(RoomId, String)>;
}

/// Sends all of a plan, so many at a time; the time that each took.
pub(crate) async fn send_all<B: Broker>(
    stage: &Arc<Stage<B>>,
    plan: impl Plan,
    in_flight: u32,
) -> Result<Vec<Duration>> {
    send_paced(stage, plan, in_flight, Duration::ZERO).await
}

/// The same, with one message due each `every`; what is late is sent at once.
pub(crate) async fn send_paced<B: Broker>(
    stage: &Arc<Stage<B>>,
    plan: impl Plan,
    in_flight: u32,
    every: Duration,
) -> Result<Vec<Duration>> {
    let plan = Arc::new(Mutex::new((plan, Instant::now())));
    let mut senders = JoinSet::new();
    for _ in 0..in_flight {
        let (stage, plan) = (Arc::clone(stage), Arc::clone(&plan));
        senders.spawn(async move {
            let mut took = Vec::new();
            loop {
                let (room, cid) = {
                    let (plan, due) = &mut *plan.lock().await;
                    if !every.is_zero() {
                        tokio::time::sleep_until(*due).await;
                        *due += every;
                    }
                    match plan.next() {
                        Some(next) => next,
                        None => return anyhow::Ok(took),
                    }
                };
                let started = Instant::now();
                send(&stage, &room, cid).await?;
                took.push(started.elapsed());
            }
        });
    }
    let mut took = Vec::new();
    while let Some(sender) = senders.join_next().await {
        took.extend(sender??);
    }
    Ok(took)
}
