//! Somebody who reads several rooms from their first event and writes down all that is shown: connected all
//! the time, or away again and again. Comes back with cursors, and fills gaps from history, as a page does.

use std::{collections::BTreeMap, net::SocketAddr, ops::Range, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{
    Browser, PATIENCE,
    journal::{Deed, Journal, Reads},
};

/// Before another gateway is tried.
const PAUSE: Duration = Duration::from_millis(20);
/// Events asked of history at once.
const LIMIT: u64 = 100;

/// The last seq of each room, once all that was sent is acked.
pub type Heads = Option<BTreeMap<String, u64>>;

/// A reader of rooms.
pub struct Reader {
    /// Why connections ended that it had not ended itself.
    pub broken: Vec<String>,
    /// How often it was told of a gap that history had to fill.
    pub gaps: usize,
    /// How often it came back.
    pub returns: usize,
    journal: Journal,
    number: usize,
    name: String,
    rooms: BTreeMap<String, Place>,
    gateways: Vec<SocketAddr>,
    turn: usize,
    habit: Habit,
    rng: StdRng,
}

/// How a reader behaves; times in milliseconds.
#[derive(Clone, Debug)]
pub enum Habit {
    /// Stays as long as its gateway does.
    Steady,
    /// Stays and is away for some time within these, by turns.
    Flapping {
        /// Connected.
        here: Range<u64>,
        /// Not connected.
        away: Range<u64>,
    },
}

/// How far a room is read.
#[derive(Default)]
struct Place {
    generation: Option<String>,
    head: u64,
    hole: Option<Hole>,
}

/// Events that were not sent, up to `to`, and those that came after them.
struct Hole {
    to: u64,
    later: Vec<Value>,
}

impl Reader {
    /// Begins at the gateway `turn`; `seed` decides when it flaps.
    pub fn new(
        journal: &Journal,
        name: &str,
        rooms: &[String],
        gateways: &[SocketAddr],
        turn: usize,
        habit: Habit,
        seed: u64,
    ) -> Self {
        let number = journal.register(Reads {
            name: name.to_owned(),
            rooms: rooms.to_vec(),
            is_steady: matches!(habit, Habit::Steady),
        });
        Self {
            broken: Vec::new(),
            gaps: 0,
            returns: 0,
            journal: journal.clone(),
            number,
            name: name.to_owned(),
            rooms: rooms
                .iter()
                .map(|room| (room.clone(), Place::default()))
                .collect(),
            gateways: gateways.to_vec(),
            turn,
            habit,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Reads until it has all up to the heads that `until` names in the end, or they do not come.
    pub async fn run(mut self, mut until: watch::Receiver<Heads>) -> Self {
        let mut give_up = None;
        while !self.is_done(&until) {
            if until.borrow().is_some() {
                let give_up = *give_up.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() > give_up {
                    break;
                }
            }
            let away = match &self.habit {
                Habit::Steady => PAUSE,
                Habit::Flapping { away, .. } => {
                    Duration::from_millis(self.rng.random_range(away.clone()))
                }
            };
            if let Some(why) = self.visit(&mut until).await {
                self.broken.push(why);
                self.turn += 1;
            }
            self.returns += 1;
            if until.borrow().is_none() {
                tokio::time::sleep(away).await;
            }
        }
        self
    }

    fn is_done(&self, until: &watch::Receiver<Heads>) -> bool {
        let until = until.borrow();
        let has = |(room, head): (&String, &u64)| {
            let place = self.rooms.get(room);
            place.is_none_or(|place| place.head >= *head)
        };
        until.as_ref().is_some_and(|heads| heads.iter().all(has))
    }

    /// Connects and reads until it has all, or leaves, or why the connection ended.
    async fn visit(&mut self, until: &mut watch::Receiver<Heads>) -> Option<String> {
        let leave = match &self.habit {
            Habit::Flapping { here, .. } if until.borrow().is_none() => {
                self.turn += 1;
                Duration::from_millis(self.rng.random_range(here.clone()))
            }
            _ => Duration::from_hours(1),
        };
        let leave = tokio::time::sleep(leave);
        tokio::pin!(leave);
        let mut browser = match self.connect().await {
            Ok(browser) => browser,
            Err(why) => return Some(why),
        };
        while !self.is_done(until) {
            let frame = tokio::select! {
                frame = browser.receive() => frame,
                () = &mut leave => return None,
                // Where the end is may be known only after it was read.
                _ = until.changed() => continue,
            };
            match frame {
                Ok(frame) => {
                    if let Err(why) = self.take(&mut browser, frame).await {
                        return Some(why);
                    }
                }
                Err(why) => return Some(why),
            }
        }
        None
    }

    async fn connect(&mut self) -> Result<Browser, String> {
        let gateway = self.gateways[self.turn % self.gateways.len()];
        let connected = Browser::try_connect(gateway).await;
        let mut browser = connected.map_err(|error| format!("not connected: {error}"))?;
        let mut cursors = serde_json::Map::new();
        for (room, place) in &mut self.rooms {
            // What a hole held back comes again.
            place.hole = None;
            let cursor = match &place.generation {
                Some(generation) => format!("{generation}.{}", place.head).into(),
                None => Value::from(place.head),
            };
            cursors.insert(room.clone(), cursor);
        }
        let hello = json!({"op": "hello", "nick": self.name, "rooms": cursors});
        if browser.try_say(hello).await {
            Ok(browser)
        } else {
            Err("gone before hello".to_owned())
        }
    }

    /// Reads a frame; why it cannot go on here.
    async fn take(&mut self, browser: &mut Browser, mut frame: Value) -> Result<(), String> {
        if frame["op"] == "error" {
            return Err(frame.to_string());
        }
        let Some(room) = frame["room"].as_str().or(frame["id"].as_str()) else {
            return Ok(());
        };
        let room = room.to_owned();
        let Some(place) = self.rooms.get_mut(&room) else {
            return Ok(());
        };
        if let Some(generation) = frame["gen"].as_str()
            && frame["head"] != 0
        {
            place.generation = Some(generation.to_owned());
        }
        let events = match frame["events"].take() {
            Value::Array(events) => events,
            _ => Vec::new(),
        };
        match frame["op"].as_str() {
            Some("joined") => {
                if frame["gap"]["reset"] == true {
                    self.journal.write(
                        &room,
                        "",
                        Deed::Forgot {
                            reader: self.number,
                        },
                    );
                } else if let Some(to) = frame["gap"]["to"].as_u64() {
                    return self.gap(browser, &room, to, events).await;
                }
                self.show(&room, events);
            }
            Some("event") => match &mut place.hole {
                Some(hole) => hole.later.push(frame),
                None => self.show(&room, vec![frame]),
            },
            Some("gap") => {
                let to = frame["to"].as_u64().unwrap_or_default();
                return self.gap(browser, &room, to, Vec::new()).await;
            }
            Some("history") => return self.fill(browser, &room, events).await,
            _ => {}
        }
        Ok(())
    }

    /// Begins to ask history for what was not sent.
    async fn gap(
        &mut self,
        browser: &mut Browser,
        room: &str,
        to: u64,
        later: Vec<Value>,
    ) -> Result<(), String> {
        self.gaps += 1;
        if let Some(place) = self.rooms.get_mut(room) {
            place.hole = Some(Hole { to, later });
        }
        self.ask(browser, room).await
    }

    async fn ask(&self, browser: &mut Browser, room: &str) -> Result<(), String> {
        let after = self.rooms[room].head;
        let question =
            json!({"op": "history", "id": room, "room": room, "after": after, "limit": LIMIT});
        let is_asked = browser.try_say(question).await;
        is_asked
            .then_some(())
            .ok_or_else(|| "gone before history".to_owned())
    }

    /// Takes an answer of history, and what came after the hole once that is filled.
    async fn fill(
        &mut self,
        browser: &mut Browser,
        room: &str,
        mut events: Vec<Value>,
    ) -> Result<(), String> {
        let Some(hole) = self.rooms.get_mut(room).and_then(|place| place.hole.take()) else {
            return Ok(());
        };
        if events.is_empty() {
            return Err(format!("history of {room} ends before {}", hole.to));
        }
        events.retain(|event| event["seq"].as_u64() <= Some(hole.to));
        self.show(room, events);
        if self.rooms[room].head >= hole.to {
            self.show(room, hole.later);
            return Ok(());
        }
        if let Some(place) = self.rooms.get_mut(room) {
            place.hole = Some(hole);
        }
        self.ask(browser, room).await
    }

    fn show(&mut self, room: &str, events: Vec<Value>) {
        for event in events {
            let cid = event["cid"].as_str().unwrap_or_default();
            let text = event["text"].as_str().unwrap_or_default();
            assert_eq!(text, format!("text {cid}"), "another text: {event}");
            let seq = event["seq"].as_u64().unwrap_or_default();
            let reader = self.number;
            self.journal.write(room, cid, Deed::Shown { reader, seq });
            if let Some(place) = self.rooms.get_mut(room) {
                place.head = seq;
            }
        }
    }
}
