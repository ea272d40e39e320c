//! A scripted browser: an outbox that repeats each operation under the same `cid` and `since` until it is
//! answered, screens of the rooms it is in, and a connection to one gateway after the other.

mod frames;
mod operation;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use broker::sim::SimBroker;
use gateway::Browser;
use proto::{RoomId, bus::v1::history::Place};
use rand::{RngExt as _, rngs::StdRng, seq::IteratorRandom as _};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Gate, Site, millis},
    screen::Screen,
    seen::{self, Seen},
};
use operation::{Operation, Stage};

/// Operations of one client that wait for their answers at a time.
const MAX_OPEN: usize = 3;
/// The longest that a client waits for an answer before it tries another gateway: longer than a gateway's
/// own patience.
const PATIENCE: Duration = Duration::from_secs(17);
/// The longest that opening a connection may take.
const OPEN_WITHIN: Duration = Duration::from_secs(3);
/// The longest between two connections.
const AWAY_MS: u64 = 500;

/// What a connection is to the client.
type Connection = Browser<SimBroker>;

/// A client, and how far it has come.
pub(crate) struct Client {
    name: String,
    site: Site,
    seen: Seen,
    rng: StdRng,
    /// Whether people talk now.
    talking: watch::Receiver<bool>,
    token: Option<String>,
    user: String,
    rooms: BTreeMap<RoomId, Membership>,
    /// Operations still to be thought of.
    left: u64,
    open: Vec<Operation>,
    questions: BTreeMap<u64, Question>,
    asked: u64,
    next_act: Instant,
    /// Does not read until then.
    deaf_until: Instant,
    has_said: Option<oneshot::Sender<()>>,
    /// The world ends.
    end: CancellationToken,
}

/// A room that it is in, or wants to be in.
struct Membership {
    screen: Screen,
    is_wanted: bool,
    is_joined: bool,
    /// The last seqs that joins under way go on from.
    joins: VecDeque<u64>,
}

/// A question about a room's past.
struct Question {
    room: RoomId,
    place: Place,
    limit: u64,
    had: u64,
}

impl Client {
    /// A client of some rooms with so many operations to make; and what tells that all are answered.
    pub(crate) fn new(
        name: &str,
        rooms: Vec<RoomId>,
        (site, seen): (&Site, &Seen),
        (talking, end): (watch::Receiver<bool>, CancellationToken),
        mut rng: StdRng,
    ) -> (Self, oneshot::Receiver<()>) {
        let (has_said, said) = oneshot::channel();
        let membership = |room: RoomId| {
            let membership = Membership {
                screen: Screen::new(room.clone()),
                is_wanted: true,
                is_joined: false,
                joins: VecDeque::new(),
            };
            (room, membership)
        };
        let client = Self {
            name: name.to_owned(),
            site: site.clone(),
            seen: seen.clone(),
            talking,
            token: None,
            user: String::new(),
            rooms: rooms.into_iter().map(membership).collect(),
            left: rng.random_range(site.profile.operations.div_ceil(2)..=site.profile.operations),
            open: Vec::new(),
            questions: BTreeMap::new(),
            asked: 0,
            next_act: Instant::now(),
            deaf_until: Instant::now(),
            has_said: Some(has_said),
            end,
            rng,
        };
        (client, said)
    }

    /// Lives until the world ends, and shows its screens then.
    pub(crate) async fn live(mut self) {
        let end = self.end.clone();
        tokio::select! {
            biased;
            () = end.cancelled() => {}
            () = self.come_and_go() => {}
        }
        let mut seen = self.seen.lock();
        seen.screens.extend(
            self.rooms
                .into_iter()
                .map(|(room, membership)| seen::Screen {
                    client: self.name.clone(),
                    room,
                    events: membership.screen.events,
                }),
        );
    }

    async fn come_and_go(&mut self) {
        loop {
            if let Some(gate) = self.site.gates.choose(&mut self.rng) {
                self.visit(&gate).await;
                for operation in &mut self.open {
                    operation.is_cut_off();
                }
                for membership in self.rooms.values_mut() {
                    membership.is_joined = false;
                    membership.joins.clear();
                }
                self.questions.clear();
            }
            let away = Duration::from_millis(self.rng.random_range(0..AWAY_MS));
            sleep(away).await;
        }
    }

    /// One connection, from its opening to its end.
    async fn visit(&mut self, gate: &Gate) {
        let opening = tokio::select! {
            biased;
            () = gate.gone.cancelled() => return,
            opening = timeout(OPEN_WITHIN, gate.gateway.open()) => opening,
        };
        let Ok(mut connection) = opening else {
            return;
        };
        self.note(format_args!("connected to {}", gate.name));
        connection.says(&self.hello());
        loop {
            let deaf_until = self.deaf_until;
            let heard = async {
                sleep_until(deaf_until).await;
                connection.hears().await
            };
            let next = self.next();
            tokio::select! {
                biased;
                () = gate.gone.cancelled() => return,
                heard = heard => {
                    for frame in &heard.frames {
                        self.take(frame);
                    }
                    if let Some(code) = heard.close {
                        return self.note(format_args!("closed with {code}"));
                    }
                    self.speak(&mut connection);
                }
                () = sleep_until(next) => {
                    if !self.act(&mut connection) {
                        return self.note(format_args!("goes"));
                    }
                }
            }
        }
    }

