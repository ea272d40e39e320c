//! Whatever is put, lost, unclear or crashes at whatever moment: what an owner shows is the fold of the
//! whole log, and no cid is in it twice.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::{
    bus::v1::send::Body,
    log::v1::{Event, event::Kind},
};

use crate::domain::{
    Put, Resolved, record,
    testing::{Bench, delete, edit, later, message, react, redact, unlimited},
};

#[derive(Clone, Debug)]
enum Step {
    Send {
        user: u8,
        cid: u8,
    },
    Edit {
        cid: u8,
        target: u8,
    },
    Delete {
        cid: u8,
        target: u8,
    },
    Redact {
        cid: u8,
        target: u8,
    },
    React {
        user: u8,
        cid: u8,
        target: u8,
        on: bool,
    },
    Burst,
    Commit,
    /// The append lands, and nobody is told: the batch is put back and found.
    Adopt,
    Put(Landing),
    Checkpoint,
    Sweep,
    Crash,
    Wait,
}

/// What becomes of a put.
#[derive(Clone, Copy, Debug)]
enum Landing {
    Told,
    Untold,
    Lost,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let target = 1..150_u8;
    let cid = 0..200_u8;
    let step = prop_oneof![
        8 => (0..3_u8, cid.clone()).prop_map(|(user, cid)| Step::Send { user, cid }),
        3 => (cid.clone(), target.clone()).prop_map(|(cid, target)| Step::Edit { cid, target }),
        2 => (cid.clone(), target.clone()).prop_map(|(cid, target)| Step::Delete { cid, target }),
        1 => (cid.clone(), target.clone()).prop_map(|(cid, target)| Step::Redact { cid, target }),
        3 => (0..3_u8, cid, target, any::<bool>())
            .prop_map(|(user, cid, target, on)| Step::React { user, cid, target, on }),
        1 => Just(Step::Burst),
        6 => Just(Step::Commit),
        2 => Just(Step::Adopt),
        6 => Just(Step::Put(Landing::Told)),
        2 => Just(Step::Put(Landing::Untold)),
        1 => Just(Step::Put(Landing::Lost)),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Sweep),
        1 => Just(Step::Crash),
        4 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

/// A bench with puts under way.
struct World {
    bench: Bench,
    ms: u64,
    asked: u32,
    acks: BTreeMap<(String, String), u64>,
    askers: BTreeMap<u32, (String, String)>,
}

impl World {
    fn new() -> Self {
        Self {
            bench: Bench::new(unlimited()),
            ms: 0,
            asked: 0,
            acks: BTreeMap::new(),
            askers: BTreeMap::new(),
        }
    }

    fn submit(&mut self, user: u8, cid: &str, body: Body) {
        self.asked += 1;
        let user = format!("u{user}");
        self.askers
            .insert(self.asked, (user.clone(), cid.to_owned()));
        self.bench
            .submit_body(self.asked, "a", &user, cid, body, Some(0));
    }

    fn commit(&mut self) {
        let replies = self.bench.commit(later(self.ms));
        for (asker, answer) in replies {
            if let proto::bus::v1::reply::Result::Acked(acked) = answer {
                let key = self.askers[&asker].clone();
                let first = *self.acks.entry(key).or_insert(acked.seq);
                assert_eq!(first, acked.seq, "acked under two seqs");
            }
        }
    }

    fn adopt(&mut self) {
        let now = later(self.ms);
        let batch = self.bench.partition.propose(now, self.bench.epoch, "me");
        let commit = batch.commit.clone();
        self.bench.partition.put_back(batch);
        if let Some(commit) = commit {
            self.bench.log.push(commit.clone());
            let last = self.bench.log.len() as u64;
            let bytes = record::encode(&commit).len();
            self.bench.partition.fold(last, commit, bytes, now).unwrap();
        }
        self.bench.serve_loads(now);
    }

