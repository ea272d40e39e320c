//! Changes that are unclear: made, not made, or made late; and reads of what was.

use std::time::Duration;

use broker::{
    Append, Log as _, Put, ReadError, Revision, Store as _, TrimError,
    sim::{Faults, ReadFaults, Sim, WriteFaults},
};
use tokio::time::sleep;

use super::{with_reads, with_writes};
use crate::fixture::{PP, fill, numbered, put, read};

const LATE_MAX: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn an_unclear_append_was_written_or_was_not() {
    for (writes, records) in [
        (
            WriteFaults {
                vanished: 1.0,
                ..WriteFaults::default()
            },
            0,
        ),
        (
            WriteFaults {
                unanswered: 1.0,
                ..WriteFaults::default()
            },
            1,
        ),
    ] {
        let sim = with_writes(writes);
        let appended = sim.broker("a").append(PP, 0, numbered(1).1).await;
        assert_eq!(appended, Append::Unclear);
        sleep(LATE_MAX).await;
        assert_eq!(sim.log(PP).len(), records);
        assert_eq!(sim.broker("b").last(PP).await.unwrap(), records as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_append_lands_late_or_goes_down_with_its_writer() {
    let mut seen = [false; 2];
    for seed in 0..30 {
        let Some(sim) = with_late_append(seed).await else {
            continue;
        };
        sim.crash("a");
        sleep(LATE_MAX).await;
        let broker = sim.broker("b");
        let last = broker.last(PP).await;
        let landed = sim.log(PP) == [numbered(1)];
        assert!(landed || sim.log(PP).is_empty());
        assert_eq!(last.unwrap(), u64::from(landed));
        seen[usize::from(landed)] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_late_append_that_expects_what_is_no_longer_is_not_written() {
    let mut refused = 0;
    for seed in 0..30 {
        let Some(sim) = with_late_append(seed).await else {
            continue;
        };
        sim.heal();
        let other = sim.broker("b").append(PP, 0, "other".into()).await;
        sleep(LATE_MAX).await;
        match other {
            Append::Written(1) => {
                assert_eq!(sim.log(PP), [(1, "other".into())]);
                refused += 1;
            }
            Append::Conflict { last: 1 } => assert_eq!(sim.log(PP), [numbered(1)]),
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
}

/// A world in which an append after 0 is unclear and has not landed yet; not every seed has one.
async fn with_late_append(seed: u64) -> Option<Sim> {
    let late = WriteFaults {
        late: 1.0,
        late_max: LATE_MAX,
        ..WriteFaults::default()
    };
    let faults = Faults {
        writes: late,
        ..Faults::none()
    };
    let sim = Sim::new(seed, faults);
    let appended = sim.broker("a").append(PP, 0, numbered(1).1).await;
    assert_eq!(appended, Append::Unclear);
    sim.log(PP).is_empty().then_some(sim)
}

#[tokio::test(start_paused = true)]
async fn a_late_put_is_written_only_over_what_it_expects() {
    let sim = with_writes(WriteFaults::default());
    let broker = sim.broker("a");
    let first = put(&broker, PP, "ckpt", "1", Revision::NONE).await;
    let mut seen = [false; 2];
    for _ in 0..100 {
        let late = WriteFaults {
            late: 1.0,
            late_max: LATE_MAX,
            ..WriteFaults::default()
        };
        sim.set_faults(Faults {
            writes: late,
            ..Faults::none()
        });
        let before = sim.store(PP)["ckpt"].revision;
        let unclear = broker.put(PP, "ckpt", "late".into(), before).await;
        assert_eq!(unclear, Put::Unclear);
        sim.heal();
        let other = broker.put(PP, "ckpt", "other".into(), before).await;
        let landed = !matches!(other, Put::Written(_));
        sleep(LATE_MAX).await;
        let stored = sim.store(PP)["ckpt"].clone();
        assert_eq!(stored.bytes, if landed { "late" } else { "other" });
        seen[usize::from(landed)] = true;
    }
    assert_eq!(seen, [true; 2], "both orders are tried");
    let stale = broker.put(PP, "ckpt", "x".into(), first).await;
    assert!(matches!(stale, Put::Conflict { .. }), "{stale:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_changes_nothing() {
    let sim = with_writes(WriteFaults {
        refused: 1.0,
        ..WriteFaults::default()
    });
    let broker = sim.broker("a");
    let appended = broker.append(PP, 0, "1".into()).await;
    assert!(matches!(appended, Append::Refused { .. }), "{appended:?}");
    let stored = broker.put(PP, "k", "x".into(), Revision::NONE).await;
    assert!(matches!(stored, Put::Refused { .. }), "{stored:?}");
    let trimmed = broker.trim(PP, 0).await;
    assert!(
        matches!(trimmed, Err(TrimError::Unavailable(_))),
        "{trimmed:?}"
    );
    sleep(LATE_MAX).await;
    assert!(sim.log(PP).is_empty() && sim.store(PP).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_read_without_an_answer_is_unavailable() {
    let sim = with_reads(ReadFaults {
        unavailable: 1.0,
        ..ReadFaults::default()
    });
    let broker = sim.broker("a");
    assert!(broker.last(PP).await.is_err());
    assert!(broker.get(PP, "k").await.is_err());
    let unavailable = read(&broker, PP, 1, 1).await;
    assert!(
        matches!(unavailable, Err(ReadError::Unavailable(_))),
        "{unavailable:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_shows_what_was_and_only_where_it_is_asked_for() {
    let sim = with_writes(WriteFaults::default());
    let broker = sim.broker("a");
    let first = put(&broker, PP, "k", "old", Revision::NONE).await;
    sleep(Duration::from_secs(1)).await;
    put(&broker, PP, "k", "new", first).await;
    let reads = async || {
        let mut seen = [0; 2];
        for _ in 0..100 {
            let got = broker.get(PP, "k").await.unwrap().unwrap();
            seen[usize::from(got.bytes == "old")] += 1;
        }
        seen
    };
    assert_eq!(reads().await, [100, 0]);
    sim.set_faults(Faults {
        reads: ReadFaults {
            stale: 0.5,
            stale_max: Duration::from_millis(900),
            ..ReadFaults::default()
        },
        ..Faults::none()
    });
    let [new, old] = reads().await;
    assert!(new > 0 && old > 0, "{new} new, {old} old");
}

#[tokio::test(start_paused = true)]
async fn whoever_checks_sees_what_was_trimmed_superseded_and_erased() {
    let sim = with_writes(WriteFaults::default());
    let broker = sim.broker("a");
    fill(&broker, PP, 3).await;
    broker.trim(PP, 2).await.unwrap();
    assert_eq!(sim.log(PP), [numbered(1), numbered(2), numbered(3)]);
    assert_eq!(sim.trimmed(PP), 2);
    let first = put(&broker, PP, "k", "one", Revision::NONE).await;
    let second = put(&broker, PP, "k", "two", first).await;
    put(&broker, PP, "k", "three", second).await;
    let superseded = || {
        let superseded = sim.superseded(PP).into_iter();
        superseded.map(|(_, value)| value.bytes).collect::<Vec<_>>()
    };
    assert_eq!(superseded(), ["one", "two"]);
    broker.erase(PP, "k", second).await.unwrap();
    assert_eq!(superseded(), ["one"]);
    assert_eq!(sim.store(PP)["k"].bytes, "three");
}
