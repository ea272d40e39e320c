//! Decodes what gateways ask and encodes what they are told.

use broker::{Broker, Message};
use prost::Message as _;
use proto::{
    RoomId,
    bus::v1::{Reply, Request, reply, request},
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Asker, LOOK_FOR_STALE_EVERY, Owner, STALE_AFTER};
use crate::domain::{Asked, Question, Submission};

impl<B: Broker> Owner<B> {
    /// Takes in the requests that have arrived, as many as may wait, but those that are stale.
    pub(super) fn take_in(&mut self) {
        let now = Instant::now();
        if self.next_stale_look <= now {
            self.next_stale_look = now + LOOK_FOR_STALE_EVERY;
            self.partition
                .retain_waiting(|asker| now - asker.arrived <= STALE_AFTER);
        }
        while self.partition.has_room()
            && let Some((arrived, message)) = self.inbox.pop()
        {
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
            Some(request::Op::Read(read)) => self.ask(asker, room, Question::Read(read)),
            Some(request::Op::History(history)) => {
                self.ask(asker, room, Question::History(history));
            }
            Some(request::Op::Describe(_)) => self.ask(asker, room, Question::Describe),
            None => {
                // Of a newer gateway; it gets its answer when this process was upgraded too.
                warn!(bus.subject = message.subject, "request of an unknown kind");
                self.partition.cannot_answer(asker);
            }
        }
    }

    fn ask(&mut self, asker: Asker, room: RoomId, question: Question) {
        self.partition.ask(Asked {
            asker,
            room,
            question,
        });
    }

    /// Answers the questions that can be. Only for a state that the log has confirmed.
    pub(super) async fn answer(&mut self) {
        let now = self.shared.clock.now();
        let presence = &self.shared.presence;
        let online = |room: &RoomId, without: Option<&str>| presence.online(room, without);
        for (asker, answer) in self.partition.answer(now, online) {
            self.reply(asker, answer).await;
        }
        self.start_work();
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
