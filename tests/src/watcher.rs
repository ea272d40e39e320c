//! Somebody who reads a room from its first event, comes back with a cursor wherever the connection broke,
//! and insists on every event, once and in order.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Browser;

/// Before another gateway is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// A reader of one room.
pub struct Watcher {
    /// Cid and seq of every event.
    pub seen: BTreeMap<String, u64>,
    /// Events that came as they happened.
    pub live: usize,
    /// Events that a join brought.
    pub caught_up: usize,
    /// Connections that broke.
    pub broken: usize,
    room: String,
    generation: Option<String>,
    head: u64,
    gateways: Vec<SocketAddr>,
    turn: usize,
}

impl Watcher {
    /// Begins at the gateway `turn`.
    pub fn new(room: &str, gateways: &[SocketAddr], turn: usize) -> Self {
        Self {
            seen: BTreeMap::new(),
            live: 0,
            caught_up: 0,
            broken: 0,
            room: room.to_owned(),
            generation: None,
            head: 0,
            gateways: gateways.to_vec(),
            turn,
        }
    }

    /// Reads until it has the event that `until` names in the end.
    ///
    /// # Panics
    /// At a hole, a repeat or a gap.
    pub async fn run(mut self, mut until: watch::Receiver<Option<u64>>) -> Self {
        loop {
            self.read(&mut until).await;
            if self.is_done(&until) {
                return self;
            }
            self.broken += 1;
            self.turn += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn is_done(&self, until: &watch::Receiver<Option<u64>>) -> bool {
        until.borrow().is_some_and(|last| self.head >= last)
    }

    /// Reads from one gateway until it goes, or all is read.
    async fn read(&mut self, until: &mut watch::Receiver<Option<u64>>) {
        let gateway = self.gateways[self.turn % self.gateways.len()];
        let Ok(mut browser) = Browser::try_connect(gateway).await else {
            return;
        };
        let cursor = match &self.generation {
            Some(generation) => format!("{generation}.{}", self.head).into(),
            None => Value::from(0),
        };
        let hello = json!({"op": "hello", "nick": "Reader", "rooms": {&self.room: cursor}});
        if !browser.try_say(hello).await {
            return;
        }
        let mut joined_at = 0;
        while !self.is_done(until) {
            let frame = tokio::select! {
                frame = browser.receive() => frame,
                // Where the end is may be known only after it was read.
                _ = until.changed() => continue,
            };
            let Ok(frame) = frame else { return };
            match frame["op"].as_str() {
                Some("joined") => {
                    assert!(frame.get("gap").is_none(), "a gap: {frame}");
                    joined_at = frame["head"].as_u64().expect("joined has a head");
                    for event in frame["events"].as_array().into_iter().flatten() {
                        self.take(event, joined_at);
                    }
                    let generation = frame["gen"].as_str().filter(|_| joined_at > 0);
                    self.generation = generation.map(str::to_owned).or(self.generation.take());
                }
                Some("event") => {
                    if let Some(generation) = frame["gen"].as_str() {
                        self.generation = Some(generation.to_owned());
                    }
                    self.take(&frame, joined_at);
                }
                // The room's owner is away: as good as no gateway.
                Some("error") => return,
                _ => {}
            }
        }
    }

    fn take(&mut self, event: &Value, joined_at: u64) {
        let seq = event["seq"].as_u64().expect("an event has a seq");
        assert_eq!(seq, self.head + 1, "a hole or a repeat: {event}");
        self.head = seq;
        let cid = event["cid"].as_str().expect("a message has a cid");
        assert_eq!(
            self.seen.insert(cid.to_owned(), seq),
            None,
            "doubled: {event}"
        );
        if seq > joined_at {
            self.live += 1;
        } else {
            self.caught_up += 1;
        }
    }
}
