//! One question to a room's owner for its events.

use broker::Bus;
use proto::{
    Code, RoomId,
    bus::v1::{Read, Room as View, request},
};

use super::{Refusal, state::Missing};
use crate::{shared::Shared, upstream::Answer};

/// Asks, for as long as somebody may answer.
///
/// Cancel-safe.
///
/// # Errors
/// When nobody answers, or the owner refuses.
pub(super) async fn read<B: Bus>(
    shared: &Shared<B>,
    room: &RoomId,
    missing: Missing,
) -> Result<(View, u64), Refusal> {
    let read = request::Op::Read(Read {
        after: missing.after,
        after_gen: missing.generation,
        limit: missing.limit,
        catch_up: missing.catch_up,
        min_seq: missing.min_seq,
        gateway: shared.me.to_string(),
    });
    match shared.upstream.call(room, read, None).await? {
        Answer::Room { room, epoch } => Ok((room, epoch)),
        Answer::Refused(refused) => Err(Refusal::of(&refused)),
        Answer::Acked(_) => Err(Refusal::for_good(Code::Internal)),
    }
}
