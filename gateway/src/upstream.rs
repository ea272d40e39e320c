//! The way to the owners of rooms: who they are, and requests that are repeated until one answers or
//! patience ends. A request may be seen by an owner more than once; its cid makes that harmless. Nothing
//! here knows a socket or remembers a room.

mod installation;
mod routes;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use broker::{Bus, RequestError};
use bytes::Bytes;
use prost::Message as _;
use proto::{
    PartitionCount, PartitionId, RoomId,
    bus::v1::{Announcement, Refused, Reply, Request, Room, reply, request},
    subject::Subjects,
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tracing::debug;

use crate::{backoff::Backoff, metrics::Metrics};
use routes::{Route, Routes};

pub(crate) use installation::{run, run_routes};

/// A request that nobody could answer for this long is given up.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first deadline of a request; it doubles …
const FIRST_DEADLINE: Duration = Duration::from_millis(300);
/// … up to this.
const LAST_DEADLINE: Duration = Duration::from_secs(1);
/// How long somebody has to say who owns a partition.
const WHO_DEADLINE: Duration = Duration::from_millis(300);
/// What a client is told to wait when an owner could not be reached.
pub(crate) const RETRY_AFTER_MS: u64 = 1_000;

/// What an owner was asked for and did.
#[derive(Debug)]
pub(crate) enum Answer {
    Acked(proto::bus::v1::Acked),
    Room { room: Room, epoch: u64 },
    Refused(Refused),
}

/// No owner answered.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// The owners of rooms, as this gateway reaches them.
pub(crate) struct Upstream<B> {
    bus: B,
    subjects: Subjects,
    metrics: Arc<Metrics>,
    installation: watch::Sender<Option<PartitionCount>>,
    routes: OnceLock<Routes>,
}

/// One request on its way.
struct Attempt<'a> {
    room: &'a RoomId,
    pp: PartitionId,
    payload: Bytes,
    traceparent: Option<&'a str>,
}

/// Why one attempt gave no answer.
enum Again {
    /// Another owner is there: at once.
    AtOnce,
    /// After a pause, once it is clear whom to ask.
    Later,
}

impl<B: Bus> Upstream<B> {
    pub(crate) fn new(bus: B, subjects: Subjects, metrics: Arc<Metrics>) -> Self {
        Self {
            bus,
            subjects,
            metrics,
            installation: watch::Sender::new(None),
            routes: OnceLock::new(),
        }
    }

    /// The number of partitions, once it is known.
    pub(crate) fn partitions(&self) -> Option<PartitionCount> {
        *self.installation.borrow()
    }

    /// The partition of a room; `None` before the installation is known.
    pub(crate) fn partition_of(&self, room: &RoomId) -> Option<PartitionId> {
        self.partitions().map(|count| count.of(room))
    }

    /// Waits until the installation is known. Cancel-safe.
    pub(crate) async fn known(&self) {
        let mut installation = self.installation.subscribe();
        // The sender is held by `self`: the wait cannot fail.
        let _ = installation.wait_for(Option::is_some).await;
    }

    /// Asks the owner of a room, whoever that is or becomes, for up to 15 s.
    ///
    /// Cancel-safe, but the request may have been acted on.
    pub(crate) async fn call(
        &self,
        room: &RoomId,
        op: request::Op,
        traceparent: Option<&str>,
    ) -> Result<Answer, Unavailable> {
        let give_up = Instant::now() + PATIENCE;
        let call = async {
            self.known().await;
            let request = Request {
                room: room.to_string(),
                op: Some(op),
            };
            let attempt = Attempt {
                room,
                pp: self.partition_of(room).ok_or(Unavailable)?,
                payload: request.encode_to_vec().into(),
                traceparent,
            };
            self.repeat(&attempt).await
        };
        tokio::time::timeout_at(give_up, call)
            .await
            .unwrap_or(Err(Unavailable))
    }

