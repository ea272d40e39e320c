//! A wall clock that jumps: what people see keeps its order, and nothing that is due by time is early, late
//! or lost.

use proto::{Code, Limits};

use crate::domain::{
    Now,
    testing::{Bench, NOW, acked_at, after, last, later, refusal, unlimited},
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// So much later by the steady clock, while the wall clock shows `unix_ms`.
fn at(ms: u64, unix_ms: u64) -> Now {
    Now {
        unix_ms,
        ..later(ms)
    }
}

/// What a wall clock shows that goes forward a day and back an hour, again and again.
fn jumping(ms: u64) -> Now {
    let base = NOW.unix_ms + ms;
    match ms / 250 % 3 {
        0 => at(ms, base),
        1 => at(ms, base + DAY_MS),
        _ => at(ms, base - HOUR_MS),
    }
}

#[test]
fn server_time_never_falls_whatever_the_clock_does_and_whoever_owns_the_room() {
    let mut bench = Bench::new(unlimited());
    let mut ms = 0;
    for n in 1..=200 {
        ms += 250;
        let now = jumping(ms);
        bench.send("a", "u", &format!("c{n}"), "hi", now);
        let retry = bench.send("a", "u", "c1", "hi", now);
        assert_eq!(
            retry,
            acked_at(1, true, jumping(250)),
            "a cid knows no time"
        );
        if n % 50 == 0 {
            bench.restart(now);
        }
    }
    let times: Vec<_> = bench.all("a").iter().map(|event| event.ts_ms).collect();
    assert_eq!(times.len(), 200);
    assert!(times.is_sorted(), "{times:?}");
    // A clock that went forward and is right again: time stands still in the room until it has caught up.
    assert_eq!(times[199], times[198].max(jumping(ms).unix_ms));
    let (_, stored_ms) = bench.put_all(ms);
    bench.restart(later(stored_ms));
    let answer = bench.send("a", "u", "later", "hi", at(stored_ms, NOW.unix_ms));
    assert_eq!(answer, acked_at(201, false, at(0, times[199])));
}

#[test]
fn a_clock_set_back_while_nothing_is_stored_does_not_turn_a_room_back() {
    let mut bench = Bench::new(unlimited());
    bench.send("a", "u", "c1", "hi", at(0, NOW.unix_ms + DAY_MS));
    bench.restart(at(0, NOW.unix_ms));
    let answer = bench.send("a", "u", "c2", "hi", at(10, NOW.unix_ms - HOUR_MS));
    assert_eq!(answer, acked_at(2, false, at(0, NOW.unix_ms + DAY_MS)));
}

/// What is put when, which checkpoints there are, and which rooms' heads are told, by a clock.
fn work(clock: impl Fn(u64) -> Now) -> Vec<(u64, String)> {
    let mut bench = Bench::new(unlimited());
    let mut done = Vec::new();
    for ms in (0..90_000).step_by(250) {
        let now = clock(ms);
        if ms < 30_000 {
            let room = format!("r{}", ms % 7);
            bench.send(&room, "u", &format!("c{ms}"), "hi", now);
        }
        while let Some(key) = bench.put_one(now) {
            done.push((ms, key));
        }
        if let Some(log_seq) = bench.partition.next_checkpoint(now) {
            bench.partition.checkpointed(log_seq);
            done.push((ms, format!("ckpt {log_seq}")));
        }
        for heads in bench.partition.heads(now, 1) {
            done.push((ms, format!("{} bytes of heads", heads.len())));
        }
        bench.partition.sweep(now, 1);
    }
    done
}

#[test]
fn puts_checkpoints_and_heads_go_by_the_steady_clock() {
    let steady = work(later);
    assert!(steady.iter().any(|(_, what)| what.starts_with("ckpt")));
    assert_eq!(work(jumping), steady);
}

#[test]
fn rates_go_by_the_steady_clock() {
    let mut bench = Bench::new(Limits {
        sends_burst: 1,
        ..Limits::default()
    });
    let first = at(10_000, NOW.unix_ms);
    assert_eq!(
        bench.send("a", "u", "c1", "hi", first),
        acked_at(1, false, first)
    );
    for unix_ms in [NOW.unix_ms - HOUR_MS, NOW.unix_ms + DAY_MS] {
        let answer = bench.send("a", "u", "c2", "hi", at(10_400, unix_ms));
        assert_eq!(answer, refusal(Code::RateLimited, 600));
    }
    let next = at(11_000, NOW.unix_ms - HOUR_MS);
    assert_eq!(
        bench.send("a", "u", "c2", "hi", next),
        acked_at(2, false, first)
    );
    assert_eq!(bench.read("a", &last(9)).events.len(), 2);
    assert_eq!(bench.read("a", &after(1, "")).events.len(), 1);
}
