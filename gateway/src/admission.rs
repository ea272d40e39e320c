//! How many sockets and new guests one address may have. An address is an IPv4 address or the /64 of an
//! IPv6 one; addresses to which the limits do not apply are `None`. Rates of ops and sends are not here.
//!
//! An address is forgotten when it has no socket and no recent past. Addresses with a socket are as many
//! as there are sockets; those with only a past are kept up to a bound, the latest first.

mod address;
mod window;

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use address::Address;
use window::Window;

/// In which [`proto::Limits::new_connections`] count.
const CONNECTIONS_WITHIN: Duration = Duration::from_secs(10);
/// In which [`proto::Limits::new_guests_per_minute`] count.
const GUESTS_WITHIN: Duration = Duration::from_secs(60);
/// How often the past is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Addresses without a socket that are remembered: some 10 MiB at most.
const MAX_IDLE: usize = 65_536;

/// Counts sockets and guests per address. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    max_live: u32,
    /// `None` with `--limits off`.
    max_new: Option<u32>,
    max_guests: u32,
    state: Mutex<State>,
    /// Every socket let in, of whatever address.
    sockets: TaskTracker,
}

struct State {
    addresses: HashMap<Address, Entry>,
    /// The past is swept at this time, or at this many addresses.
    sweep_at: Instant,
    sweep_at_len: usize,
}

#[derive(Default)]
struct Entry {
    live: u32,
    connections: Window,
    guests: Window,
}

/// A socket is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// Its address holds as many as it may: close 4012.
    TooManyLive,
    /// Its address has opened too many of late: close 4008.
    TooFast {
        /// When the next one would be let in.
        retry: Duration,
    },
}

/// A socket that was let in; dropped when it is closed.
pub(crate) struct ConnectionGuard {
    inner: Arc<Inner>,
    address: Option<Address>,
    _socket: TaskTrackerToken,
}

impl Admission {
    pub(crate) fn new(limits: &proto::Limits, now: Instant) -> Self {
        Self {
            inner: Arc::new(Inner {
                max_live: limits.connections,
                max_new: limits.rates.then_some(limits.new_connections),
                max_guests: limits.new_guests_per_minute,
                state: Mutex::new(State {
                    addresses: HashMap::new(),
                    sweep_at: now + SWEEP_EVERY,
                    sweep_at_len: MAX_IDLE,
                }),
                sockets: TaskTracker::new(),
            }),
        }
    }

    /// Lets a socket in, or not. What is refused does not count against the address.
    ///
    /// # Errors
    /// [`Admit`].
    pub(crate) fn connect(
        &self,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<ConnectionGuard, Admit> {
        let address = address.map(Address::from);
        if let Some(address) = address {
            let mut state = self.inner.state.lock();
            let entry = state.entry(address, now);
            if entry.live >= self.inner.max_live {
                return Err(Admit::TooManyLive);
            }
            if let Some(max) = self.inner.max_new {
                entry
                    .connections
                    .take(max, CONNECTIONS_WITHIN, now)
                    .map_err(|retry| Admit::TooFast { retry })?;
            }
            entry.live += 1;
        }
        Ok(ConnectionGuard {
            inner: Arc::clone(&self.inner),
            address,
            _socket: self.inner.sockets.token(),
        })
    }

    /// Lets somebody become a new guest, or says in how many milliseconds.
    ///
    /// # Errors
    /// Milliseconds to wait.
    pub(crate) fn new_guest(&self, address: Option<IpAddr>, now: Instant) -> Result<(), u64> {
        let Some(address) = address.map(Address::from) else {
            return Ok(());
        };
        let mut state = self.inner.state.lock();
        let guests = &mut state.entry(address, now).guests;
        guests
            .take(self.inner.max_guests, GUESTS_WITHIN, now)
            .map_err(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// What stands for an address towards the room service, the same on every gateway; 0 for none.
    pub(crate) fn address_hash(&self, address: Option<IpAddr>) -> u64 {
        address.map_or(0, |address| Address::from(address).hash())
    }

    /// Sockets that are let in and not closed yet.
    pub(crate) fn sockets(&self) -> &TaskTracker {
        &self.inner.sockets
    }
}

impl fmt::Debug for ConnectionGuard {
    /// Without the address, which is nobody's to log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionGuard").finish_non_exhaustive()
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let Some(address) = self.address else {
            return;
        };
        if let Some(entry) = self.inner.state.lock().addresses.get_mut(&address) {
            entry.live = entry.live.saturating_sub(1);
        }
    }
}

impl State {
    fn entry(&mut self, address: Address, now: Instant) -> &mut Entry {
        if now >= self.sweep_at || self.addresses.len() >= self.sweep_at_len {
            self.sweep(now);
        }
        self.addresses.entry(address).or_default()
    }

    fn sweep(&mut self, now: Instant) {
        self.addresses
            .retain(|_, entry| entry.is_worth_keeping(now));
        let mut pasts: Vec<Instant> = self.idle().filter_map(|e| e.last_seen()).collect();
        if pasts.len() > MAX_IDLE / 2 {
            let middle = pasts.len() - MAX_IDLE / 2;
            let (_, &mut keep_from, _) = pasts.select_nth_unstable(middle);
            self.addresses
                .retain(|_, entry| entry.live > 0 || entry.last_seen() > Some(keep_from));
        }
        self.sweep_at = now + SWEEP_EVERY;
        self.sweep_at_len = self.addresses.len() + MAX_IDLE / 2;
    }

    fn idle(&self) -> impl Iterator<Item = &Entry> {
        self.addresses.values().filter(|entry| entry.live == 0)
    }
}

impl Entry {
    fn is_worth_keeping(&mut self, now: Instant) -> bool {
        self.connections.forget(CONNECTIONS_WITHIN, now);
        self.guests.forget(GUESTS_WITHIN, now);
        self.live > 0 || self.last_seen().is_some()
    }

    fn last_seen(&self) -> Option<Instant> {
        self.connections.last().max(self.guests.last())
    }
}

#[cfg(test)]
mod tests;
