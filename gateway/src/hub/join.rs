//! Into a room: listen first, then read what the client lacks, then let the events go that came
//! meanwhile. So nothing is missing and nothing comes twice, however the three interleave.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use proto::{
    Code, RoomId,
    bus::v1::{Read, Room as View, request},
    frame::{
        Cursor, ServerFrame,
        server::{Event as EventFrame, JoinGap, Joined, Settings, You},
    },
    log::v1::Event,
};

use super::{
    Hub, Room,
    delivery::Form,
    repair::CATCH_UP,
    state::{Behind, Stale},
};
use crate::{
    close::Close,
    session::{Membership, Session, socket::Text},
    shared::Shared,
    upstream::{Answer, RETRY_AFTER_MS, Unavailable},
};

/// Most bytes of `joined.events`; the rest follows as `event` frames (PROTOCOL section 4 rule 4).
const MAX_JOINED_BYTES: usize = 256 * 1024;
/// How long a join waits for the broker to have the subscription.
const LISTEN_WITHIN: Duration = Duration::from_secs(15);

/// Readings that may turn out to be older than what is known here, before a join is given up.
const STALE_READINGS: usize = 5;

/// What a client wants to join.
pub(crate) struct Join {
    pub(crate) room: RoomId,
    /// As typed.
    pub(crate) asked: String,
    pub(crate) after: Option<Cursor>,
    /// Events without a cursor.
    pub(crate) history: u32,
}

/// A join or send that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refusal {
    pub(crate) const UNAVAILABLE: Self = Self {
        code: Code::Unavailable,
        retry_after_ms: Some(RETRY_AFTER_MS),
    };

    /// A refusal that no retry helps against.
    pub(crate) fn for_good(code: Code) -> Self {
        Self {
            code,
            retry_after_ms: None,
        }
    }

    /// What an owner refused.
    pub(crate) fn of(refused: &proto::bus::v1::Refused) -> Self {
        // A code of a later version says nothing to our clients but that it is refused for good.
        let code = refused.code.parse().unwrap_or(Code::Internal);
        let can_retry = matches!(code, Code::RateLimited | Code::SlowMode | Code::Unavailable);
        Self {
            code,
            retry_after_ms: can_retry.then_some(refused.retry_after_ms.max(1)),
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Self::UNAVAILABLE
    }
}

/// A join under way.
struct Joining<'a, B> {
    shared: &'a Arc<Shared<B>>,
    session: &'a Arc<Session>,
    room: &'a Arc<Room>,
    join: &'a Join,
}

/// What became of a join that was not refused.
enum Outcome {
    Joined,
    /// The socket was closed meanwhile, and with it all memberships.
    Ended,
}

/// Joins, or joins anew. When it returns `Ok` the session is a member and `joined` is queued for it.
pub(crate) async fn join<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Arc<Session>,
    join: Join,
) -> Result<(), Refusal> {
    let is_new = session.membership(&join.room).is_none();
    let pp = shared
        .upstream
        .partition_of(&join.room)
        .ok_or(Unavailable)?;
    let room = Hub::enter(shared, &join.room, pp);
    let joining = Joining {
        shared,
        session,
        room: &room,
        join: &join,
    };
    match joining.run().await {
        // A new membership keeps what was entered.
        Ok(Outcome::Joined) if is_new => {}
        Ok(Outcome::Joined) => room.let_go(),
        Ok(Outcome::Ended) => room.leave(session.id),
        Err(refusal) => {
            if is_new || session.has_ended() {
                room.leave(session.id);
            } else {
                room.resume(session.id);
                room.let_go();
            }
            return Err(refusal);
        }
    }
    Ok(())
}

