//! Values that cannot be put: nobody else waits for them, and the log is kept for them.

use crate::domain::{
    Loaded,
    testing::{Bench, NOW, later, message, react, redact, unlimited},
};

/// Puts what can be for some minutes; the keys put. Nothing is read from the store but by `load`.
fn put_for_long(
    bench: &mut Bench,
    from_ms: u64,
    mut load: impl FnMut(&mut Bench, &crate::domain::Load, u64),
) -> (Vec<String>, u64) {
    let (mut keys, mut ms) = (Vec::new(), from_ms);
    for _ in 0..1_000 {
        while let Some(put) = bench.partition.next_put(later(ms)) {
            keys.push(put.value.key());
            bench.revisions += 1;
            let value = (put.bytes, bench.revisions);
            bench.store.insert(put.value.key(), value);
            bench.partition.written(&put.value, bench.revisions);
        }
        bench.erase_all();
        while let Some(wanted) = bench.partition.next_load() {
            load(bench, &wanted, ms);
        }
        if ms % 10_000 == 0 {
            bench.partition.sweep(later(ms), usize::MAX);
        }
        ms += 250;
    }
    (keys, ms)
}

fn spoil(bench: &mut Bench, key: &str) {
    let mut bytes = bench.store[key].0.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bench.store.get_mut(key).unwrap().0 = bytes.into();
}

#[test]
fn rooms_that_cannot_be_loaded_hold_up_no_other_and_nothing_of_them_is_trimmed() {
    let mut bench = Bench::new(unlimited());
    // More of them than are looked at for one whose turn it is, and all of them older.
    let broken: Vec<_> = (0..100).map(|n| format!("broken{n}")).collect();
    for room in &broken {
        bench.submit(0, room, "u", "c", "hi");
    }
    bench.commit(NOW);
    let (_, ms) = bench.put_all(0);
    let stored = bench.log.len() as u64;
    for room in &broken {
        bench.send(room, "u", "d", "more", later(ms));
        spoil(&mut bench, &format!("room.{room}"));
    }
    bench.send("whole", "u", "c", "hi", later(ms));
    bench.restart(later(ms));
    let mut told = 0;
    let (keys, ms) = put_for_long(&mut bench, ms, |bench, load, ms| {
        let fetched = bench.store.get(&load.key()).cloned();
        let outcome = bench.partition.loaded(load, fetched, later(ms));
        told += u32::from(matches!(outcome, Loaded::Broken(_)));
    });
    assert_eq!(keys, ["room.whole"]);
    assert_eq!(told, 100, "each once");
    assert_eq!(bench.partition.next_checkpoint(later(ms)), None);
    assert_eq!(bench.trimmed, stored);
    // The values are mended: all goes on, and nothing is lost.
    for room in &broken {
        spoil(&mut bench, &format!("room.{room}"));
    }
    let (keys, ms) = put_for_long(&mut bench, ms, |bench, load, ms| {
        let fetched = bench.store.get(&load.key()).cloned();
        bench.partition.loaded(load, fetched, later(ms));
    });
    assert_eq!(keys.len(), 100);
    let end = bench.log.len() as u64;
    assert_eq!(bench.partition.next_checkpoint(later(ms)), Some(end));
}

#[test]
fn a_page_that_cannot_be_loaded_is_not_asked_for_again_and_again() {
    let mut bench = super::pages::filled(70);
    let (_, ms) = bench.put_all(0);
    bench.act("o", "x", redact(7), later(ms));
    bench.act("v", "r", react(7, "👍", true), later(ms));
    bench.restart(later(ms));
    spoil(&mut bench, "page.a.0");
    let mut loads = 0;
    let (keys, ms) = put_for_long(&mut bench, ms, |bench, load, ms| {
        loads += u32::from(load.key() == "page.a.0");
        let fetched = bench.store.get(&load.key()).cloned();
        bench.partition.loaded(load, fetched, later(ms));
    });
    assert!(loads <= 5, "about one a minute, not {loads}");
    assert!(keys.contains(&"room.a".to_owned()), "{keys:?}");
    assert_eq!(bench.partition.next_checkpoint(later(ms)), None);
    // Mended, and somebody reads it: the redaction goes where it belongs.
    spoil(&mut bench, "page.a.0");
    let before = bench.store["page.a.0"].1;
    bench.all("a");
    bench.put_all(ms);
    assert!(bench.erased.contains(&("page.a.0".to_owned(), before)));
}

#[test]
fn a_value_that_the_store_refuses_is_put_again_after_a_growing_pause() {
    let mut bench = super::pages::filled(64);
    for n in 0..64 {
        bench.submit_body(0, "other", "u", &format!("c{n}"), message("hi"), None);
    }
    bench.commit(NOW);
    let mut tries = Vec::new();
    let mut others = 0;
    for ms in (0..120_000).step_by(10) {
        while let Some(put) = bench.partition.next_put(later(ms)) {
            if put.value.key() == "page.a.0" {
                tries.push(ms);
                bench.partition.not_written(&put.value, later(ms));
            } else {
                assert_ne!(put.value.key(), "room.a", "the page goes first");
                others += 1;
                bench.revisions += 1;
                bench.partition.written(&put.value, bench.revisions);
            }
        }
    }
    assert_eq!(others, 2, "the other room's page and record");
    assert_eq!(tries[..6], [0, 1_000, 3_000, 7_000, 15_000, 31_000]);
    assert!(tries.len() < 10, "{tries:?}");
    assert_eq!(bench.partition.next_checkpoint(later(120_000)), None);
    // The store takes it at last.
    bench.revisions += 100;
    let (keys, _) = bench.put_all(150_000);
    assert_eq!(keys, ["page.a.0", "room.a"]);
}
