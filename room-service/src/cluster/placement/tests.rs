//! Several placements that hear each other at once, on a clock that is moved by hand.

mod clocks;
mod failures;
mod moves;

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const P: u16 = 32;
/// The wall clock at the beginning.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// What a replica in these tests suffers from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    #[default]
    Well,
    /// kill -9: nobody listens to its subjects.
    Killed,
    /// SIGSTOP: its subscriptions fill.
    Frozen,
    /// Its logs do not answer it.
    NoLog,
    /// Its connection to the broker is gone.
    Cut,
}

struct Replica {
    placement: Placement,
    health: Health,
    /// How far its wall clock is ahead.
    clock_ms: i64,
    /// Claims and ownerships that were told to stop.
    stopping: BTreeSet<PartitionId>,
    owned: BTreeMap<PartitionId, u64>,
    claims: usize,
    news: Vec<News>,
    /// What it would find in its subscription when it goes on.
    unread: Vec<Input>,
}

/// A cluster without a network: what is sent arrives within the step.
struct World {
    replicas: BTreeMap<Process, Replica>,
    now_ms: u64,
    epochs: BTreeMap<PartitionId, u64>,
    /// Moves by request so far.
    released: usize,
    /// No log answers anybody.
    logs_away: bool,
    /// Releases that were refused.
    refused: usize,
    owned_by_two: usize,
}

fn process(name: &str) -> Process {
    Process::parse(name).unwrap()
}

fn partitions() -> Vec<PartitionId> {
    let rooms = (0..P).map(PartitionId::Rooms);
    std::iter::once(PartitionId::Meta).chain(rooms).collect()
}

impl World {
    fn new() -> Self {
        Self {
            replicas: BTreeMap::new(),
            now_ms: 0,
            epochs: BTreeMap::new(),
            released: 0,
            logs_away: false,
            refused: 0,
            owned_by_two: 0,
        }
    }

    /// A world whose replicas have settled.
    fn settled(names: &[&str]) -> Self {
        let mut world = Self::new();
        for name in names {
            world.start(name);
        }
        world.run(5_000);
        world.assert_placed();
        world.released = 0;
        world
    }

    fn start(&mut self, name: &str) {
        let me = process(name);
        let start_ms = EPOCH_MS + self.now_ms;
        let replica = Replica {
            placement: Placement::new(me.clone(), start_ms, false),
            health: Health::Well,
            clock_ms: 0,
            stopping: BTreeSet::new(),
            owned: BTreeMap::new(),
            claims: 0,
            news: Vec::new(),
            unread: Vec::new(),
        };
        self.replicas.insert(me.clone(), replica);
        self.feed(&me, Input::Begin(partitions()));
    }

    fn replica(&mut self, name: &str) -> &mut Replica {
        self.replicas.get_mut(&process(name)).unwrap()
    }

    fn set(&mut self, name: &str, health: Health) {
        self.replica(name).health = health;
    }

    fn moment(&self, of: &Process) -> Moment {
        let ahead_ms = self.replicas.get(of).map_or(0, |replica| replica.clock_ms);
        Moment {
            mono: Duration::from_millis(self.now_ms),
            unix_ms: (EPOCH_MS + self.now_ms)
                .checked_add_signed(ahead_ms)
                .unwrap(),
        }
    }

    /// Lets time pass, tick by tick, and what comes of it happen.
    fn run(&mut self, ms: u64) {
        self.run_until(ms, |_| false);
    }