impl<B: Bus> Joining<'_, B> {
    async fn run(&self) -> Result<Outcome, Refusal> {
        let listening = tokio::time::timeout(LISTEN_WITHIN, self.room.listening());
        listening.await.map_err(|_| Unavailable)?;
        let (min_seq, is_first) = self.room.hold(self.session);
        let view = self.first_view(min_seq).await?;
        if is_first {
            self.shared.presence.changed(self.room.pp());
        }
        let membership = Membership {
            room: Arc::clone(self.room),
            asked: self.join.asked.clone(),
        };
        if !self.session.admit(membership) {
            return Ok(Outcome::Ended);
        }
        self.session.outbox.wait_low().await;
        let sent = self.send_joined(&view);
        if self.follow_up(&view, sent).await.is_err() {
            // It has `joined` already: the way on is a new connection.
            self.session.outbox.close(Close::TOO_SLOW);
        }
        Ok(Outcome::Joined)
    }

    async fn first_view(&self, min_seq: u64) -> Result<View, Refusal> {
        let after = self.join.after.as_ref();
        let mut min_seq = min_seq;
        for _ in 0..STALE_READINGS {
            let (view, epoch) = self
                .read(after, min_seq, self.shared.limits.catch_up)
                .await?;
            match self.room.anchor(self.shared, &view, epoch) {
                Ok(()) => return Ok(view),
                Err(Stale { min_seq: reach }) => min_seq = reach,
            }
        }
        Err(Refusal::UNAVAILABLE)
    }

    /// Queues `joined` and what of the view did not fit into it; the seq that was sent up to.
    fn send_joined(&self, view: &View) -> u64 {
        let outbox = &self.session.outbox;
        match self.session.form {
            Form::V1 => {
                let fits = fitting(view);
                let (inside, behind) = view.events.split_at(fits);
                outbox.joined(Text::from(self.joined(view, inside)));
                outbox.backlog(self.encode(view, behind));
            }
            Form::Classic => outbox.backlog(self.encode(view, &view.events)),
        }
        view.events.last().map_or(view.head, |event| event.seq)
    }

    fn joined(&self, view: &View, events: &[Event]) -> String {
        let first = events.first().map_or(view.head + 1, |event| event.seq);
        let gap = match &self.join.after {
            _ if view.reset => Some(JoinGap::Reset { reset: true }),
            // Too far back, or no longer kept.
            Some(cursor) if first > cursor.seq + 1 => Some(JoinGap::Missing {
                from: cursor.seq + 1,
                to: first - 1,
            }),
            _ => None,
        };
        let events: Vec<_> = events
            .iter()
            .map(|event| EventFrame::of(&view.r#gen, event))
            .collect();
        let name = if view.name.is_empty() {
            &self.join.asked
        } else {
            &view.name
        };
        let frame = ServerFrame::Joined(Joined {
            room: self.room.id().as_str(),
            asked: &self.join.asked,
            name,
            r#gen: &view.r#gen,
            head: view.head,
            oldest: view.oldest,
            events: &events,
            gap,
            settings: Settings::default(),
            you: You { role: "member" },
            online: view.online + self.room.members() as u64,
        });
        frame.encode()
    }

    fn encode(&self, view: &View, events: &[Event]) -> Vec<Text> {
        let encoder = self.room.encoder(self.shared, &view.r#gen);
        let form = self.session.form;
        events
            .iter()
            .filter_map(|event| encoder.encode(event, form))
            .collect()
    }

    /// Reads on until the session has everything, then lets it live.
    async fn follow_up(&self, view: &View, sent: u64) -> Result<(), Refusal> {
        let mut sent = sent;
        let mut min_seq = sent;
        let mut more = view.more;
        loop {
            self.session.outbox.wait_low().await;
            if self.session.outbox.is_closing() {
                return Ok(());
            }
            if !more {
                match self.room.release(self.session.id, sent) {
                    Ok(()) => return Ok(()),
                    Err(Behind { min_seq: reach }) => min_seq = reach,
                }
            }
            let cursor = Cursor {
                generation: view.r#gen.clone(),
                seq: sent,
            };
            let (next, _) = self.read(Some(&cursor), min_seq, CATCH_UP).await?;
            if next.reset {
                return Err(Refusal::UNAVAILABLE);
            }
            self.send_on(&next, sent);
            more = next.more;
            let head = next.head.max(sent);
            sent = next.events.last().map_or(head, |event| event.seq);
        }
    }

    /// Queues what a later reading brought.
    fn send_on(&self, view: &View, sent: u64) {
        let first = view.events.first().map_or(view.head + 1, |event| event.seq);
        if first > sent + 1 && self.session.form == Form::V1 {
            let gap = ServerFrame::Gap {
                room: self.room.id().as_str(),
                from: sent + 1,
                to: first - 1,
            };
            self.session.outbox.backlog([Text::from(gap.encode())]);
        }
        let known = view.events.partition_point(|event| event.seq <= sent);
        let events = self.encode(view, &view.events[known..]);
        self.session.outbox.backlog(events);
    }

    async fn read(
        &self,
        after: Option<&Cursor>,
        min_seq: u64,
        catch_up: u32,
    ) -> Result<(View, u64), Refusal> {
        let read = request::Op::Read(Read {
            after: after.map(|cursor| cursor.seq),
            after_gen: after.map_or_else(String::new, |cursor| cursor.generation.clone()),
            limit: self.join.history,
            catch_up,
            min_seq,
            gateway: self.shared.me.to_string(),
        });
        match self
            .shared
            .upstream
            .call(self.room.id(), read, None)
            .await?
        {
            Answer::Room { room, epoch } => Ok((room, epoch)),
            Answer::Refused(refused) => Err(Refusal::of(&refused)),
            Answer::Acked(_) => Err(Refusal::for_good(Code::Internal)),
        }
    }
}

/// How many of the events fit into `joined`.
fn fitting(view: &View) -> usize {
    let mut bytes = 0;
    view.events
        .iter()
        .take_while(|event| {
            bytes += EventFrame::of(&view.r#gen, event).encode().len() + 1;
            bytes <= MAX_JOINED_BYTES
        })
        .count()
}
