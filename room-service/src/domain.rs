//! What a room is, without IO: order, time, dedupe, limits. Everything here takes its input and the
//! time and returns what is to be done; it never waits, never fails halfway, and knows no broker.

mod body_tag;
mod charges;
pub(crate) mod codec;
mod dedupe;
mod draft;
mod ledger;
mod page;
mod partition;
mod queue;
mod rate;
mod record;
mod room;
#[cfg(test)]
mod testing;
mod value;
mod waiting;

pub use body_tag::BodyTagger;
pub(crate) use charges::OPERATOR;
pub(crate) use page::PAGE_EVENTS;
pub(crate) use partition::draw_gen;
pub use partition::{Asked, Batch, Committed, Partition, Question, Rules, Submission};
pub(crate) use partition::{Fetched, Load, Loaded, Put, Putting, Resolved, unavailable};
pub use rate::NewRooms;
pub use record::FoldError;
pub(crate) use record::{encode, open, open_part};
pub use room::Summary;

/// The time an input is handled at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, milliseconds since 1970-01-01 UTC: becomes `ts`. It may jump.
    pub unix_ms: u64,
    /// Microseconds of a clock that never runs backwards: limits go by it.
    pub mono_us: u64,
}
