//! `parlor.admin.v1.MessageService`.

use std::sync::Arc;

use broker::Broker;
use proto::{
    Code, RoomId,
    admin::v1::{RedactMessageRequest, RedactMessageResponse, message_service_server},
    bus::v1::{Send, reply, request, send::Body},
    log::v1::{Author, Delete},
};
use tonic::{Request, Response, Status};

use super::{errors, owners, rooms};
use crate::{domain::OPERATOR, service::Shared};

/// Most characters of a request id, which becomes a cid.
const MAX_REQUEST_ID: usize = 36;

/// The service, over the owners of rooms.
pub(super) struct Messages<B> {
    shared: Arc<Shared<B>>,
}

impl<B: Broker> Messages<B> {
    pub(super) fn new(shared: Arc<Shared<B>>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl<B: Broker> message_service_server::MessageService for Messages<B> {
    async fn redact_message(
        &self,
        request: Request<RedactMessageRequest>,
    ) -> Result<Response<RedactMessageResponse>, Status> {
        let request = request.into_inner();
        let (room, target) = parse_name(&request.name)?;
        let cid = cid_of(&request.request_id)?;
        rooms::check_ready(&self.shared)?;
        let send = Send {
            from: Some(Author {
                id: OPERATOR.to_owned(),
                nick: OPERATOR.to_owned(),
                role: OPERATOR.to_owned(),
                ..Author::default()
            }),
            cid,
            body: Some(Body::Delete(Delete {
                target,
                redact: true,
                ..Delete::default()
            })),
            ..Send::default()
        };
        match owners::ask(&self.shared, &room, request::Op::Send(send)).await? {
            reply::Result::Acked(acked) => Ok(Response::new(RedactMessageResponse {
                name: format!("rooms/{room}/messages/{target}"),
                deletion_seq: rooms::signed(acked.seq),
                redact_time: Some(rooms::timestamp(acked.ts_ms)),
            })),
            reply::Result::Refused(refused) if refused.code == Code::TargetUnknown.as_str() => {
                Err(errors::message_not_found(&room, target))
            }
            reply::Result::Refused(refused) => Err(errors::refused(&refused)),
            _ => Err(errors::not_ready("the owner answered something else")),
        }
    }
}

fn parse_name(name: &str) -> Result<(RoomId, u64), Status> {
    let invalid = || {
        let words = format!("expected `rooms/<room id>/messages/<seq>`, got {name:?}");
        errors::invalid("NAME_INVALID", "name", words)
    };
    let (room, seq) = name.split_once("/messages/").ok_or_else(invalid)?;
    let seq: u64 = seq.parse().map_err(|_| invalid())?;
    if seq == 0 {
        return Err(invalid());
    }
    Ok((rooms::parse_name(room)?, seq))
}

/// The cid that makes a repeated call one; without a request id, one of its own.
fn cid_of(request_id: &str) -> Result<String, Status> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if request_id.is_empty() {
        Ok(format!("op-{:016x}", rand::random::<u64>()))
    } else if request_id.len() <= MAX_REQUEST_ID && request_id.bytes().all(allowed) {
        Ok(request_id.to_owned())
    } else {
        let words = "expected 1 to 36 of A-Z, a-z, 0-9, `_` and `-`, such as a UUID".to_owned();
        Err(errors::invalid("REQUEST_ID_INVALID", "request_id", words))
    }
}
