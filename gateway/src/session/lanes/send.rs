//! One send, be it of a message, an edit, a deletion or a reaction: to the owner, as often as it takes,
//! and its answer back.

use std::sync::Arc;

use broker::Bus;
use proto::{
    Code, RoomId,
    bus::v1::{self, request, send},
    frame::{Echo, ServerFrame, client::Body, server},
    log::v1::{Author, Delete, Edit, Message, Reaction},
    time::rfc3339,
};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, trace_span};

use super::super::{Membership, Session};
use crate::{
    hub::{Form, Refusal},
    session::socket::Text,
    shared::Shared,
    upstream::{Answer, Unavailable},
};

/// What is to become an event, on its way.
pub(in crate::session) struct Send {
    /// `None` when the client named none, or a bad one.
    pub(in crate::session) cid: Option<String>,
    pub(in crate::session) body: Body,
    /// The client's, or the head that was known here when it came.
    pub(in crate::session) since: Option<u64>,
    /// The sender as of its coming.
    pub(in crate::session) from: Author,
    /// Hash of the address that limits go by.
    pub(in crate::session) address: u64,
    pub(in crate::session) echo: Echo,
    pub(in crate::session) arrived: Instant,
    /// From its coming to its answer; the root of its trace.
    pub(in crate::session) span: Span,
}

/// The span of a send from a browser.
pub(in crate::session) fn span() -> Span {
    trace_span!(
        target: broker::trace::TARGET,
        parent: None,
        "parlor.gateway.send",
        otel.kind = "server",
    )
}

/// Sends and answers.
///
/// # Errors
/// When no owner could be reached; that was answered too.
pub(super) async fn run<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Session,
    room: &RoomId,
    send: &Send,
) -> Result<(), Unavailable> {
    let Some(membership) = session.membership(room) else {
        send.refused(shared, session, Refusal::for_good(Code::NotJoined));
        return Ok(());
    };
    let Some(cid) = &send.cid else {
        send.refused(shared, session, Refusal::for_good(Code::CidInvalid));
        return Ok(());
    };
    if matches!(&send.body, Body::Message { reply_to, .. } if *reply_to == Some(0)) {
        // To the owner 0 is none; to a client it is a seq that no event has.
        send.refused(shared, session, Refusal::for_good(Code::TargetUnknown));
        return Ok(());
    }
    let request = request::Op::Send(send.request(&membership, cid));
    let traceparent = broker::trace::traceparent(&send.span);
    let answer = shared
        .upstream
        .call(room, request, traceparent.as_deref())
        .instrument(send.span.clone())
        .await;
    match answer {
        Ok(Answer::Acked(acked)) => send.acked(shared, session, room, cid, &acked),
        Ok(Answer::Refused(refused)) => {
            send.refused(shared, session, Refusal::of(&refused));
        }
        Ok(Answer::Room { .. }) => {
            send.refused(shared, session, Refusal::for_good(Code::Internal));
        }
        Err(Unavailable) => {
            send.unavailable(shared, session);
            return Err(Unavailable);
        }
    }
    Ok(())
}

impl Send {
    fn request(&self, membership: &Membership, cid: &str) -> v1::Send {
        v1::Send {
            from: Some(self.from.clone()),
            cid: cid.to_owned(),
            body: Some(body(&self.body)),
            since: Some(self.since.unwrap_or_else(|| membership.room.head())),
            asked: membership.asked.clone(),
            address: self.address,
        }
    }

    fn acked<B>(
        &self,
        shared: &Shared<B>,
        session: &Session,
        room: &RoomId,
        cid: &str,
        acked: &v1::Acked,
    ) {
        let sends = &shared.metrics.sends;
        if acked.dup {
            sends.repeated.inc();
        } else {
            sends.acked.inc();
        }
        self.took(shared);
        if session.form == Form::Classic {
            // The line itself is the answer.
            return;
        }
        let ack = ServerFrame::Ack(server::Ack {
            room: room.as_str(),
            cid,
            seq: acked.seq,
            ts: rfc3339(acked.ts_ms),
            dup: acked.dup,
        });
        session.outbox.control(Text::from(ack.encode()));
    }

    fn refused<B>(&self, shared: &Shared<B>, session: &Session, refusal: Refusal) {
        if refusal.code == Code::Unavailable {
            shared.metrics.sends.unavailable.inc();
        } else {
            shared.metrics.sends.refused.inc();
        }
        self.took(shared);
        session.refuse(refusal, &self.echo, None);
    }

    /// No owner could be reached for it, or for one before it.
    pub(super) fn unavailable<B>(&self, shared: &Shared<B>, session: &Session) {
        self.refused(shared, session, Refusal::UNAVAILABLE);
    }

    fn took<B>(&self, shared: &Shared<B>) {
        let seconds = self.arrived.elapsed().as_secs_f64();
        shared.metrics.send_seconds.observe(seconds);
    }
}

/// A body as the owner gets it. Whatever `count` a reaction leads to is the owner's to say.
fn body(body: &Body) -> send::Body {
    match body {
        Body::Message { text, reply_to } => send::Body::Message(Message {
            text: text.clone(),
            reply_to: reply_to.unwrap_or(0),
        }),
        Body::Edit { target, text } => send::Body::Edit(Edit {
            target: *target,
            text: text.clone(),
        }),
        Body::Delete { target } => send::Body::Delete(Delete {
            target: *target,
            // Redaction is an operator's, and the edits are the owner's to find.
            ..Delete::default()
        }),
        Body::React { target, emoji, on } => send::Body::Reaction(Reaction {
            target: *target,
            emoji: emoji.clone(),
            on: *on,
            count: 0,
        }),
    }
}
