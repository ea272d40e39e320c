//! Decodes what gateways ask and encodes what they are told.

use broker::{Broker, Message};
use prost::Message as _;
use proto::{
    Code, RoomId,
    bus::v1::{NotOwner, Refused, Reply, Request, reply, request},
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Asker, Owner, STALE_AFTER, WaitingRead};
use crate::domain::Submission;

impl<B: Broker> Owner<B> {
    /// Takes in all requests that have arrived, but those that are stale.
    pub(super) fn take_in(&mut self) {
        self.partition
            .retain_waiting(|asker| asker.arrived.elapsed() <= STALE_AFTER);
        while let Some((arrived, message)) = self.inbox.pop() {
            if arrived.elapsed() > STALE_AFTER {
                self.shared.metrics.stale_requests.inc();
                continue;
            }
            self.take(arrived, &message);
        }
    }

    fn take(&mut self, arrived: Instant, message: &Message) {
        let request = match Request::decode(message.payload.clone()) {
            Ok(request) => request,
            Err(error) => {
                warn!(bus.subject = message.subject, error = %error, "request could not be decoded");
                return;
            }
        };
        let Ok(room) = RoomId::parse(&request.room) else {
            warn!(bus.subject = message.subject, "request names no room");
            return;
        };
        let Some(asker) = Asker::of(message, &room, arrived) else {
            return;
        };
        match request.op {
            Some(request::Op::Send(send)) => {
                self.partition.submit(Submission {
                    asker,
                    room,
                    send,
                    charged: false,
                });
            }
            Some(request::Op::Read(read)) => self.reads.push(WaitingRead { asker, room, read }),
            None => warn!(bus.subject = message.subject, "request of an unknown kind"),
        }
    }

    /// Answers the reads that wait. Only for a state that the log has confirmed.
    pub(super) async fn answer_reads(&mut self) {
        for waiting in std::mem::take(&mut self.reads) {
            let answer = match self.partition.view(&waiting.room, &waiting.read) {
                Some(mut view) => {
                    view.online = self
                        .shared
                        .presence
                        .online(&waiting.room, Some(&waiting.read.gateway));
                    reply::Result::Room(view)
                }
                None => reply::Result::Refused(Refused {
                    code: Code::RoomUnknown.as_str().to_owned(),
                    retry_after_ms: 0,
                }),
            };
            self.reply(waiting.asker, answer).await;
        }
    }

    /// Sends one answer; its span ends here.
    pub(super) async fn reply(&mut self, asker: Asker, result: reply::Result) {
        self.shared.metrics.count(&result);
        let reply = Reply {
            epoch: self.epoch,
            result: Some(result),
        };
        let payload = reply.encode_to_vec().into();
        let sent = self
            .shared
            .broker
            .publish(&asker.reply_to, payload, None)
            .await;
        if let Err(error) = sent {
            // The gateway repeats its request.
            debug!(partition.id = %self.pp, error = %error, "answer was not sent");
        }
    }
}

pub(super) fn not_owner(epoch: u64) -> reply::Result {
    reply::Result::NotOwner(NotOwner { epoch })
}
