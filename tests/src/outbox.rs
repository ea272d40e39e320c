//! Somebody who sends each message until it is acked, through whichever gateway answers, like the page's
//! outbox does.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{
    Browser, PATIENCE,
    journal::{Deed, Journal},
};

/// Before another try. Not to wait for something: a gateway that is gone refuses at once.
const PAUSE: Duration = Duration::from_millis(50);

/// A sender in one room.
pub struct Outbox {
    /// Cid and seq of all that was acked.
    pub acked: BTreeMap<String, u64>,
    /// The longest time from a first try to its ack.
    pub longest: Duration,
    name: String,
    room: String,
    gateways: Vec<SocketAddr>,
    turn: usize,
    browser: Option<Browser>,
    token: Option<String>,
    /// The last seq that it knows of.
    head: u64,
    journal: Journal,
}

impl Outbox {
    /// Begins at the gateway `turn`.
    pub fn new(name: &str, room: &str, gateways: &[SocketAddr], turn: usize) -> Self {
        Self {
            acked: BTreeMap::new(),
            longest: Duration::ZERO,
            name: name.to_owned(),
            room: room.to_owned(),
            gateways: gateways.to_vec(),
            turn,
            browser: None,
            token: None,
            head: 0,
            journal: Journal::default(),
        }
    }

    /// Where it sends.
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Writes down what it does.
    pub fn writing(mut self, journal: &Journal) -> Self {
        self.journal = journal.clone();
        self
    }

    /// Sends one message after the other, `pause` apart, until told to stop; counts acks in `count`.
    pub async fn run(
        mut self,
        pause: Duration,
        count: Arc<AtomicU64>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut n = 0;
        while !*stop.borrow() {
            self.send(&format!("{}-{n}", self.name)).await;
            count.fetch_add(1, Ordering::Relaxed);
            n += 1;
            tokio::time::sleep(pause).await;
        }
        self
    }

    /// Sends a message with this cid until it is acked.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`], or the answer is none that a retry helps.
    pub async fn send(&mut self, cid: &str) {
        let began = Instant::now();
        self.journal.write(&self.room, cid, Deed::Sent);
        let mut frame = json!({"op": "send", "room": self.room, "cid": cid});
        frame["text"] = format!("text {cid}").into();
        frame["since"] = self.head.into();
        loop {
            assert!(began.elapsed() < PATIENCE, "{cid} was not acked");
            if self.browser.is_none() {
                self.browser = self.connect().await;
            }
            let answer = match &mut self.browser {
                Some(browser) => attempt(browser, &frame, &mut self.head).await,
                None => None,
            };
            match answer {
                Some(ack) if ack["op"] == "ack" => {
                    let seq = ack["seq"].as_u64().expect("an ack has a seq");
                    self.journal.write(&self.room, cid, Deed::Acked { seq });
                    self.acked.insert(cid.to_owned(), seq);
                    self.longest = self.longest.max(began.elapsed());
                    return;
                }
                Some(error) => {
                    assert_eq!(error["code"], "UNAVAILABLE", "{error}");
                    assert!(error["retry_after_ms"].is_u64(), "{error}");
                }
                None => {
                    let gone = self.browser.take();
                    self.token = gone.and_then(|browser| browser.token).or(self.token.take());
                    self.turn += 1;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connect(&mut self) -> Option<Browser> {
        let gateway = self.gateways[self.turn % self.gateways.len()];
        let mut browser = Browser::try_connect(gateway).await.ok()?;
        let mut hello = json!({"op": "hello", "nick": self.name, "rooms": {&self.room: null}});
        if let Some(token) = &self.token {
            hello["token"] = token.clone().into();
        }
        if !browser.try_say(hello).await {
            return None;
        }
        loop {
            let frame = browser.receive().await.ok()?;
            match frame["op"].as_str() {
                Some("joined") => {
                    self.head = frame["head"].as_u64().unwrap_or(self.head);
                    return Some(browser);
                }
                // The room's owner is away: as good as no gateway.
                Some("error") => return None,
                _ => {}
            }
        }
    }
}

/// The answer to one send; `None` when the gateway goes. Keeps `head` at what is shown meanwhile.
async fn attempt(browser: &mut Browser, send: &Value, head: &mut u64) -> Option<Value> {
    if !browser.try_say(send.clone()).await {
        return None;
    }
    loop {
        let frame = browser.receive().await.ok()?;
        *head = frame["seq"].as_u64().unwrap_or(*head).max(*head);
        if frame["cid"] == send["cid"] && frame["op"] != "event" {
            return Some(frame);
        }
    }
}
