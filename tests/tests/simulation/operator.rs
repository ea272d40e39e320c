//! The operator of a simulated world: redacts messages now and then, as `parlor messages redact` does, and
//! reads every room once all is well.

use std::time::Duration;

use proto::{
    RoomId,
    bus::v1::{Read, Send, reply, request, send::Body},
    log::v1::{Author, Delete, Event, event::Kind},
};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::sleep;

use crate::{
    owners::Owners,
    seen::{Answer, Seen, Sent},
};

/// As the room service calls it.
const OPERATOR: &str = "operator";
/// The longest between two redactions.
const BETWEEN_MS: u64 = 10_000;

/// Redacts a message of these rooms now and then, until the world ends.
pub(crate) async fn redact(owners: Owners, rooms: Vec<RoomId>, seen: Seen, mut rng: StdRng) {
    for number in 0_u64.. {
        sleep(Duration::from_millis(rng.random_range(0..BETWEEN_MS))).await;
        let Some(room) = rooms.choose(&mut rng) else {
            return;
        };
        let events = read_all(&owners, room).await;
        let is_message = |event: &&Event| matches!(event.kind, Some(Kind::Message(_)));
        let messages: Vec<_> = events.iter().filter(is_message).collect();
        let Some(target) = messages.choose(&mut rng) else {
            continue;
        };
        let delete = Body::Delete(Delete {
            target: target.seq,
            redact: true,
            ..Delete::default()
        });
        let cid = format!("redaction-{number}");
        let send = Send {
            from: Some(Author {
                id: OPERATOR.to_owned(),
                nick: OPERATOR.to_owned(),
                role: OPERATOR.to_owned(),
                ..Author::default()
            }),
            cid: cid.clone(),
            since: Some(0),
            body: Some(delete.clone()),
            ..Send::default()
        };
        let answer = match owners.call(room, request::Op::Send(send)).await {
            reply::Result::Acked(acked) => Answer::Acked {
                seq: acked.seq,
                ts: proto::time::rfc3339(acked.ts_ms),
            },
            reply::Result::Refused(refused) => Answer::Refused { code: refused.code },
            other => {
                let wrong = format!("a redaction was answered by {other:?}");
                return seen.lock().wrong.push(wrong);
            }
        };
        seen.lock().sent.push(Sent {
            user: OPERATOR.to_owned(),
            room: room.clone(),
            cid,
            body: delete,
            is_other_body: false,
            answer,
        });
    }
}

/// All events of a room as it is now, from its first.
pub(crate) async fn read_all(owners: &Owners, room: &RoomId) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let read = Read {
            after: Some(events.last().map_or(0, |event| event.seq)),
            after_gen: String::new(),
            limit: 50,
            catch_up: u32::MAX,
            min_seq: 0,
            gateway: OPERATOR.to_owned(),
        };
        let reply::Result::Room(answer) = owners.call(room, request::Op::Read(read)).await else {
            return events;
        };
        events.extend(answer.events);
        if !answer.more {
            return events;
        }
    }
}
