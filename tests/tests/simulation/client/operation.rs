//! One thing that a client has to say, until it is answered.

use std::time::Duration;

use proto::{
    RoomId,
    bus::v1::send::Body,
    log::v1::{Delete, Edit, Message, Reaction},
};
use rand::{RngExt as _, rngs::StdRng, seq::IteratorRandom as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Client;
use crate::{
    cluster::millis,
    screen::Screen,
    seen::{Answer, Kind, Sent},
};

/// An operation in the outbox.
pub(super) struct Operation {
    pub(super) room: RoomId,
    pub(super) cid: String,
    /// The last seq that the client had when it first said it.
    since: u64,
    body: Body,
    pub(super) stage: Stage,
    expects: Expects,
}

/// How far it has come on this connection.
pub(super) enum Stage {
    /// To be said then.
    Waits(Instant),
    /// Said then, and not answered.
    Said(Instant),
}

/// What is known of its answer.
enum Expects {
    Anything,
    /// It was acked before: as this, and nothing else.
    Same {
        seq: u64,
        ts: String,
    },
    /// Its cid was acked before, with another body.
    Reused {
        seq: u64,
        ts: String,
    },
}

impl Operation {
    /// When it is to be said; `None` while it waits for its answer.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waits(until) => Some(until),
            Stage::Said(_) => None,
        }
    }

    pub(super) fn is_first(&self) -> bool {
        matches!(self.expects, Expects::Anything)
    }

    pub(super) fn is_silent_for(&self, time: Duration) -> bool {
        matches!(self.stage, Stage::Said(at) if at.elapsed() > time)
    }

    /// The connection is gone: it has to be said again.
    pub(super) fn is_cut_off(&mut self) {
        if let Stage::Said(_) = self.stage {
            self.stage = Stage::Waits(Instant::now());
        }
    }

    pub(super) fn frame(&self) -> String {
        let mut frame = json!({"room": self.room.as_str(), "cid": self.cid, "since": self.since});
        let body = match &self.body {
            Body::Message(message) => json!({"op": "send", "text": message.text}),
            Body::Edit(edit) => json!({"op": "edit", "target": edit.target, "text": edit.text}),
            Body::Delete(delete) => json!({"op": "delete", "target": delete.target}),
            Body::Reaction(reaction) => json!({
                "op": "react",
                "target": reaction.target,
                "emoji": reaction.emoji,
                "on": reaction.on,
            }),
        };
        if let (Value::Object(frame), Value::Object(body)) = (&mut frame, body) {
            frame.extend(body);
        }
        frame.to_string()
    }
}

impl Client {
    /// Puts something new into the outbox.
    pub(super) fn think_of_something(&mut self) {
        let wanted = self.rooms.values().filter(|is| is.is_joined);
        // The first rooms are the busiest.
        let busy = self.rng.random_bool(0.7);
        let choice = if busy {
            wanted.take(1).next()
        } else {
            wanted.choose(&mut self.rng)
        };
        let Some(membership) = choice else {
            return;
        };
        let screen = &membership.screen;
        self.left -= 1;
        let cid = format!("{}-{}", self.name, self.left);
        let body = body(screen, &self.user, &cid, &mut self.rng);
        self.open.push(Operation {
            room: screen.room.clone(),
            cid,
            since: screen.last,
            body,
            stage: Stage::Waits(Instant::now()),
            expects: Expects::Anything,
        });
    }

    /// Takes an answer to what has this cid.
    pub(super) fn answered(&mut self, room: &str, cid: &str, answer: Answer) {
        let is_it = |one: &Operation| one.cid == cid && one.room.as_str() == room;
        let Some(at) = self.open.iter().position(is_it) else {
            // Said twice, on two connections or before a cut: the first answer was as good.
            return;
        };
        let operation = self.open.remove(at);
        match (&operation.expects, &answer) {
            (Expects::Anything, _) => {}
            (
                Expects::Same { seq, ts } | Expects::Reused { seq, ts },
                Answer::Acked {
                    seq: again,
                    ts: then,
                },
            ) if (seq, ts) == (again, then) => {}
            (Expects::Reused { .. }, Answer::Refused { code }) if code == "CID_REUSED" => {}
            _ => self.wrong(&format!("ONCE: cid {cid} again in {room}: {answer:?}")),
        }
        if let (Expects::Anything, Answer::Acked { seq, ts }) = (&operation.expects, &answer)
            && self.rng.random_bool(0.15)
        {
            self.repeat_later(&operation, *seq, ts);
        }
        self.seen.lock().sent.push(Sent {
            user: self.user.clone(),
            room: operation.room,
            cid: operation.cid,
            is_other_body: matches!(operation.expects, Expects::Reused { .. }),
            body: operation.body,
            answer,
        });
    }

    /// What was acked will be said once more, as by a client that has not heard the answer.
    fn repeat_later(&mut self, operation: &Operation, seq: u64, ts: &str) {
        let most = millis(self.site.profile.repeat_after);
        let later = Duration::from_millis(self.rng.random_range(0..most));
        let mut body = operation.body.clone();
        let ts = ts.to_owned();
        let mut expects = Expects::Same {
            seq,
            ts: ts.clone(),
        };
        if let Body::Message(message) = &mut body
            && self.rng.random_bool(0.2)
        {
            message.text.push('!');
            expects = Expects::Reused { seq, ts };
        }
        self.open.push(Operation {
            room: operation.room.clone(),
            cid: operation.cid.clone(),
            since: operation.since,
            body,
            stage: Stage::Waits(Instant::now() + later),
            expects,
        });
    }

    /// It has to be said again after a while.
    pub(super) fn put_off(&mut self, room: &str, cid: &str, time: Duration) {
        let is_it = |one: &&mut Operation| one.cid == cid && one.room.as_str() == room;
        if let Some(operation) = self.open.iter_mut().find(is_it) {
            operation.stage = Stage::Waits(Instant::now() + time);
        }
    }
}

/// What to say next: mostly a message; now and then something about one that is on the screen.
fn body(screen: &Screen, user: &str, cid: &str, rng: &mut StdRng) -> Body {
    let messages = || {
        let events = screen.events.iter();
        events.filter(|(_, event)| event.kind == Kind::Message && !event.deleted)
    };
    let mine = messages().filter(|(_, event)| event.user == user);
    let mine = mine.map(|(seq, _)| *seq).choose(rng);
    let any = messages().map(|(seq, _)| *seq).choose(rng);
    let text = format!("text of {cid}.");
    match (rng.random_range(0..20), mine, any) {
        (0..3, Some(target), _) => Body::Edit(Edit { target, text }),
        (3, Some(target), _) => Body::Delete(Delete {
            target,
            ..Delete::default()
        }),
        (4..8, _, Some(target)) => Body::Reaction(Reaction {
            target,
            emoji: if rng.random_bool(0.7) { "👍" } else { "🎉" }.to_owned(),
            on: rng.random_bool(0.7),
            count: 0,
        }),
        _ => Body::Message(Message { text, reply_to: 0 }),
    }
}
