//! Whom to answer, and in which trace.

use std::collections::HashMap;

use broker::Message;
use proto::{RoomId, bus::v1::reply};
use tokio::time::Instant;
use tracing::{Span, trace_span};

/// A gateway that waits for an answer.
pub(crate) struct Asker {
    pub(super) reply_to: String,
    pub(super) room: RoomId,
    pub(super) arrived: Instant,
    /// Context of `span`, or of the gateway's when nothing is recorded here.
    pub(super) traceparent: Option<String>,
    /// From arrival to answer.
    _span: Span,
}

impl Asker {
    /// The asker of a request; `None` when it wants no answer.
    pub(super) fn of(message: &Message, room: &RoomId, arrived: Instant) -> Option<Self> {
        let reply_to = message.reply.clone()?;
        let span = match &message.traceparent {
            Some(_) => trace_span!(
                target: broker::trace::TARGET,
                parent: None,
                "parlor.room_service.request",
                otel.kind = "consumer",
                messaging.destination.name = message.subject,
            ),
            None => Span::none(),
        };
        broker::trace::set_parent(&span, message.traceparent.as_deref());
        let traceparent = broker::trace::traceparent(&span).or_else(|| message.traceparent.clone());
        Some(Self {
            reply_to,
            room: room.clone(),
            arrived,
            traceparent,
            _span: span,
        })
    }
}

/// The trace that a room's fan-out goes on: that of its first traced request in the batch.
pub(super) fn trace_by_room(replies: &[(Asker, reply::Result)]) -> HashMap<RoomId, String> {
    let mut traces = HashMap::new();
    for (asker, _) in replies {
        if let Some(trace) = &asker.traceparent {
            traces
                .entry(asker.room.clone())
                .or_insert_with(|| trace.clone());
        }
    }
    traces
}
