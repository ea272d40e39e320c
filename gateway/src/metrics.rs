//! The gateway's metrics. Every name is in the table of `docs/OPERATIONS.md`; the handles are resolved
//! at start and no label names a room or a user.
//!
//! | name | kind | label | what it counts |
//! |---|---|---|---|
//! | `parlor_gateway_connections` | gauge | – | sockets open now |
//! | `parlor_gateway_frames_received_total` | counter | `op` | frames from browsers |
//! | `parlor_gateway_deliveries_total` | counter | – | events queued for a socket |
//! | `parlor_gateway_sent_bytes_total` | counter | – | bytes of frames written to sockets |
//! | `parlor_gateway_joins_total` | counter | `outcome` | joins answered |
//! | `parlor_gateway_sends_total` | counter | `outcome` | sends, edits, deletions and reactions answered |
//! | `parlor_gateway_histories_total` | counter | `outcome` | readings of history answered |
//! | `parlor_gateway_send_seconds` | histogram | – | from a send's arrival to its answer |
//! | `parlor_gateway_upstream_retries_total` | counter | – | requests to owners that were repeated |
//! | `parlor_gateway_hub_rooms` | gauge | – | rooms listened to now |
//! | `parlor_gateway_holes_total` | counter | – | events found missing between two others |
//! | `parlor_gateway_repairs_total` | counter | – | readings of rooms: not known yet, or something was missing |
//! | `parlor_gateway_ring_joins_total` | counter | – | joins shown what is remembered here |
//! | `parlor_gateway_outbox_overflows_total` | counter | – | drops of all events that waited for a slow socket |
//! | `parlor_gateway_refills_total` | counter | – | readings for one slow socket |
//! | `parlor_gateway_closes_total` | counter | `code` | sockets closed by us |

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use proto::frame::{ClientFrame, client::Body};

use crate::close::Close;

/// Handles, resolved at start.
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) deliveries: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) send_seconds: Histogram,
    pub(crate) upstream_retries: Counter,
    pub(crate) hub_rooms: Gauge,
    pub(crate) holes: Counter,
    pub(crate) repairs: Counter,
    pub(crate) ring_joins: Counter,
    pub(crate) outbox_overflows: Counter,
    pub(crate) refills: Counter,
    pub(crate) frames: Frames,
    pub(crate) joins: Joins,
    pub(crate) sends: Sends,
    pub(crate) histories: Histories,
    closes: Family<CloseLabel, Counter>,
}

/// Frames from browsers, by op.
pub(crate) struct Frames {
    hello: Counter,
    join: Counter,
    leave: Counter,
    send: Counter,
    edit: Counter,
    delete: Counter,
    react: Counter,
    history: Counter,
    nick: Counter,
    ping: Counter,
    /// Of the classic protocol.
    pub(crate) classic: Counter,
    /// Malformed, or of an unknown op.
    pub(crate) rejected: Counter,
}

/// Joins, by outcome.
pub(crate) struct Joins {
    pub(crate) joined: Counter,
    pub(crate) refused: Counter,
    pub(crate) unavailable: Counter,
}

/// Readings of history, by outcome.
pub(crate) struct Histories {
    pub(crate) answered: Counter,
    pub(crate) refused: Counter,
    pub(crate) unavailable: Counter,
}

