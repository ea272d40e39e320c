//! What the frames of a browser do. Everything here is done at once or queued: reading never waits.

mod classic;

use std::{net::IpAddr, sync::Arc};

use broker::Bus;
use proto::{
    Code, RoomId,
    frame::{
        ClientFrame, Cursor, Echo, Rejected, ServerFrame,
        client::{self, Hello, PingValue},
        cursor::NotACursor,
        server::{User, Welcome},
    },
    log::v1::Author,
    time::rfc3339,
};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Session,
    hello::{self, Credentials},
    lanes::{self, History, Op, Send},
    life::PING_MS,
    rates::Rates,
    socket::Text,
};
use crate::{
    clock::{mono_ms, unix_ms},
    close::Close,
    hub::Refusal,
    shared::Shared,
    user,
};

/// The reader's side of a session.
pub(super) struct Protocol<B> {
    shared: Arc<Shared<B>>,
    session: Arc<Session>,
    address: Option<IpAddr>,
    rates: Rates,
    /// The one room of a classic socket.
    classic_room: Option<RoomId>,
}

impl<B: Bus> Protocol<B> {
    pub(super) fn new(
        shared: &Arc<Shared<B>>,
        session: &Arc<Session>,
        address: Option<IpAddr>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            session: Arc::clone(session),
            address,
            rates: Rates::new(&shared.limits),
            classic_room: None,
        }
    }

    /// A binary message.
    pub(super) fn binary(&mut self) {
        self.shared.metrics.frames.rejected.inc();
        let rejected = client::binary();
        if self.is_within_rate(&rejected.echo) {
            self.rejected(&rejected);
        } else {
            self.count(rejected.code);
        }
    }

    /// A text message.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(room) = self.classic_room.clone() {
            self.classic_text(room, text);
            return;
        }
        let frames = &self.shared.metrics.frames;
        match client::parse(text) {
            Ok((frame, echo)) => {
                frames.of(&frame).inc();
                if self.is_within_rate(&echo) {
                    self.frame(frame, echo);
                }
            }
            Err(rejected) => {
                frames.rejected.inc();
                if self.is_within_rate(&rejected.echo) {
                    self.rejected(&rejected);
                } else {
                    self.count(rejected.code);
                }
            }
        }
    }

    /// Charges an op; when it is one too many, refuses it.
    fn is_within_rate(&mut self, echo: &Echo) -> bool {
        let now_ms = mono_ms();
        let Err(wait_ms) = self.rates.charge(now_ms) else {
            return true;
        };
        let refusal = Refusal {
            code: Code::RateLimited,
            retry_after_ms: Some(wait_ms),
        };
        self.session.refuse(refusal, echo, None);
        if self.rates.breach(now_ms) {
            self.session.outbox.close(Close::TOO_MANY_OPS);
        }
        false
    }

    fn rejected(&mut self, rejected: &Rejected) {
        let is_other_op = rejected.op.as_deref().is_some_and(|op| op != "hello");
        if is_other_op && !self.session.life.has_greeted() {
            self.session.outbox.close(Close::NO_HELLO);
            return;
        }
        let refusal = Refusal::for_good(rejected.code);
        let detail = (rejected.code == Code::Malformed).then_some(rejected.why.as_str());
        self.session.refuse(refusal, &rejected.echo, detail);
        self.count(rejected.code);
    }

    /// Counts what was malformed, answered or not; closes after too much of it.
    fn count(&mut self, code: Code) {
        if code == Code::Malformed && self.rates.malformed(mono_ms()) {
            self.session.outbox.close(Close::MALFORMED);
        }
    }

    fn frame(&mut self, frame: ClientFrame, echo: Echo) {
        let has_greeted = self.session.life.has_greeted();
        match frame {
            ClientFrame::Hello(_) if has_greeted => {
                self.session.refuse_code(Code::HelloTwice, &echo);
            }
            ClientFrame::Hello(hello) => self.hello(hello, echo.id),
            _ if !has_greeted => self.session.outbox.close(Close::NO_HELLO),
            ClientFrame::Join { room, after } => self.join(room, after, echo),
            ClientFrame::Leave { room } => {
                if let Some(id) = self.room(&room, &echo) {
                    self.session.unwant(&id);
                    lanes::enqueue(&self.shared, &self.session, id, Op::Leave);
                }
            }
            ClientFrame::Send(send) => {
                if let Some(id) = self.room(&send.room, &echo) {
                    self.send(id, send, echo);
                }
            }
            ClientFrame::History(history) => self.history(&history, echo),
            ClientFrame::Nick { nick } => self.nick(&nick, &echo),
            ClientFrame::Ping { t } => self.pong(&t),
        }
    }

    /// `id` is the frame's, for whatever of it is refused.
    fn hello(&mut self, hello: Hello, id: Option<Value>) {
        if let Some(lang) = &hello.lang {
            self.session.who.lock().lang = web::negotiate(Some(lang));
        }
        let credentials = Credentials {
            token: hello.token.as_deref(),
            nick: hello.nick.as_deref(),
            address: self.address,
        };
        let entered = match hello::enter(&self.shared, &self.session, &credentials) {
            Ok(entered) => entered,
            Err(close) => {
                self.session.outbox.close(close);
                return;
            }
        };
        self.session.life.greeted();
        let who = self.session.who();
        let welcome = ServerFrame::Welcome(Welcome {
            v: 1,
            session: &format!("{:016x}", self.session.id),
            user: User {
                id: &who.id,
                nick: &who.nick,
                guest: true,
            },
            token: Some(&entered.token),
            server_time: rfc3339(unix_ms()),
            ping_ms: PING_MS,
            limits: &self.shared.limits,
        });
        self.session.outbox.control(Text::from(welcome.encode()));
        if let Some(code) = entered.nick_refused {
            let id = id.clone();
            self.session.refuse_code(
                code,
                &Echo {
                    id,
                    ..Echo::default()
                },
            );
        }
        for (room, cursor) in hello.rooms {
            let id = id.clone();
            let echo = Echo {
                id,
                ..Echo::room(&room)
            };
            match cursor {
                Ok(after) => self.join(room, after, echo),
                Err(why @ NotACursor) => {
                    let refusal = Refusal::for_good(Code::Malformed);
                    let why = why.to_string();
                    self.session.refuse(refusal, &echo, Some(&why));
                }
            }
        }
    }

    fn join(&mut self, asked: String, after: Option<Cursor>, echo: Echo) {
        let Some(id) = self.room(&asked, &echo) else {
            return;
        };
        let Some(wish) = self.session.want(&id, self.shared.limits.rooms) else {
            self.session.refuse_code(Code::TooManyRooms, &echo);
            return;
        };
        let join = Op::Join {
            asked,
            after,
            history: self.shared.limits.history,
            echo,
            wish,
        };
        lanes::enqueue(&self.shared, &self.session, id, join);
    }

    fn send(&mut self, room: RoomId, send: client::Send, echo: Echo) {
        let who = self.session.who();
        let known_head = || {
            self.session
                .membership(&room)
                .map(|member| member.room.head())
        };
        let send = Send {
            since: send.since.or_else(known_head),
            cid: send.cid,
            body: send.body,
            from: Author {
                id: who.id.to_string(),
                nick: who.nick.to_string(),
                guest: true,
                ..Author::default()
            },
            address: self.shared.admission.address_hash(self.address),
            echo,
            arrived: Instant::now(),
            span: lanes::span(),
        };
        let send = Op::Send(Box::new(send));
        lanes::enqueue(&self.shared, &self.session, room, send);
    }

    fn history(&self, history: &client::History, echo: Echo) {
        if let Some(id) = self.room(&history.room, &echo) {
            let history = History::new(history.place, history.limit, echo);
            let history = Op::History(Box::new(history));
            lanes::enqueue(&self.shared, &self.session, id, history);
        }
    }

    fn nick(&mut self, wished: &str, echo: &Echo) {
        let nick = match proto::nick::parse(wished, self.shared.limits.nick) {
            Ok(nick) => nick,
            Err(code) => {
                self.session.refuse_code(code, echo);
                return;
            }
        };
        let id = self.session.who().id;
        self.session.renamed(&id, &nick);
        let token = self.shared.identity.issue(&id, &nick, unix_ms());
        let frame = ServerFrame::Token { token: &token };
        self.session.outbox.control(Text::from(frame.encode()));
        let announce = user::announce(Arc::clone(&self.shared), Arc::clone(&self.session));
        tokio::spawn(announce);
    }

    fn pong(&self, t: &PingValue) {
        let pong = ServerFrame::Pong {
            t,
            server_time: rfc3339(unix_ms()),
        };
        self.session.outbox.control(Text::from(pong.encode()));
    }

    /// The room that was typed; refuses what is none.
    fn room(&self, typed: &str, echo: &Echo) -> Option<RoomId> {
        match RoomId::parse(typed) {
            Ok(id) => Some(id),
            Err(why) => {
                let refusal = Refusal::for_good(Code::RoomInvalid);
                self.session.refuse(refusal, echo, Some(&why.to_string()));
                None
            }
        }
    }
}