    /// Lets time pass until something is so; after how long it was.
    fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        for passed in (0..ms).step_by(10) {
            if done(self) {
                return Some(passed);
            }
            self.now_ms += 10;
            let names: Vec<_> = self.replicas.keys().cloned().collect();
            for (at, name) in names.iter().enumerate() {
                let runs = !self.is(name, Health::Killed) && !self.is(name, Health::Frozen);
                // Nobody's ticks fall together.
                let due = (self.now_ms / 10 + 2 * at as u64).is_multiple_of(5);
                if runs && due {
                    let connected = !self.is(name, Health::Cut);
                    self.feed(name, Input::Tick { connected });
                }
                self.end_stopped(name);
            }
            self.count_doubles();
        }
        done(self).then_some(ms)
    }

    fn is(&self, name: &Process, health: Health) -> bool {
        self.replicas.get(name).is_some_and(|r| r.health == health)
    }

    /// What was told to stop ends in the next step.
    fn end_stopped(&mut self, name: &Process) {
        let runs = !self.is(name, Health::Killed) && !self.is(name, Health::Frozen);
        let Some(replica) = self.replicas.get_mut(name).filter(|_| runs) else {
            return;
        };
        for pp in std::mem::take(&mut replica.stopping) {
            let mine = self
                .replicas
                .get_mut(name)
                .and_then(|r| r.owned.remove(&pp));
            let deposed = mine.is_some_and(|epoch| self.epochs.get(&pp) != Some(&epoch));
            let how = if deposed {
                Ended::Deposed
            } else {
                Ended::Stopped
            };
            self.feed(name, Input::Ended { pp, how });
        }
    }

    fn feed(&mut self, name: &Process, input: Input) {
        let now = self.moment(name);
        let Some(replica) = self.replicas.get_mut(name) else {
            return;
        };
        match replica.health {
            Health::Killed => return,
            Health::Frozen => return replica.unread.push(input),
            Health::Cut if matches!(input, Input::Heard(_) | Input::ReleaseAsked { .. }) => return,
            Health::Well | Health::NoLog | Health::Cut => {}
        }
        let effects = replica.placement.handle(input, now);
        for effect in effects {
            self.carry_out(name, effect);
        }
    }

    fn carry_out(&mut self, name: &Process, effect: Effect) {
        match effect {
            Effect::Announce(owned) => self.announce(name, owned, false),
            Effect::Ping(process) => self.ping(name, process),
            Effect::Claim(pp) => {
                let replica = self.replicas.get_mut(name).unwrap();
                replica.claims += 1;
                if self.logs_away || replica.health == Health::NoLog {
                    return;
                }
                let epoch = self.epochs.entry(pp).or_default();
                *epoch += 1;
                let epoch = *epoch;
                replica.owned.insert(pp, epoch);
                self.feed(name, Input::Owned { pp, epoch });
            }
            Effect::Stop(pp) => {
                self.replicas.get_mut(name).unwrap().stopping.insert(pp);
            }
            Effect::AskRelease { pp, of, epoch } => {
                let reply = format!("{name} {of} {pp}");
                let by = name.clone();
                let asked = Input::ReleaseAsked {
                    pp,
                    epoch,
                    by,
                    reply,
                };
                self.feed(&of, asked);
            }
            Effect::AnswerRelease { reply, refused } => {
                let parts: Vec<_> = reply.split(' ').collect();
                let (of, pp) = (process(parts[1]), parts[2].parse().unwrap());
                let released = refused.is_none();
                self.released += usize::from(released);
                self.refused += usize::from(!released);
                let answered = Input::ReleaseAnswered { pp, of, released };
                self.feed(&process(parts[0]), answered);
            }
            Effect::Look(pp) => {
                let answers = !self.logs_away && !self.is(name, Health::NoLog);
                self.feed(name, Input::Looked { pp, answers });
            }
            Effect::Tell(news) => self.replicas.get_mut(name).unwrap().news.push(news),
        }
    }

    fn announce(&mut self, name: &Process, owned: Vec<Owned>, left: bool) {
        let announced = Announced {
            process: name.clone(),
            answers_pings: true,
            left,
            profile: self.replicas[name].placement.profile(),
            owned,
        };
        let others: Vec<_> = self
            .replicas
            .keys()
            .filter(|n| *n != name)
            .cloned()
            .collect();
        for other in others {
            self.feed(&other, Input::Heard(announced.clone()));
        }
    }

    fn ping(&mut self, from: &Process, process: Process) {
        let asked = self.moment(from);
        let told_unix_ms = self.moment(&process).unix_ms;
        let why = match self.replicas.get(&process).map(|replica| replica.health) {
            Some(Health::Well | Health::NoLog) => {
                let answered = Input::Answered {
                    process,
                    asked,
                    told_unix_ms,
                };
                return self.feed(from, answered);
            }
            Some(Health::Frozen) => Silence::Timeout,
            Some(Health::Killed | Health::Cut) | None => Silence::NoResponder,
        };
        let why = Some(why);
        self.feed(
            from,
            Input::Unanswered {
                process,
                asked,
                why,
            },
        );
    }

    fn count_doubles(&mut self) {
        let awake = |r: &&Replica| r.health != Health::Killed && r.health != Health::Frozen;
        let owners = |pp| {
            let all = self.replicas.values().filter(awake);
            all.filter(|r| r.owned.contains_key(&pp)).count()
        };
        self.owned_by_two += partitions()
            .into_iter()
            .filter(|pp| owners(*pp) > 1)
            .count();
    }

    /// The replicas that own a partition under its present epoch, of those that run.
    fn owner(&self, pp: PartitionId) -> Option<&Process> {
        let owns = |(name, replica): &(&Process, &Replica)| {
            let epoch = replica.owned.get(&pp);
            epoch == self.epochs.get(&pp)
                && epoch.is_some()
                && (self.is(name, Health::Well) || self.is(name, Health::NoLog))
        };
        self.replicas.iter().find(owns).map(|(name, _)| name)
    }

    fn is_all_owned(&self) -> bool {
        partitions().into_iter().all(|pp| self.owner(pp).is_some())
    }

    fn owned_by(&self, name: &str) -> usize {
        let name = process(name);
        let of = |pp: &PartitionId| self.owner(*pp) == Some(&name);
        partitions().iter().filter(|pp| of(pp)).count()
    }

    /// Every partition is owned by whom rendezvous hashing names among the well.
    fn is_placed(&self) -> bool {
        let well = || {
            let well = self
                .replicas
                .iter()
                .filter(|(_, r)| r.health == Health::Well);
            well.map(|(name, _)| (name, 0))
        };
        partitions()
            .into_iter()
            .all(|pp| self.owner(pp) == super::super::rendezvous::winner(pp, well()))
    }

    fn assert_placed(&self) {
        let owners: BTreeMap<_, _> = partitions()
            .into_iter()
            .map(|pp| (pp, self.owner(pp)))
            .collect();
        assert!(self.is_placed(), "{owners:?}");
    }
}
