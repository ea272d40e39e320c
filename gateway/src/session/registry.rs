//! All sessions of this gateway: for the sweeper, for what concerns a user, and for the end.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proto::frame::ServerFrame;
use rand::seq::SliceRandom as _;
use tokio::time::Instant;

use super::{Session, socket::Text};
use crate::{close::Close, hub::Form};

/// The map of sessions is locked in this many parts.
const SHARDS: usize = 16;

/// The sessions, by id and by user.
#[derive(Default)]
pub(crate) struct Registry {
    shards: [Mutex<HashMap<u64, Arc<Session>>>; SHARDS],
    users: Mutex<HashMap<Arc<str>, Vec<Arc<Session>>>>,
    is_draining: AtomicBool,
}

impl Registry {
    /// Asks every session to come back elsewhere, each after its own delay within `window`, and closes
    /// it when that has passed. Whoever opens one from now on is turned away.
    pub(crate) fn drain(&self, window: Duration) {
        self.is_draining.store(true, Ordering::Release);
        let mut sessions = Vec::new();
        self.for_each(|session| sessions.push(Arc::clone(session)));
        sessions.shuffle(&mut rand::rng());
        let begin = Instant::now();
        let count = u32::try_from(sessions.len()).unwrap_or(u32::MAX).max(1);
        let step = window / count;
        let mut delay = Duration::ZERO;
        let mut closes = Vec::with_capacity(sessions.len());
        for session in sessions {
            // One place in the window for each, and anywhere within it.
            let own = delay + step.mul_f64(rand::random());
            delay += step;
            // Nothing comes before `welcome`.
            if session.form == Form::V1 && session.life.has_greeted() {
                let delay_ms = u64::try_from(own.as_millis()).unwrap_or(u64::MAX);
                let frame = ServerFrame::Drain { delay_ms };
                session.outbox.control(Text::from(frame.encode()));
            }
            closes.push((begin + own, session));
        }
        tokio::spawn(async move {
            for (at, session) in closes {
                tokio::time::sleep_until(at).await;
                session.outbox.close(Close::DRAIN);
            }
        });
    }

    /// The sessions of a user here.
    pub(crate) fn of_user(&self, id: &str) -> Vec<Arc<Session>> {
        self.users.lock().get(id).cloned().unwrap_or_default()
    }

    /// Whether sockets are sent elsewhere.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Closes every session now.
    pub(crate) fn close_all(&self, close: Close) {
        self.for_each(|session| session.outbox.close(close));
    }

    pub(crate) fn for_each(&self, mut what: impl FnMut(&Arc<Session>)) {
        for shard in &self.shards {
            shard.lock().values().for_each(&mut what);
        }
    }

    pub(super) fn open(&self, session: &Arc<Session>) {
        self.shard(session.id)
            .lock()
            .insert(session.id, Arc::clone(session));
        if self.is_draining() {
            session.outbox.close(Close::DRAIN);
        }
    }

    /// The session is somebody's now.
    pub(super) fn entered(&self, session: &Arc<Session>) {
        let mut users = self.users.lock();
        let sessions = users.entry(session.who().id);
        // Most users have one.
        let sessions = sessions.or_insert_with(|| Vec::with_capacity(1));
        sessions.push(Arc::clone(session));
    }

    pub(super) fn close(&self, session: &Session) {
        self.shard(session.id).lock().remove(&session.id);
        let mut users = self.users.lock();
        if let Entry::Occupied(mut sessions) = users.entry(session.who().id) {
            sessions.get_mut().retain(|other| other.id != session.id);
            if sessions.get().is_empty() {
                sessions.remove();
            }
        }
    }

    fn shard(&self, session: u64) -> &Mutex<HashMap<u64, Arc<Session>>> {
        let index = usize::try_from(session % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn session(id: u64) -> Arc<Session> {
        Arc::new(Session::new(id, Form::V1, web::negotiate(None)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_spreads_the_closes_over_the_window() {
        let registry = Registry::default();
        let sessions: Vec<_> = (0..10).map(session).collect();
        for session in &sessions {
            session.life.greeted();
            registry.open(session);
        }
        registry.drain(Duration::from_secs(10));
        let mut delays: Vec<u64> = sessions
            .iter()
            .map(|session| {
                let mut batch = VecDeque::new();
                assert_eq!(session.outbox.take(&mut batch), None);
                let frame = batch.pop_front().unwrap();
                let frame: serde_json::Value = serde_json::from_str(frame.text().unwrap()).unwrap();
                assert_eq!(frame["op"], "drain");
                frame["delay_ms"].as_u64().unwrap()
            })
            .collect();
        delays.sort_unstable();
        for (place, delay) in delays.iter().enumerate() {
            assert_eq!(delay / 1_000, place as u64, "{delays:?}");
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let closing = |sessions: &[Arc<Session>]| {
            let is_closing = |session: &&Arc<Session>| session.outbox.is_closing();
            sessions.iter().filter(is_closing).count()
        };
        assert!((5..=6).contains(&closing(&sessions)));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(closing(&sessions), 10);
        let late = session(99);
        registry.open(&late);
        assert!(late.outbox.is_closing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_says_nothing_to_whoever_has_not_said_hello() {
        let registry = Registry::default();
        let silent = session(1);
        registry.open(&silent);
        registry.drain(Duration::from_secs(1));
        let mut batch = VecDeque::new();
        assert_eq!(silent.outbox.take(&mut batch), None);
        assert!(batch.is_empty(), "nothing comes before `welcome`");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(silent.outbox.take(&mut batch), Some(Close::DRAIN));
    }
}
