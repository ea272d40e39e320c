//! Browsers that send without end, one message at a time each, and one that watches all their rooms.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::Browser;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use super::installation::{Installation, rooms};

/// Between an ack and the next send of a browser.
const PAUSE: Duration = Duration::from_millis(10);

/// When a send began and how long it took to be acked.
type Took = (Instant, Duration);
/// What was acked, or seen: by room and cid, its seq.
type Events = BTreeMap<(String, String), u64>;

/// Sends under way.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    took: Arc<Mutex<Vec<Took>>>,
    open: Arc<Mutex<BTreeMap<String, Instant>>>,
    senders: JoinSet<Events>,
    watcher: JoinHandle<Seen>,
}

/// What became of it all.
pub(crate) struct Account {
    acked: Events,
    seen: Seen,
}

/// What the watcher saw.
#[derive(Default)]
struct Seen {
    events: Events,
    doubled: usize,
    disordered: usize,
    last: BTreeMap<String, u64>,
}

impl Load {
    /// A sender in each room, half of them at each gateway.
    pub(crate) async fn start(installation: &Installation) -> Self {
        let rooms = rooms();
        let names: Vec<_> = rooms.iter().map(String::as_str).collect();
        let watcher = Browser::enter(installation.gateways[0], "Watcher", &names).await;
        let stop = watch::Sender::new(false);
        let (took, open) = (Arc::default(), Arc::default());
        let mut senders = JoinSet::new();
        for (at, room) in rooms.iter().enumerate() {
            let gateway = installation.gateways[at % installation.gateways.len()];
            let sender = Sender {
                room: room.clone(),
                took: Arc::clone(&took),
                open: Arc::clone(&open),
                stop: stop.subscribe(),
            };
            senders.spawn(sender.run(gateway));
        }
        let watcher = tokio::spawn(see(watcher, stop.subscribe()));
        Self {
            stop,
            took,
            open,
            senders,
            watcher,
        }
    }

    /// Lets time pass; the longest wait of a send within it.
    pub(crate) async fn watch(&self, time: Duration) -> Duration {
        let from = Instant::now();
        tokio::time::sleep(time).await;
        self.longest_since(from)
    }

    /// The longest wait of a send that was under way then or later, those without an ack so far too.
    pub(crate) fn longest_since(&self, from: Instant) -> Duration {
        let took = self.took.lock();
        let ended = took.iter().filter(|(began, took)| *began + *took >= from);
        let open = self.open.lock();
        let open = open.values().map(|began| began.elapsed());
        ended
            .map(|(_, took)| *took)
            .chain(open)
            .max()
            .unwrap_or_default()
    }

    /// Ends it when every send is acked and every ack was seen by the watcher, or nothing more comes.
    pub(crate) async fn stop(self) -> Account {
        self.stop.send_replace(true);
        let mut acked = Events::new();
        for mut of_one in self.senders.join_all().await {
            acked.append(&mut of_one);
        }
        let seen = self.watcher.await.unwrap();
        Account { acked, seen }
    }
}

impl Account {
    /// Checks that every ack was delivered once and in order, and nothing else was; the account in words.
    pub(crate) fn check(&self) -> String {
        let (acked, seen) = (&self.acked, &self.seen);
        let missing = acked
            .iter()
            .filter(|(key, _)| !seen.events.contains_key(*key))
            .count();
        let words = format!(
            "acked {}, delivered {}, missing {missing}, doubled {}, disordered {}",
            acked.len(),
            seen.events.len(),
            seen.doubled,
            seen.disordered
        );
        assert!(!acked.is_empty());
        assert_eq!(
            (missing, seen.doubled, seen.disordered),
            (0, 0, 0),
            "{words}"
        );
        assert_eq!(*acked, seen.events);
        words
    }
}

struct Sender {
    room: String,
    took: Arc<Mutex<Vec<Took>>>,
    open: Arc<Mutex<BTreeMap<String, Instant>>>,
    stop: watch::Receiver<bool>,
}

impl Sender {
    async fn run(self, gateway: SocketAddr) -> Events {
        let mut browser = Browser::enter(gateway, "Ann", &[&self.room]).await;
        let mut acked = Events::new();
        for n in 0_u64.. {
            if *self.stop.borrow() {
                break;
            }
            let cid = format!("c{n}");
            let began = Instant::now();
            self.open.lock().insert(self.room.clone(), began);
            let ack = send(&mut browser, &self.room, &cid).await;
            self.open.lock().remove(&self.room);
            assert_eq!(ack["op"], "ack", "{ack}");
            self.took.lock().push((began, began.elapsed()));
            acked.insert((self.room.clone(), cid), ack["seq"].as_u64().unwrap());
            tokio::time::sleep(PAUSE).await;
        }
        acked
    }
}

/// Sends a message and awaits its answer; whatever else comes is the watcher's to see.
async fn send(browser: &mut Browser, room: &str, cid: &str) -> Value {
    let frame = json!({"op": "send", "room": room, "cid": cid, "text": "hi"});
    browser.say(frame).await;
    loop {
        let frame = browser.receive().await.unwrap();
        if frame["cid"] == cid && frame["op"] != "event" {
            return frame;
        }
    }
}

/// Sees all events until `stop`, and then those that are still on their way.
async fn see(mut browser: Browser, mut stop: watch::Receiver<bool>) -> Seen {
    let mut seen = Seen::default();
    loop {
        let last = *stop.borrow();
        tokio::select! {
            frame = browser.receive() => seen.take(&frame.unwrap()),
            _ = stop.changed(), if !last => {}
            // Fan-out is asked for again within two seconds when it was lost.
            () = tokio::time::sleep(Duration::from_secs(3)), if last => return seen,
        }
    }
}

impl Seen {
    fn take(&mut self, frame: &Value) {
        if frame["op"] != "event" {
            return;
        }
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        let (room, seq) = (text("room"), frame["seq"].as_u64().unwrap());
        let last = self.last.insert(room.clone(), seq).unwrap_or(0);
        self.disordered += usize::from(seq != last + 1);
        let before = self.events.insert((room, text("cid")), seq);
        self.doubled += usize::from(before.is_some());
    }
}