    async fn repeat(&self, attempt: &Attempt<'_>) -> Result<Answer, Unavailable> {
        let routes = self.routes.get().ok_or(Unavailable)?;
        let mut route = routes.of(attempt.pp).ok_or(Unavailable)?;
        let mut deadline = FIRST_DEADLINE;
        let mut pause = Backoff::between(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let asked = route.borrow_and_update().epoch();
            if let Some(epoch) = asked {
                let again = match self.once(attempt, epoch, deadline, &mut route).await {
                    Ok(answer) => return Ok(answer),
                    Err(again) => again,
                };
                self.metrics.upstream_retries.inc();
                if matches!(again, Again::AtOnce) {
                    continue;
                }
                deadline = (deadline * 2).min(LAST_DEADLINE);
            }
            // Whoever did not answer is asked again only when somebody says that it is there; whoever
            // comes after it, at once.
            let is_news = |now| asked.is_none_or(|asked| now > asked);
            let next = route.wait_for(|route| route.epoch().is_some_and(is_news));
            let pause = tokio::time::sleep(pause.next_pause());
            tokio::select! {
                biased;
                _ = next => {}
                (there, ()) = async { tokio::join!(self.ask_who(attempt.pp, routes), pause) } => there?,
            }
        }
    }

    /// One request under one epoch. A higher epoch ends the wait for an answer: the owner that was asked
    /// is no more.
    async fn once(
        &self,
        attempt: &Attempt<'_>,
        epoch: u64,
        deadline: Duration,
        route: &mut watch::Receiver<Route>,
    ) -> Result<Answer, Again> {
        let subject = self.subjects.inbound(attempt.pp, epoch, attempt.room);
        let payload = attempt.payload.clone();
        let request = self
            .bus
            .request(&subject, payload, attempt.traceparent, deadline);
        let superseded = route.wait_for(|route| route.epoch().is_some_and(|now| now > epoch));
        let reply = tokio::select! {
            // An answer that is there already counts, whoever owns the partition by now.
            biased;
            reply = request => reply,
            _ = superseded => return Err(Again::AtOnce),
        };
        match reply {
            Ok(reply) => self.read(attempt, epoch, reply),
            Err(error) => {
                let is_silent = matches!(error, RequestError::NoResponder | RequestError::Timeout);
                if let (true, Some(routes)) = (is_silent, self.routes.get()) {
                    // A time-out may mean that its process is stopped: until it is heard of again nobody
                    // waits for it, so no request does so twice.
                    routes.is_silent(attempt.pp, epoch);
                }
                debug!(partition.id = %attempt.pp, epoch.asked = epoch, error = %error, "request was not answered");
                Err(Again::Later)
            }
        }
    }

    fn read(&self, attempt: &Attempt<'_>, epoch: u64, reply: Bytes) -> Result<Answer, Again> {
        let reply = Reply::decode(reply).map_err(|_| Again::Later)?;
        match reply.result {
            Some(reply::Result::Acked(acked)) => Ok(Answer::Acked(acked)),
            Some(reply::Result::Room(room)) => Ok(Answer::Room {
                room,
                epoch: reply.epoch,
            }),
            Some(reply::Result::Refused(refused)) => Ok(Answer::Refused(refused)),
            Some(reply::Result::NotOwner(not_owner)) => {
                if let Some(routes) = self.routes.get() {
                    routes.superseded(attempt.pp, epoch, not_owner.epoch);
                }
                Err(if not_owner.epoch > epoch {
                    Again::AtOnce
                } else {
                    Again::Later
                })
            }
            // Only operators ask for a summary.
            Some(reply::Result::Summary(_)) | None => Err(Again::Later),
        }
    }

    /// Asks whoever owns the partition to say so; one question at a time.
    ///
    /// # Errors
    /// Nobody owns it, and nobody can.
    async fn ask_who(&self, pp: PartitionId, routes: &Routes) -> Result<(), Unavailable> {
        let Some(Ok(_permit)) = routes.asking(pp).map(Semaphore::try_acquire) else {
            return Ok(());
        };
        let subject = self.subjects.who(pp);
        let asked = self
            .bus
            .request(&subject, Bytes::new(), None, WHO_DEADLINE)
            .await;
        if let Ok(answer) = asked
            && let Ok(announcement) = Announcement::decode(answer)
        {
            routes.announced(&announcement);
            if announcement.partitions.is_empty() {
                return Err(Unavailable);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
