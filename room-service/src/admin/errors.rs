//! Every error of the admin API: a `google.rpc.Status` with exactly one `ErrorInfo` of domain `parlor`.

use std::{collections::HashMap, time::Duration};

use proto::{PartitionId, RoomId, bus::v1::Refused};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

const DOMAIN: &str = "parlor";

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}

pub(super) fn token_missing() -> Status {
    let words = "this server wants an admin token: send `authorization: Bearer <token>` \
                 (parlor: --token-file)";
    Status::with_error_details(Code::Unauthenticated, words, info("TOKEN_MISSING"))
}

pub(super) fn token_wrong() -> Status {
    let words = "the admin token is not the one of this server's --admin-token-file";
    Status::with_error_details(Code::Unauthenticated, words, info("TOKEN_WRONG"))
}

pub(super) fn invalid(reason: &str, field: &str, words: String) -> Status {
    let mut details = info(reason);
    details.add_bad_request_violation(field, words.clone());
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {words}"), details)
}

pub(super) fn room_not_found(room: &RoomId) -> Status {
    let mut details = info("ROOM_NOT_FOUND");
    let words = "a room exists from its first message";
    details.set_resource_info("parlor.admin.v1.Room", format!("rooms/{room}"), "", words);
    let words = format!("room {:?} not found: {words}", room.as_str());
    Status::with_error_details(Code::NotFound, words, details)
}

pub(super) fn not_ready(why: &str) -> Status {
    let mut details = info("NOT_READY");
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, format!("not ready: {why}"), details)
}

pub(super) fn message_not_found(room: &RoomId, seq: u64) -> Status {
    let mut details = info("MESSAGE_NOT_FOUND");
    let name = format!("rooms/{room}/messages/{seq}");
    let words = "the room has no message with this seq, or not any more";
    details.set_resource_info("parlor.admin.v1.Message", name.clone(), "", words);
    Status::with_error_details(
        Code::NotFound,
        format!("{name} not found: {words}"),
        details,
    )
}

pub(super) fn no_owner(pp: PartitionId) -> Status {
    let mut details = info("NO_OWNER");
    details.set_retry_info(Some(Duration::from_secs(1)));
    let words = format!("partition {pp} has no owner that answers: try again");
    Status::with_error_details(Code::Unavailable, words, details)
}

/// What an owner refused for a reason that a browser would be told.
pub(super) fn refused(refused: &Refused) -> Status {
    let mut details = info(&refused.code);
    let code = if refused.retry_after_ms > 0 {
        details.set_retry_info(Some(Duration::from_millis(refused.retry_after_ms)));
        Code::Unavailable
    } else {
        Code::FailedPrecondition
    };
    let words = format!("the owner of the room refused: {}", refused.code);
    Status::with_error_details(code, words, details)
}
