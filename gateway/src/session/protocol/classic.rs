//! The classic protocol's side of a session: nobody says hello, there is one room, and every text is a
//! message to it.

use broker::Bus;
use proto::{
    Code, RoomId,
    frame::{
        Echo, Rejected,
        client::{self, Body},
    },
};

use super::Protocol;
use crate::{
    close::Close,
    session::{
        Classic, classic,
        hello::{self, Credentials},
        lanes::{self, Op},
        socket::Text,
        words,
    },
};

impl<B: Bus> Protocol<B> {
    /// Joins the room at once. Whatever is wrong is said before the close: a page cannot read why a
    /// handshake failed.
    pub(in crate::session) fn classic(&mut self, asked: Result<&Classic, &str>) {
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => return self.refuse_classic(why, Close::DONE),
        };
        let room = match RoomId::parse(&asked.room) {
            Ok(room) => room,
            Err(why) => {
                let lang = self.session.who().lang;
                let why = words::message(lang, Code::RoomInvalid, Some(&why.to_string()));
                return self.refuse_classic(&why, Close::DONE);
            }
        };
        let credentials = Credentials {
            token: asked.token.as_deref(),
            nick: None,
            address: self.address,
        };
        if let Err(close) = hello::enter(&self.shared, &self.session, &credentials) {
            return self.refuse_classic(close.reason, close);
        }
        self.session.life.greeted();
        // The first room of a session always has a place.
        let Some(wish) = self.session.want(&room, 1) else {
            return;
        };
        self.classic_room = Some(room.clone());
        let join = Op::Join {
            asked: asked.room.clone(),
            after: None,
            history: asked.history.min(self.shared.limits.history),
            echo: Echo::default(),
            wish,
        };
        lanes::enqueue(&self.shared, &self.session, room, join);
    }

    pub(super) fn classic_text(&mut self, room: RoomId, text: &str) {
        self.shared.metrics.frames.classic.inc();
        if !self.is_within_rate(&Echo::default()) {
            return;
        }
        match classic::parse(text) {
            Ok(text) => {
                let send = client::Send {
                    room: String::new(),
                    cid: Some(format!("c_{:016x}", rand::random::<u64>())),
                    since: None,
                    body: Body::Message {
                        text,
                        reply_to: None,
                    },
                };
                self.send(room, send, Echo::default());
            }
            Err(why) => self.rejected(&Rejected {
                code: Code::Malformed,
                why,
                echo: Echo::default(),
                op: None,
            }),
        }
    }

    fn refuse_classic(&self, why: &str, close: Close) {
        let outbox = &self.session.outbox;
        outbox.control(Text::from(classic::error(why)));
        outbox.close(close);
    }
}