/// Sends, by outcome.
pub(crate) struct Sends {
    pub(crate) acked: Counter,
    pub(crate) repeated: Counter,
    pub(crate) refused: Counter,
    pub(crate) unavailable: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Op {
    op: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabel {
    code: u16,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("parlor_gateway");
        let connections = Gauge::default();
        registry.register("connections", "Sockets open now", connections.clone());
        let hub_rooms = Gauge::default();
        registry.register("hub_rooms", "Rooms listened to now", hub_rooms.clone());
        let send_seconds = Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        let help = "From a send's arrival to its answer";
        registry.register_with_unit("send", help, Unit::Seconds, send_seconds.clone());
        let closes = Family::default();
        registry.register("closes", "Sockets closed by us, by code", closes.clone());
        let sent_bytes = Counter::default();
        let help = "Frames written to sockets";
        registry.register_with_unit("sent", help, Unit::Bytes, sent_bytes.clone());
        Self {
            connections,
            deliveries: counter(registry, "deliveries", "Events queued for a socket"),
            sent_bytes,
            send_seconds,
            upstream_retries: counter(
                registry,
                "upstream_retries",
                "Requests to owners that were repeated",
            ),
            hub_rooms,
            holes: counter(registry, "holes", "Events found missing between two others"),
            repairs: counter(
                registry,
                "repairs",
                "Readings of rooms: not known yet, or something was missing",
            ),
            ring_joins: counter(
                registry,
                "ring_joins",
                "Joins shown what is remembered here",
            ),
            outbox_overflows: counter(
                registry,
                "outbox_overflows",
                "Drops of all events that waited for a slow socket",
            ),
            refills: counter(registry, "refills", "Readings for one slow socket"),
            frames: Frames::register(registry),
            joins: Joins::register(registry),
            sends: Sends::register(registry),
            histories: Histories::register(registry),
            closes,
        }
    }

    /// Counts a close of ours.
    pub(crate) fn closed(&self, close: Close) {
        let label = CloseLabel { code: close.code };
        self.closes.get_or_create(&label).inc();
    }
}

impl Frames {
    fn register(registry: &mut Registry) -> Self {
        let frames = Family::<Op, Counter>::default();
        registry.register("frames_received", "Frames from browsers", frames.clone());
        let of = |op| frames.get_or_create_owned(&Op { op });
        Self {
            hello: of("hello"),
            join: of("join"),
            leave: of("leave"),
            send: of("send"),
            edit: of("edit"),
            delete: of("delete"),
            react: of("react"),
            history: of("history"),
            nick: of("nick"),
            ping: of("ping"),
            classic: of("classic"),
            rejected: of("rejected"),
        }
    }

    /// The counter of a frame's op.
    pub(crate) fn of(&self, frame: &ClientFrame) -> &Counter {
        match frame {
            ClientFrame::Hello(_) => &self.hello,
            ClientFrame::Join { .. } => &self.join,
            ClientFrame::Leave { .. } => &self.leave,
            ClientFrame::Send(send) => match send.body {
                Body::Message { .. } => &self.send,
                Body::Edit { .. } => &self.edit,
                Body::Delete { .. } => &self.delete,
                Body::React { .. } => &self.react,
            },
            ClientFrame::History(_) => &self.history,
            ClientFrame::Nick { .. } => &self.nick,
            ClientFrame::Ping { .. } => &self.ping,
        }
    }
}

impl Joins {
    fn register(registry: &mut Registry) -> Self {
        let joins = Family::<Outcome, Counter>::default();
        registry.register("joins", "Joins answered", joins.clone());
        let of = |outcome| joins.get_or_create_owned(&Outcome { outcome });
        Self {
            joined: of("joined"),
            refused: of("refused"),
            unavailable: of("unavailable"),
        }
    }
}

impl Histories {
    fn register(registry: &mut Registry) -> Self {
        let histories = Family::<Outcome, Counter>::default();
        registry.register(
            "histories",
            "Readings of history answered",
            histories.clone(),
        );
        let of = |outcome| histories.get_or_create_owned(&Outcome { outcome });
        Self {
            answered: of("answered"),
            refused: of("refused"),
            unavailable: of("unavailable"),
        }
    }
}

impl Sends {
    fn register(registry: &mut Registry) -> Self {
        let sends = Family::<Outcome, Counter>::default();
        registry.register("sends", "Sends answered", sends.clone());
        let of = |outcome| sends.get_or_create_owned(&Outcome { outcome });
        Self {
            acked: of("acked"),
            repeated: of("repeated"),
            refused: of("refused"),
            unavailable: of("unavailable"),
        }
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}
