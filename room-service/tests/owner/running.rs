//! A room service that runs on an embedded broker, and how gateways ask it.

use std::time::Duration;

use broker::{Bus as _, embedded::Embedded};
use prometheus_client::registry::Registry;
use prost::Message as _;
use proto::{
    Limits, PartitionCount, PartitionId, RoomId,
    bus::v1::{Announcement, Read, Reply, Request, Room, Send, reply, request, send::Body},
    log::v1::{Author, Message},
    subject::Subjects,
};
use room_service::{Options, RoomService, WallClock};
use tokio_util::sync::CancellationToken;

pub(crate) const SECOND: Duration = Duration::from_secs(5);

pub(crate) struct Running {
    pub(crate) broker: Embedded,
    pub(crate) registry: Registry,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<Result<(), room_service::Error>>,
}

pub(crate) fn options(replica: &str, alone: bool) -> Options {
    Options {
        subjects: Subjects::default(),
        limits: Limits {
            rates: false,
            ..Limits::default()
        },
        replica_id: replica.to_owned(),
        partitions: Some(PartitionCount::new(1).unwrap()),
        default_partitions: PartitionCount::DEFAULT,
        auto_create: true,
        alone,
        admin: None,
        memory_bytes: Options::MEMORY_BYTES,
        wall_clock: WallClock::default(),
    }
}

pub(crate) async fn start(broker: Embedded, replica: &str, alone: bool) -> Running {
    let mut registry = Registry::default();
    let service = RoomService::bind(options(replica, alone), broker.clone(), &mut registry);
    let service = service.await.unwrap();
    let handle = service.handle();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(service.run(shutdown.clone()));
    handle.ready().await;
    Running {
        broker,
        registry,
        shutdown,
        task,
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn epoch(&self) -> u64 {
        let subject = Subjects::default().who(PartitionId::Rooms(0));
        let answer = self
            .broker
            .request(&subject, bytes(), None, SECOND)
            .await
            .unwrap();
        Announcement::decode(answer).unwrap().partitions[0].epoch
    }

    /// The same, when it tells within a tenth of a second.
    pub(crate) async fn try_epoch(&self) -> Option<u64> {
        let subject = Subjects::default().who(PartitionId::Rooms(0));
        let asked = self
            .broker
            .request(&subject, bytes(), None, Duration::from_millis(100));
        let answer = Announcement::decode(asked.await.ok()?).ok()?;
        answer.partitions.first().map(|owned| owned.epoch)
    }

    pub(crate) async fn ask(&self, op: request::Op) -> reply::Result {
        self.ask_in("lobby", op).await
    }

    pub(crate) async fn ask_in(&self, room: &str, op: request::Op) -> reply::Result {
        let room = RoomId::parse(room).unwrap();
        let subject = Subjects::default().inbound(PartitionId::Rooms(0), self.epoch().await, &room);
        let request = Request {
            room: room.to_string(),
            op: Some(op),
        };
        let payload = request.encode_to_vec().into();
        let answer = self
            .broker
            .request(&subject, payload, None, SECOND)
            .await
            .unwrap();
        Reply::decode(answer).unwrap().result.unwrap()
    }

    pub(crate) async fn send(&self, cid: &str) -> reply::Result {
        let from = Author {
            id: "u_1".to_owned(),
            nick: "Ann".to_owned(),
            ..Author::default()
        };
        let send = Send {
            from: Some(from),
            cid: cid.to_owned(),
            since: Some(0),
            body: Some(Body::Message(Message {
                text: "hi".to_owned(),
                reply_to: 0,
            })),
            asked: "Lobby".to_owned(),
            ..Send::default()
        };
        self.ask(request::Op::Send(send)).await
    }

    pub(crate) async fn head(&self) -> u64 {
        let read = Read {
            limit: 50,
            catch_up: 500,
            ..Read::default()
        };
        self.room(request::Op::Read(read)).await.head
    }

    pub(crate) async fn room(&self, op: request::Op) -> Room {
        match self.ask(op).await {
            reply::Result::Room(room) => room,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn bytes() -> bytes::Bytes {
    bytes::Bytes::new()
}
