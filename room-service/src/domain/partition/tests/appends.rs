//! Appends that were written, were not, or of which nobody knows: what becomes of those who wait for them.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use proto::{Code, Limits, RoomId, bus::v1::reply, log::v1::event::Kind};

use crate::domain::{
    Asked, Partition, Question,
    testing::{Bench, NOW, acked, last, refusal, unlimited},
    unavailable,
};

#[test]
fn what_was_not_written_is_judged_anew_and_not_charged_twice() {
    let mut bench = Bench::new(Limits {
        sends_burst: 1,
        ..Limits::default()
    });
    bench.submit(1, "a", "u", "c", "hi");
    let batch = bench.partition.propose(NOW, 1, "me");
    bench.partition.put_back(batch);
    assert_eq!(bench.commit(NOW), [(1, acked(1, false))]);
}

#[test]
fn a_send_that_was_put_back_and_goes_stale_costs_nothing() {
    let mut bench = Bench::new(Limits {
        sends_burst: 1,
        ..Limits::default()
    });
    bench.submit(1, "a", "u", "c", "hi");
    let batch = bench.partition.propose(NOW, 1, "me");
    bench.partition.put_back(batch);
    bench.partition.retain_waiting(|_| false);
    assert_eq!(bench.send("a", "u", "c", "hi", NOW), acked(1, false));
    let limited = refusal(Code::RateLimited, 1_000);
    assert_eq!(
        bench.send("a", "u", "d", "hi", NOW),
        limited,
        "once is enough"
    );
}

#[test]
fn at_the_end_everybody_who_waits_is_answered() {
    let mut bench = Bench::new(unlimited());
    bench.partition = Partition::new(Arc::clone(&bench.rules), 0, 0, 7);
    // One waits for its room, one for its turn, and one for an answer.
    bench.submit(1, "a", "u", "c", "hi");
    bench.partition.propose(NOW, 1, "me");
    assert!(bench.partition.next_load().is_some() && bench.partition.is_idle());
    bench.submit(2, "b", "u", "c", "hi");
    bench.partition.ask(Asked {
        asker: 3,
        room: RoomId::parse("c").unwrap(),
        question: Question::Describe,
    });
    let mut answered = bench.partition.drain(&unavailable());
    answered.sort_by_key(|(asker, _)| *asker);
    let askers: Vec<_> = answered.iter().map(|(asker, _)| *asker).collect();
    assert_eq!(askers, [1, 2, 3]);
}

#[test]
fn what_landed_late_answers_the_send_that_was_put_back() {
    let mut bench = Bench::new(unlimited());
    bench.submit(1, "a", "u", "c", "hi");
    let batch = bench.partition.propose(NOW, 1, "me");
    let landed = batch.commit.clone().unwrap();
    bench.partition.put_back(batch);
    bench.log.push(landed.clone());
    bench.partition.fold(1, landed, 0, NOW).unwrap();
    assert_eq!(bench.commit(NOW), [(1, acked(1, true))]);
    assert_eq!(bench.read("a", &last(50)).head, 1);
}

#[test]
fn a_refused_append_answers_unavailable_and_gives_the_token_back() {
    let mut bench = Bench::new(Limits {
        sends_burst: 1,
        ..Limits::default()
    });
    bench.submit(1, "a", "u", "c", "hi");
    let batch = bench.partition.propose(NOW, 1, "me");
    assert_eq!(
        bench.partition.refuse(batch, true),
        [(1, refusal(Code::Unavailable, 1_000))]
    );
    assert_eq!(bench.send("a", "u", "c", "hi", NOW), acked(1, false));
}

/// What may happen to a batch.
#[derive(Clone, Debug)]
enum Step {
    Submit { room: u8, user: u8, cid: u8 },
    Written,
    Lost,
    LandsAfterPutBack,
    Refused,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3_u8, 0..3_u8, 0..8_u8).prop_map(|(room, user, cid)| Step::Submit { room, user, cid }),
        3 => Just(Step::Written),
        1 => Just(Step::Lost),
        1 => Just(Step::LandsAfterPutBack),
        1 => Just(Step::Refused),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// ORDER, ONCE and ACK over any outcome of appends, and the fold of the log is the state.
    #[test]
    fn whatever_becomes_of_appends_each_cid_is_there_once_and_in_order(steps in steps()) {
        let mut bench = Bench::new(unlimited());
        let mut acks: BTreeMap<(String, u32), u64> = BTreeMap::new();
        let mut asked = Vec::new();
        for step in steps {
            if let Step::Submit { room, user, cid } = step {
                let asker = asked.len() as u32;
                asked.push((format!("r{room}"), format!("u{user}"), format!("c{cid}")));
                let (room, user, cid) = &asked[asked.len() - 1];
                bench.submit(asker, room, user, cid, "hi");
                continue;
            }
            let batch = bench.partition.propose(NOW, 1, "me");
            let commit = batch.commit.clone();
            let next = bench.log.len() as u64 + 1;
            let replies = match (step, commit) {
                (Step::Written, Some(commit)) => {
                    bench.log.push(commit);
                    bench.partition.committed(batch, next, NOW).unwrap().replies
                }
                (Step::LandsAfterPutBack, Some(commit)) => {
                    bench.partition.put_back(batch);
                    bench.log.push(commit.clone());
                    bench.partition.fold(next, commit, 0, NOW).unwrap().replies
                }
                (Step::Refused, Some(_)) => bench.partition.refuse(batch, true),
                (_, None) => bench.partition.committed(batch, next - 1, NOW).unwrap().replies,
                (_, Some(_)) => {
                    bench.partition.put_back(batch);
                    Vec::new()
                }
            };
            for (asker, answer) in replies {
                if let reply::Result::Acked(acked) = answer {
                    acks.insert((asked[asker as usize].0.clone(), asker), acked.seq);
                }
            }
        }
        let mut heads: BTreeMap<String, u64> = BTreeMap::new();
        let mut places: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for room in bench.log.iter().flat_map(|commit| &commit.rooms) {
            for event in &room.events {
                let head = heads.entry(room.room.clone()).or_default();
                prop_assert_eq!(event.seq, *head + 1);
                *head = event.seq;
                let user = event.from.as_ref().unwrap().id.clone();
                let key = (room.room.clone(), user, event.cid.clone());
                prop_assert_eq!(places.insert(key, event.seq), None, "written twice");
                prop_assert!(matches!(event.kind, Some(Kind::Message(_))));
            }
        }
        for ((_, asker), seq) in acks {
            prop_assert_eq!(places.get(&asked[asker as usize]), Some(&seq), "acked, not in the log");
        }
        let mut again = Bench::new(unlimited());
        for (at, commit) in bench.log.iter().enumerate() {
            again.partition.fold(at as u64 + 1, commit.clone(), 0, NOW).unwrap();
        }
        for room in heads.keys() {
            let id = RoomId::parse(room).unwrap();
            prop_assert_eq!(again.partition.summary(&id), bench.partition.summary(&id));
        }
    }
}
