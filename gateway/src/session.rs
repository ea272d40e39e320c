//! One browser's session: who it is, which rooms it is in, what it waits for. There is nothing in it
//! that a client could not bring along to another gateway; it ends with its socket.
//!
//! One task per connection reads and writes the socket ([`connection`]); operations on rooms run in
//! lanes, a task each only while there is work ([`lanes`]).

pub(crate) mod classic;
mod connection;
mod hello;
mod lanes;
mod life;
mod protocol;
mod rates;
pub(crate) mod registry;
pub(crate) mod socket;
#[cfg(feature = "testing")]
pub(crate) mod socketless;
mod words;

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use broker::Bus;
use hyper::upgrade::Upgraded;
use parking_lot::Mutex;
use proto::{
    Code, RoomId,
    frame::{Echo, ServerFrame, server},
};
use tokio::sync::Semaphore;

use crate::{
    admission::ConnectionGuard,
    clock::mono_ms,
    close::Close,
    hub::{Form, Refusal, Room},
    outbox::Outbox,
    shared::Shared,
};
use connection::Connection;
use lanes::Lanes;
use life::Life;
use socket::{Socket, Text};

/// Rooms of a session that are read at a time, for joins and histories (DESIGN section 6).
const READINGS_AT_A_TIME: usize = 4;
/// How long a socket waits for a gateway that has not reached the room service yet.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Who is at the other end of a socket.
pub(crate) struct Peer {
    /// `None` when limits per address do not apply.
    pub(crate) address: Option<IpAddr>,
    /// Of the HTTP request; `hello` may choose another.
    pub(crate) lang: web::Lang,
    /// Counts the connection while it is held.
    pub(crate) guard: ConnectionGuard,
}

/// What is spoken on a socket.
pub(crate) enum Dialect {
    /// Protocol 1.
    V1,
    /// The classic protocol, in one room; or what is wrong with the address, which is said on the socket,
    /// where its page can read it.
    Classic(Result<Classic, &'static str>),
}

/// What the address of a classic socket asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Classic {
    /// Percent-decoded, unchecked.
    pub(crate) room: String,
    /// Messages to begin with.
    pub(crate) history: u32,
    /// Of an earlier session.
    pub(crate) token: Option<String>,
}

/// A session, shared by its connection, its lanes and the hub.
pub(crate) struct Session {
    /// Random.
    pub(crate) id: u64,
    pub(crate) form: Form,
    pub(crate) outbox: Outbox,
    who: Mutex<Who>,
    rooms: Mutex<Rooms>,
    lanes: Lanes,
    readings: Semaphore,
    life: Life,
}

/// The user of a session.
#[derive(Clone)]
pub(crate) struct Who {
    /// Empty before `hello`.
    pub(crate) id: Arc<str>,
    pub(crate) nick: Arc<str>,
    lang: web::Lang,
}

#[derive(Default)]
struct Rooms {
    members: HashMap<RoomId, Membership>,
    /// Rooms that take up a place, in the order in which frames came in, each with the latest join that
    /// wants it.
    wanted: HashMap<RoomId, Wish>,
    wishes: u64,
    /// The socket is closed: nothing is joined any more.
    has_ended: bool,
}

/// One join that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish(u64);

/// A session's place in a room.
#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) room: Arc<Room>,
    /// The room's name as it was asked for.
    pub(crate) asked: String,
}

/// Serves a socket until it is closed.
pub(crate) async fn run<B: Bus>(
    upgraded: Upgraded,
    peer: Peer,
    dialect: Dialect,
    shared: Arc<Shared<B>>,
) {
    let form = match dialect {
        Dialect::V1 => Form::V1,
        Dialect::Classic(_) => Form::Classic,
    };
    let session = Arc::new(Session::new(rand::random(), form, peer.lang));
    shared.sessions.open(&session);
    shared.metrics.connections.inc();
    tokio::select! {
        () = shared.upstream.known() => {}
        () = session.outbox.closing() => {}
        () = tokio::time::sleep(READY_WITHIN) => session.outbox.close(Close::NOT_READY),
    }
    session.life.opened(mono_ms());
    let socket = Socket::new(upgraded, shared.limits.frame);
    let connection = Connection::new(socket, peer.address, dialect, &session, &shared);
    Box::new(connection).run().await;
    session.end();
    shared.sessions.close(&session);
    shared.metrics.connections.dec();
    drop(peer.guard);
}