    /// When there is something to do of its own accord.
    fn next(&self) -> Instant {
        let joined = self
            .open
            .iter()
            .filter(|operation| self.is_in(&operation.room));
        let due = joined.filter_map(Operation::due).min();
        due.unwrap_or(self.next_act).min(self.next_act)
    }

    fn is_in(&self, room: &RoomId) -> bool {
        self.rooms.get(room).is_some_and(|is| is.is_joined)
    }

    /// Does something of its own accord; `false` when it goes away.
    fn act(&mut self, connection: &mut Connection) -> bool {
        let is_silent = |operation: &Operation| operation.is_silent_for(PATIENCE);
        if self.open.iter().any(is_silent) {
            return false;
        }
        if self.next_act <= Instant::now() {
            self.come_back(connection);
            let think = millis(self.site.profile.think);
            self.next_act = Instant::now() + Duration::from_millis(self.rng.random_range(1..think));
            if !*self.talking.borrow() {
                // Now and then somebody reads.
                self.next_act += Duration::from_millis(self.rng.random_range(500..3_000));
                self.look_back(connection);
            } else if self.left > 0 {
                if !self.live_on(connection) {
                    return false;
                }
            } else {
                self.next_act += Duration::from_millis(200);
                self.finish(connection);
            }
        }
        self.speak(connection);
        true
    }

    /// One of the things that people do; `false` when it is to go away.
    fn live_on(&mut self, connection: &mut Connection) -> bool {
        match self.rng.random_range(0..100) {
            0..2 => return false,
            2..4 => {
                let deaf = Duration::from_millis(self.rng.random_range(0..3_000));
                self.deaf_until = Instant::now() + deaf;
            }
            4..6 => self.come_or_go(connection),
            6..14 => self.look_back(connection),
            _ if self.open.iter().filter(|one| one.is_first()).count() < MAX_OPEN => {
                self.think_of_something();
            }
            _ => {}
        }
        true
    }

    /// Leaves a room in which nothing waits, or comes back.
    fn come_or_go(&mut self, connection: &mut Connection) {
        let open = &self.open;
        let is_idle = |(room, is): &(&RoomId, &mut Membership)| {
            is.joins.is_empty() && open.iter().all(|operation| operation.room != **room)
        };
        let rooms = self.rooms.iter_mut().filter(is_idle);
        let Some((room, membership)) = rooms.choose(&mut self.rng) else {
            return;
        };
        membership.is_wanted = !membership.is_wanted;
        if membership.is_wanted {
            membership.join(connection);
        } else {
            membership.is_joined = false;
            connection.says(&frames::leave(room));
        }
    }

    /// Joins what could not be joined before.
    fn come_back(&mut self, connection: &mut Connection) {
        let is_lacking =
            |is: &&mut Membership| is.is_wanted && !is.is_joined && is.joins.is_empty();
        for membership in self.rooms.values_mut().filter(is_lacking) {
            membership.join(connection);
        }
    }

    /// Asks for something far back.
    fn look_back(&mut self, connection: &mut Connection) {
        let joined = self.rooms.iter().filter(|(_, is)| is.is_joined);
        let Some((room, membership)) = joined.choose(&mut self.rng) else {
            return;
        };
        let had = membership.screen.last;
        let seq = self.rng.random_range(0..=had) + 1;
        let place = match self.rng.random_range(0..3) {
            0 => Place::Before(seq),
            1 => Place::After(seq - 1),
            _ => Place::Around(seq),
        };
        let (room, limit) = (room.clone(), self.rng.random_range(1..=100));
        self.ask(connection, room, place, limit);
    }

    fn ask(&mut self, connection: &mut Connection, room: RoomId, place: Place, limit: u64) {
        let had = self.rooms.get(&room).map_or(0, |is| is.screen.last);
        self.asked += 1;
        connection.says(&frames::history(self.asked, &room, place, limit));
        let question = Question {
            room,
            place,
            limit,
            had,
        };
        self.questions.insert(self.asked, question);
    }

    /// All has been thought of: comes back to every room, and tells once all is answered.
    fn finish(&mut self, connection: &mut Connection) {
        for membership in self.rooms.values_mut() {
            membership.is_wanted = true;
        }
        self.come_back(connection);
        if self.open.is_empty()
            && let Some(has_said) = self.has_said.take()
        {
            // Whoever waits for it may have given up.
            let _ = has_said.send(());
        }
    }

    /// Says all that can be said now.
    fn speak(&mut self, connection: &mut Connection) {
        for operation in &mut self.open {
            let room = self.rooms.get(&operation.room);
            let is_joined = room.is_some_and(|room| room.is_joined);
            if is_joined && operation.due().is_some_and(|due| due <= Instant::now()) {
                operation.stage = Stage::Said(Instant::now());
                connection.says(&operation.frame());
            }
        }
        let lacking = self.rooms.iter().filter_map(|(room, membership)| {
            let asks = self
                .questions
                .values()
                .any(|question| question.room == *room);
            let after = membership.screen.lacks_after()?;
            (membership.is_joined && !asks).then(|| (room.clone(), after))
        });
        for (room, after) in lacking.collect::<Vec<_>>() {
            self.ask(connection, room, Place::After(after), 100);
        }
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        self.site.sim.note(&self.name, what);
    }

    fn wrong(&self, what: &str) {
        let what = format!("{}: {what}", self.name);
        self.seen.lock().wrong.push(what);
    }
}

impl Membership {
    fn join(&mut self, connection: &mut Connection) {
        self.joins.push_back(self.screen.last);
        connection.says(&frames::join(&self.screen));
    }
}
