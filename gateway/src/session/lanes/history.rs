//! One reading of a room at any depth: asked of its owner, answered as one frame.
//!
//! The answer waits in the outbox like the events that follow a `joined`: it may be large, so it is asked
//! for only once the socket has taken what came before, a few at a time in a session.

use std::sync::Arc;

use broker::Bus;
use proto::{
    Code, RoomId,
    bus::v1::{self, history, request},
    frame::{Echo, ServerFrame, client::Place, event::Event as EventFrame, server},
};
use serde_json::Value;

use super::super::{Membership, Session};
use crate::{
    hub::Refusal,
    session::socket::Text,
    shared::Shared,
    upstream::{Answer, Unavailable},
};

/// Events of one answer when the question does not say how many (DESIGN section 10).
const DEFAULT_EVENTS: u32 = 50;
/// Most events of one answer; whoever asks for more is not refused, but gets these.
const MAX_EVENTS: u32 = 100;

/// A reading on its way.
pub(in crate::session) struct History {
    pub(in crate::session) place: Place,
    /// Events wanted.
    pub(in crate::session) limit: u32,
    /// Has the question's `id`.
    pub(in crate::session) echo: Echo,
}

/// Reads and answers.
///
/// # Errors
/// When no owner could be reached; that was answered too.
pub(super) async fn run<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Session,
    room: &RoomId,
    history: &History,
) -> Result<(), Unavailable> {
    let Some(membership) = session.membership(room) else {
        history.refused(shared, session, Refusal::for_good(Code::NotJoined));
        return Ok(());
    };
    let Ok(_permit) = session.readings.acquire().await else {
        return Ok(());
    };
    session.outbox.wait_low().await;
    if session.has_ended() {
        return Ok(());
    }
    let request = request::Op::History(history.request(&membership));
    match shared.upstream.call(room, request, None).await {
        Ok(Answer::Room { room: view, .. }) => {
            shared.metrics.histories.answered.inc();
            let frame = history.answer(room, &view);
            session.outbox.backlog([Text::from(frame)]);
        }
        Ok(Answer::Refused(refused)) => {
            history.refused(shared, session, Refusal::of(&refused));
        }
        Ok(Answer::Acked(_)) => {
            history.refused(shared, session, Refusal::for_good(Code::Internal));
        }
        Err(Unavailable) => {
            history.unavailable(shared, session);
            return Err(Unavailable);
        }
    }
    Ok(())
}

impl History {
    /// A reading as its frame wants it.
    pub(in crate::session) fn new(place: Place, limit: Option<u64>, echo: Echo) -> Self {
        let limit = limit.map_or(DEFAULT_EVENTS, |limit| {
            u32::try_from(limit).map_or(MAX_EVENTS, |limit| limit.min(MAX_EVENTS))
        });
        Self { place, limit, echo }
    }

    fn request(&self, membership: &Membership) -> v1::History {
        v1::History {
            place: Some(match self.place {
                Place::Before(seq) => history::Place::Before(seq),
                Place::After(seq) => history::Place::After(seq),
                Place::Around(seq) => history::Place::Around(seq),
                Place::At(unix_ms) => history::Place::AtMs(unix_ms),
            }),
            limit: self.limit,
            // Whatever this gateway has shown of the room, the answer knows of it.
            min_seq: membership.room.head(),
        }
    }

    fn answer(&self, room: &RoomId, view: &v1::Room) -> String {
        let events: Vec<_> = view
            .events
            .iter()
            .map(|event| EventFrame::of(&view.r#gen, event))
            .collect();
        let frame = ServerFrame::History(server::History {
            // No reading is taken without one.
            id: self.echo.id.as_ref().unwrap_or(&Value::Null),
            room: room.as_str(),
            events: &events,
            oldest: view.oldest,
            head: view.head,
            more: view.more,
        });
        frame.encode()
    }

    fn refused<B>(&self, shared: &Shared<B>, session: &Session, refusal: Refusal) {
        let histories = &shared.metrics.histories;
        match refusal.code {
            Code::Unavailable => histories.unavailable.inc(),
            _ => histories.refused.inc(),
        };
        session.refuse(refusal, &self.echo, None);
    }

    /// No owner could be reached for it, or for an operation before it.
    pub(super) fn unavailable<B>(&self, shared: &Shared<B>, session: &Session) {
        self.refused(shared, session, Refusal::UNAVAILABLE);
    }
}
