//! Whatever the bus does to the fan-out, however slowly members read: nobody sees a hole, a repeat or
//! another order, and who reads has everything within two seconds.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::{reader::Reader, *};

/// A member that comes and goes, and reads in its own time.
struct Member {
    reader: Reader,
    is_in: bool,
    /// Reads one time in so many.
    pace: u32,
}

impl Member {
    fn cursor(&self) -> Option<(&'static str, u64)> {
        self.reader.at.map(|at| ("gen1", at))
    }
}

async fn drop_some(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (core, owner) = core_with_owner().await;
    owner.go_on_telling_heads("lobby");
    let mut readers: Vec<_> = (1..=3).map(Reader::new).collect();
    for reader in &readers {
        spawn_join(&core, &reader.session, None)
            .await
            .unwrap()
            .unwrap();
    }
    let mut late = Vec::new();
    let mut made: Vec<Instant> = Vec::new();
    for _ in 0..200 {
        let event = owner.append("lobby", "x");
        made.push(Instant::now());
        match rng.random_range(0..20) {
            // Lost: one in ten.
            0 | 1 => {}
            2 => late.push(event),
            3 => {
                owner.publish("lobby", std::slice::from_ref(&event)).await;
                owner.publish("lobby", &[event]).await;
            }
            _ => owner.publish("lobby", &[event]).await,
        }
        if rng.random_bool(0.3) && !late.is_empty() {
            let event = late.swap_remove(rng.random_range(0..late.len()));
            owner.publish("lobby", &[event]).await;
        }
        let pause = match rng.random_range(0..20) {
            0 => rng.random_range(1_000..4_000),
            1..10 => 0,
            _ => rng.random_range(1..100),
        };
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(pause) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            has_what_is_old(&mut readers, &made, seed);
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    has_what_is_old(&mut readers, &made, seed);
    for reader in &readers {
        assert_eq!(reader.seqs, (1..=200).collect::<Vec<_>>(), "seed {seed}");
    }
}

/// Who reads has what was made two seconds ago.
fn has_what_is_old(readers: &mut [Reader], made: &[Instant], seed: u64) {
    let old = made
        .iter()
        .take_while(|made| made.elapsed() >= Duration::from_secs(2))
        .count() as u64;
    for reader in readers {
        while reader.reads_one_write() {}
        assert!(
            reader.at >= Some(old),
            "seed {seed}: session {} has {:?} of {old}",
            reader.session.id,
            reader.at
        );
    }
}

#[test]
fn one_in_ten_is_lost_and_everybody_has_everything_within_two_seconds() {
    for seed in 0..50 {
        alone(drop_some(seed));
    }
}

async fn come_and_go(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (core, owner) = core_with_owner().await;
    owner.go_on_telling_heads("lobby");
    let mut members: Vec<_> = (1..=6)
        .map(|id| Member {
            reader: Reader::new(id),
            is_in: false,
            pace: if id <= 2 { 1 } else { rng.random_range(2..200) },
        })
        .collect();
    let mut late = Vec::new();
    for _ in 0..300 {
        owner.delay_answer(Duration::from_millis(rng.random_range(0..20)));
        match rng.random_range(0..20) {
            0 => owner.shut(),
            1..4 => owner.open(),
            4 => settle().await,
            5 => {
                let one = rng.random_range(0..members.len());
                comes_or_goes(&core, &mut members[one], rng.random_bool(0.4)).await;
            }
            6 => owner.answer_at_most(rng.random_range(1..400)),
            kind => {
                let count = if kind == 7 {
                    150
                } else {
                    rng.random_range(1..5)
                };
                let events: Vec<_> = (0..count).map(|_| owner.append("lobby", "x")).collect();
                match rng.random_range(0..10) {
                    0 => {}
                    1 => late.push(events),
                    _ => owner.publish("lobby", &events).await,
                }
            }
        }
        if rng.random_bool(0.1) && !late.is_empty() {
            owner.publish("lobby", &late.remove(0)).await;
        }
        for member in &mut members {
            if rng.random_ratio(1, member.pace) {
                member.reader.reads_one_write();
            }
        }
        if rng.random_bool(0.3) {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        }
    }
    owner.open();
    owner.answer_at_most(400);
    let head = owner.head("lobby");
    // As long as a head takes to be told, and an owner that did not answer to be asked again: with the
    // pauses between, which are random, more than once.
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for member in &mut members {
            member.reader.reads().await;
        }
    }
    for member in &members {
        let reader = &member.reader;
        assert_eq!(reader.close, None, "seed {seed}");
        if member.is_in {
            assert_eq!(
                reader.at,
                Some(head),
                "seed {seed}, session {}",
                reader.session.id
            );
        }
    }
}

async fn comes_or_goes(core: &Core, member: &mut Member, goes: bool) {
    let session = Arc::clone(&member.reader.session);
    if member.is_in && goes {
        session.leave(&lobby());
        member.is_in = false;
        return;
    }
    let join = spawn_join(core, &session, member.cursor());
    // One after the other, as a lane has it; the socket takes what is before it.
    while !join.is_finished() {
        settle().await;
        member.reader.reads_one_write();
    }
    member.is_in |= join.await.unwrap().is_ok();
}

#[test]
fn every_member_sees_every_event_once_and_in_order_however_slowly_it_reads() {
    for seed in 0..50 {
        alone(come_and_go(seed));
    }
}

/// Runs a seed on a clock of its own, and ends whatever it has started.
fn alone(seed: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(seed);
}
