//! A gateway's core on a broker in memory, sessions without sockets, and an owner of its one partition
//! that does what a test wants it to do.

mod owner;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use broker::{Bus as _, Delivery, Subscription as _, embedded::Embedded};
use prometheus_client::registry::Registry;
use prost::Message as _;
use proto::{PartitionId, bus::v1::Meta, subject::Subjects};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{DrainOptions, Options, close::Close, hub::Form, session::Session, shared::Shared};

pub(crate) use owner::Owner;

/// The one partition.
pub(crate) const PP: PartitionId = PartitionId::Rooms(0);

/// A gateway's core, its tasks running.
pub(crate) struct Core {
    pub(crate) bus: Embedded,
    pub(crate) shared: Arc<Shared<Embedded>>,
    _tasks: Vec<JoinHandle<()>>,
}

impl Core {
    /// A core that knows its installation.
    pub(crate) async fn start() -> Self {
        Self::start_with(proto::Limits::default()).await
    }

    pub(crate) async fn start_with(limits: proto::Limits) -> Self {
        let bus = Embedded::in_memory().unwrap();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            subjects: Subjects::default(),
            limits,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            time_zone: chrono_tz::UTC,
            guests: true,
            drain: DrainOptions {
                delay: Duration::ZERO,
                window: Duration::from_secs(10),
                deadline: Duration::from_secs(25),
            },
            gateway_id: "g1".to_owned(),
        };
        let shared = Arc::new(Shared::new(&options, bus.clone(), &mut Registry::default()));
        let meta = tokio::spawn(answer_meta(bus.clone()));
        let run = tokio::spawn(Arc::clone(&shared).run(Default::default()));
        shared.upstream.known().await;
        Self {
            bus,
            shared,
            _tasks: vec![meta, run],
        }
    }
}

async fn answer_meta(bus: Embedded) {
    let mut asked = bus.subscribe("parlor.meta.get").await.unwrap();
    let meta = Meta {
        partitions: 1,
        guest_key: b"key".as_slice().into(),
    };
    while let Some(Delivery::Message(message)) = asked.next().await {
        let payload = meta.encode_to_vec().into();
        bus.publish(&message.reply.unwrap(), payload, None)
            .await
            .unwrap();
    }
}

/// A session without a socket, read by hand.
pub(crate) fn session(id: u64, form: Form) -> Arc<Session> {
    Arc::new(Session::new(id, form, web::negotiate(None)))
}

/// Everything queued for a session, as JSON.
pub(crate) fn taken(session: &Session) -> Vec<Value> {
    drain(session).0
}

/// Everything queued for a session, and its close.
pub(crate) fn drain(session: &Session) -> (Vec<Value>, Option<Close>) {
    let mut frames = Vec::new();
    loop {
        let mut batch = VecDeque::new();
        let close = session.outbox.take(&mut batch);
        let is_empty = batch.is_empty();
        let texts = batch.iter().filter_map(|frame| frame.text());
        frames.extend(texts.map(|text| serde_json::from_str::<Value>(text).unwrap()));
        if is_empty || close.is_some() {
            return (frames, close);
        }
    }
}

/// Waits until a session has this many frames, and takes them.
pub(crate) async fn frames(session: &Session, count: usize) -> Vec<Value> {
    let mut frames = taken(session);
    for _ in 0..1_000 {
        if frames.len() >= count {
            break;
        }
        // The clock is paused: this passes as soon as every task has done what it can.
        tokio::time::sleep(Duration::from_millis(1)).await;
        frames.extend(taken(session));
    }
    assert!(frames.len() >= count, "only {frames:#?}");
    frames
}

/// The seqs of `event` frames and of the events in `joined`, in order.
pub(crate) fn seqs(frames: &[Value]) -> Vec<u64> {
    let mut seqs = Vec::new();
    for frame in frames {
        match frame["op"].as_str() {
            Some("event") => seqs.extend(frame["seq"].as_u64()),
            Some("joined") => {
                let events = frame["events"].as_array().unwrap();
                seqs.extend(events.iter().filter_map(|event| event["seq"].as_u64()));
            }
            _ => {}
        }
    }
    seqs
}

/// Lets every task do what it can.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
