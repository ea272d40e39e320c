//! The room service's metrics. Every name is in the table of `docs/OPERATIONS.md`.

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
use proto::bus::v1::reply;

/// Handles, resolved at start; no label per room or user.
pub(crate) struct Metrics {
    pub(crate) commit_seconds: Histogram,
    pub(crate) commit_bytes: Histogram,
    pub(crate) commit_events: Histogram,
    pub(crate) unsettled_appends: Counter,
    pub(crate) refused_appends: Counter,
    pub(crate) stale_requests: Counter,
    pub(crate) deposed: Counter,
    pub(crate) puts: Counter,
    pub(crate) broken_rooms: Counter,
    pub(crate) partitions_owned: Gauge,
    acked: Counter,
    repeated: Counter,
    refused: Counter,
    read: Counter,
    not_owner: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    result: &'static str,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("parlor_room_service");
        let answers = Family::<Answer, Counter>::default();
        let answer = |result| answers.get_or_create_owned(&Answer { result });
        let metrics = Self {
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            commit_bytes: Histogram::new(exponential_buckets(128.0, 4.0, 8)),
            commit_events: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            unsettled_appends: Counter::default(),
            refused_appends: Counter::default(),
            stale_requests: Counter::default(),
            deposed: Counter::default(),
            puts: Counter::default(),
            broken_rooms: Counter::default(),
            partitions_owned: Gauge::default(),
            acked: answer("acked"),
            repeated: answer("repeated"),
            refused: answer("refused"),
            read: answer("read"),
            not_owner: answer("not_owner"),
        };
        registry.register("answers", "Answers to gateways, by result", answers);
        let seconds = metrics.commit_seconds.clone();
        let help = "Time of an append to the log";
        registry.register_with_unit("commit", help, Unit::Seconds, seconds);
        let help = "Size of a commit";
        registry.register_with_unit(
            "commit_size",
            help,
            Unit::Bytes,
            metrics.commit_bytes.clone(),
        );
        registry.register(
            "commit_events",
            "Events in a commit",
            metrics.commit_events.clone(),
        );
        let help = "Appends whose outcome had to be read from the log";
        registry.register("unsettled_appends", help, metrics.unsettled_appends.clone());
        let help = "Appends that the log refused for good";
        registry.register("refused_appends", help, metrics.refused_appends.clone());
        let help = "Requests dropped because their gateway has retried";
        registry.register("stale_requests", help, metrics.stale_requests.clone());
        let help = "Partitions lost to another owner";
        registry.register("deposed", help, metrics.deposed.clone());
        let help = "Values put into the store";
        registry.register("puts", help, metrics.puts.clone());
        let help = "Rooms or pages found that cannot be served: their value, or their part of a commit, is damaged";
        registry.register("broken_rooms", help, metrics.broken_rooms.clone());
        let help = "Partitions this process owns";
        registry.register("partitions_owned", help, metrics.partitions_owned.clone());
        metrics
    }

    pub(crate) fn count(&self, result: &reply::Result) {
        let counter = match result {
            reply::Result::Acked(acked) if acked.dup => &self.repeated,
            reply::Result::Acked(_) => &self.acked,
            reply::Result::Refused(_) => &self.refused,
            reply::Result::Room(_) | reply::Result::Summary(_) => &self.read,
            reply::Result::NotOwner(_) => &self.not_owner,
        };
        counter.inc();
    }
}