impl Session {
    pub(crate) fn new(id: u64, form: Form, lang: web::Lang) -> Self {
        Self {
            id,
            form,
            outbox: Outbox::default(),
            who: Mutex::new(Who {
                id: "".into(),
                nick: "".into(),
                lang,
            }),
            rooms: Mutex::default(),
            lanes: Lanes::default(),
            readings: Semaphore::new(READINGS_AT_A_TIME),
            life: Life::new(mono_ms()),
        }
    }

    /// The user.
    pub(crate) fn who(&self) -> Who {
        self.who.lock().clone()
    }

    /// The user is called something else now; nothing happens when it is another user's session.
    pub(crate) fn renamed(&self, id: &str, nick: &str) {
        let mut who = self.who.lock();
        if &*who.id == id {
            who.nick = nick.into();
        }
    }

    /// The session's place in a room.
    pub(crate) fn membership(&self, room: &RoomId) -> Option<Membership> {
        self.rooms.lock().members.get(room).cloned()
    }

    /// Ids of the rooms it is in.
    pub(crate) fn rooms(&self) -> Vec<String> {
        let rooms = self.rooms.lock();
        rooms.members.keys().map(RoomId::to_string).collect()
    }

    /// Makes it a member; `false` when its socket is closed.
    pub(crate) fn admit(&self, membership: Membership) -> bool {
        let mut rooms = self.rooms.lock();
        if rooms.has_ended {
            return false;
        }
        rooms
            .members
            .insert(membership.room.id().clone(), membership);
        true
    }

    /// Does what the sweeper's tick asks for.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.life.sweep(&self.outbox, now_ms);
    }

    /// Reserves a place among the rooms; `None` when there is none.
    fn want(&self, room: &RoomId, most: u32) -> Option<Wish> {
        let mut rooms = self.rooms.lock();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if rooms.wanted.len() >= most && !rooms.wanted.contains_key(room) {
            return None;
        }
        rooms.wishes += 1;
        let wish = Wish(rooms.wishes);
        rooms.wanted.insert(room.clone(), wish);
        Some(wish)
    }

    /// Gives the place back: the client said that it leaves.
    fn unwant(&self, room: &RoomId) {
        self.rooms.lock().wanted.remove(room);
    }

    /// Gives the place back, unless the room was joined before, or is wanted again.
    fn failed_to_join(&self, room: &RoomId, wish: Wish) {
        let mut rooms = self.rooms.lock();
        let is_latest = rooms.wanted.get(room) == Some(&wish);
        if is_latest && !rooms.members.contains_key(room) {
            rooms.wanted.remove(room);
        }
    }

    /// Leaves a room. Its place was given back when the client said so: by now it may be another join's.
    pub(crate) fn leave(&self, room: &RoomId) {
        let member = self.rooms.lock().members.remove(room);
        if let Some(member) = member {
            member.room.leave(self.id);
        }
    }

    /// Leaves everything; the socket is closed.
    fn end(&self) {
        let members = {
            let mut rooms = self.rooms.lock();
            rooms.has_ended = true;
            std::mem::take(&mut rooms.members)
        };
        for member in members.into_values() {
            member.room.leave(self.id);
        }
        // Whoever waits for the socket to take something waits no more.
        self.outbox.close(Close::DONE);
    }

    /// Whether its socket is closed.
    pub(crate) fn has_ended(&self) -> bool {
        self.rooms.lock().has_ended
    }

    /// Refuses something, in the session's own form and language.
    fn refuse(&self, refusal: Refusal, echo: &Echo, detail: Option<&str>) {
        let lang = self.who.lock().lang;
        let message = words::message(lang, refusal.code, detail);
        let text = match self.form {
            Form::V1 => ServerFrame::Error(server::Refusal {
                code: refusal.code,
                message: &message,
                echo,
                retry_after_ms: refusal.retry_after_ms,
            })
            .encode(),
            Form::Classic => classic::error(&message),
        };
        self.outbox.control(Text::from(text));
    }

    fn refuse_code(&self, code: Code, echo: &Echo) {
        self.refuse(Refusal::for_good(code), echo, None);
    }

    fn is_busy(&self) -> bool {
        self.lanes.is_full() || self.outbox.is_busy()
    }
}

#[cfg(test)]
mod tests;
