//! The frames that a client writes and reads.

use std::time::Duration;

use proto::{RoomId, bus::v1::history::Place};
use serde_json::{Map, Value, json};

use super::{Client, Membership};
use crate::{
    screen::{self, Screen},
    seen::{Answer, History},
};

/// Codes that ask for patience.
const LATER: [&str; 3] = ["UNAVAILABLE", "RATE_LIMITED", "SLOW_MODE"];

pub(super) fn join(screen: &Screen) -> String {
    json!({"op": "join", "room": screen.room.as_str(), "after": screen.cursor()}).to_string()
}

pub(super) fn leave(room: &RoomId) -> String {
    json!({"op": "leave", "room": room.as_str()}).to_string()
}

pub(super) fn history(id: u64, room: &RoomId, place: Place, limit: u64) -> String {
    let (place, seq) = match place {
        Place::Before(seq) => ("before", seq),
        Place::After(seq) => ("after", seq),
        Place::Around(seq) => ("around", seq),
        Place::AtMs(at_ms) => ("at", at_ms),
    };
    json!({"op": "history", "id": id, "room": room.as_str(), place: seq, "limit": limit})
        .to_string()
}

impl Client {
    /// The first frame of a connection.
    pub(super) fn hello(&mut self) -> String {
        let mut rooms = Map::new();
        for (room, membership) in self.rooms.iter_mut().filter(|(_, is)| is.is_wanted) {
            membership.joins.push_back(membership.screen.last);
            rooms.insert(room.to_string(), membership.screen.cursor());
        }
        let mut hello = json!({"op": "hello", "nick": self.name, "rooms": rooms});
        if let Some(token) = &self.token {
            hello["token"] = token.as_str().into();
        }
        hello.to_string()
    }

    /// Takes a frame.
    pub(super) fn take(&mut self, frame: &str) {
        let Ok(frame) = serde_json::from_str::<Value>(frame) else {
            return self.wrong(&format!("not JSON: {frame}"));
        };
        let room = frame["room"].as_str().unwrap_or_default();
        let cid = frame["cid"].as_str().unwrap_or_default();
        match frame["op"].as_str().unwrap_or_default() {
            "welcome" => self.welcome(&frame),
            "joined" | "event" | "gap" => self.shown(room, &frame),
            "history" => self.history(&frame),
            "ack" => {
                let answer = Answer::Acked {
                    seq: frame["seq"].as_u64().unwrap_or_default(),
                    ts: frame["ts"].as_str().unwrap_or_default().to_owned(),
                };
                self.note(format_args!("{room}: {cid} acked: {answer:?}"));
                self.answered(room, cid, answer);
            }
            "error" => self.refused(&frame),
            "pong" | "user" | "token" | "drain" => {}
            _ => self.wrong(&format!("an unknown frame: {frame}")),
        }
    }

    fn welcome(&mut self, frame: &Value) {
        self.token = frame["token"].as_str().map(str::to_owned);
        let user = frame["user"]["id"].as_str().unwrap_or_default();
        if !self.user.is_empty() && self.user != user {
            self.wrong(&format!("{} has become {user}", self.user));
        }
        user.clone_into(&mut self.user);
    }

    fn shown(&mut self, room: &str, frame: &Value) {
        let Ok(id) = RoomId::parse(room) else {
            return self.wrong(&format!("no room: {frame}"));
        };
        let Some(membership) = self.rooms.get_mut(&id) else {
            return self.wrong(&format!("a room that it never joined: {frame}"));
        };
        let shown = membership.take(frame);
        let last = membership.screen.last;
        self.note(format_args!("{room}: {} up to {last}", frame["op"]));
        if let Err(why) = shown {
            self.wrong(&format!("{room}: {why}"));
        }
    }

    fn history(&mut self, frame: &Value) {
        let id = frame["id"].as_u64().unwrap_or_default();
        let Some(question) = self.questions.remove(&id) else {
            return;
        };
        let head = frame["head"].as_u64().unwrap_or_default();
        let events = screen::view(&frame["events"]);
        self.note(format_args!(
            "{}: history {:?} as of {head}",
            question.room, question.place
        ));
        if let Some(membership) = self.rooms.get_mut(&question.room) {
            membership.screen.history(head, &events);
        }
        self.seen.lock().histories.push(History {
            client: self.name.clone(),
            room: question.room,
            place: question.place,
            limit: question.limit,
            had: question.had,
            head,
            events,
        });
    }

    fn refused(&mut self, frame: &Value) {
        let code = frame["code"].as_str().unwrap_or_default();
        let room = frame["room"].as_str().unwrap_or_default();
        self.note(format_args!("refused: {frame}"));
        let is_for_later = LATER.contains(&code);
        if let Some(cid) = frame["cid"].as_str() {
            let retry_ms = frame["retry_after_ms"].as_u64().unwrap_or(1_000);
            if is_for_later {
                self.put_off(room, cid, Duration::from_millis(retry_ms));
            } else {
                let code = code.to_owned();
                self.answered(room, cid, Answer::Refused { code });
            }
        } else if let Some(id) = frame["id"].as_u64() {
            self.questions.remove(&id);
            if !is_for_later && code != "NOT_JOINED" {
                self.wrong(&format!("CLOSED: a history was refused: {frame}"));
            }
        } else {
            let id = RoomId::parse(room).ok();
            if let Some(membership) = id.and_then(|id| self.rooms.get_mut(&id)) {
                membership.joins.pop_front();
            }
            if !is_for_later {
                self.wrong(&format!("CLOSED: a join was refused: {frame}"));
            }
        }
    }
}

impl Membership {
    /// Takes what is to be seen of the room.
    fn take(&mut self, frame: &Value) -> Result<(), String> {
        match frame["op"].as_str() {
            Some("joined") => {
                let last = self.joins.pop_front();
                self.is_joined = self.is_wanted;
                self.screen.joined(frame, last.ok_or("joined twice")?)
            }
            // What was on its way before it left.
            _ if !self.is_joined => Ok(()),
            Some("event") => self.screen.event(frame),
            _ => self.screen.gap(frame),
        }
    }
}