    fn put(&mut self, landing: Landing) {
        let now = later(self.ms);
        let Some(put) = self.next_put() else {
            return;
        };
        let key = put.value.key();
        let found = self.bench.store.get(&key).cloned();
        let fits = found.as_ref().map_or(0, |(_, revision)| *revision) == put.expected;
        let lands = fits && !matches!(landing, Landing::Lost);
        if lands {
            self.bench.revisions += 1;
            let value = (put.bytes.clone(), self.bench.revisions);
            self.bench.store.insert(key.clone(), value);
        }
        match landing {
            Landing::Told if fits => {
                let revision = self.bench.revisions;
                self.bench.partition.written(&put.value, revision);
            }
            Landing::Lost if fits => self.bench.partition.not_written(&put.value, now),
            _ => {
                let found = self.bench.store.get(&key).cloned();
                let resolved = self.bench.partition.resolve(&put.value, found);
                assert_eq!(resolved, Resolved::Again);
            }
        }
        self.bench.erase_all();
    }

    fn next_put(&mut self) -> Option<Put> {
        let now = later(self.ms);
        let put = self.bench.partition.next_put(now);
        self.bench.serve_loads(now);
        put
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { user, cid } => self.submit(user, &format!("m{cid}"), message("hi")),
            Step::Edit { cid, target } => {
                self.submit(
                    0,
                    &format!("e{cid}"),
                    edit(target.into(), &format!("e{cid}")),
                );
            }
            Step::Delete { cid, target } => {
                self.submit(0, &format!("d{cid}"), delete(target.into()));
            }
            Step::Redact { cid, target } => {
                self.submit(9, &format!("x{cid}"), redact(target.into()));
            }
            Step::React {
                user,
                cid,
                target,
                on,
            } => {
                self.submit(user, &format!("r{cid}"), react(target.into(), "👍", on));
            }
            Step::Burst => {
                for n in 0..40 {
                    let cid = format!("b{}-{n}", self.asked);
                    self.submit(0, &cid, message("burst"));
                }
            }
            Step::Commit => self.commit(),
            Step::Adopt => self.adopt(),
            Step::Put(landing) => self.put(landing),
            Step::Checkpoint => {
                if let Some(log_seq) = self.bench.partition.next_checkpoint(later(self.ms)) {
                    self.bench.partition.checkpointed(log_seq);
                    self.bench.trimmed = log_seq;
                }
            }
            Step::Sweep => self.bench.partition.sweep(later(self.ms), 0),
            Step::Crash => self.bench.restart(later(self.ms)),
            Step::Wait => self.ms += 1_500,
        }
    }
}

/// The fold of a whole log, by an owner that never put anything.
fn truth(bench: &Bench) -> Vec<Event> {
    let mut whole = Bench::new(unlimited());
    for (at, commit) in bench.log.iter().enumerate() {
        let now = later(0);
        whole
            .partition
            .fold(at as u64 + 1, commit.clone(), 0, now)
            .unwrap();
    }
    whole.all("a")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_shown_is_the_fold_of_the_whole_log(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.commit();
        let shown = world.bench.all("a");
        prop_assert_eq!(&shown, &truth(&world.bench));
        let mut seen = BTreeMap::new();
        for event in &shown {
            let user = event.from.as_ref().unwrap().id.clone();
            let key = (user, event.cid.clone());
            prop_assert_eq!(seen.insert(key, event.seq), None, "written twice");
        }
        for (key, seq) in &world.acks {
            prop_assert_eq!(seen.get(key), Some(seq), "acked, not in the log");
        }
        // And a claim anew, after everything is stored, shows the same.
        let (_, ms) = world.bench.put_all(world.ms + 10_000);
        world.bench.restart(later(ms));
        let again = world.bench.all("a");
        prop_assert_eq!(&again, &shown);
        let reacted = again.iter().any(|event| matches!(event.kind, Some(Kind::Reaction(_))));
        prop_assert!(!reacted || world.bench.store.contains_key("react.a.0")
            || world.bench.store.keys().any(|key| key.starts_with("react.")));
    }
}
