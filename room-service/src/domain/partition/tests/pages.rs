//! Rooms in pages: what is read, what is put, what a restart finds.

use proto::{
    Code, RoomId,
    bus::v1::history::Place,
    log::v1::{PageValue, RoomValue, VALUE_FORMAT},
};

use crate::domain::{
    Loaded, codec,
    testing::{
        Bench, NOW, acked, acked_at, after, code, delete, edit, last, later, message, react,
        unlimited,
    },
};

pub(super) fn filled(events: u64) -> Bench {
    let mut bench = Bench::new(unlimited());
    for n in 1..=events {
        bench.send("a", "u", &format!("c{n}"), &format!("text {n}"), NOW);
    }
    bench
}

#[test]
fn a_full_page_is_put_at_once_and_the_record_in_its_turn() {
    let mut bench = filled(130);
    assert_eq!(bench.put_one(NOW).as_deref(), Some("page.a.0"));
    assert_eq!(bench.put_one(NOW).as_deref(), Some("page.a.1"));
    assert_eq!(bench.put_one(NOW), None);
    let (keys, _) = bench.put_all(100);
    assert_eq!(keys, ["room.a"]);
    let (bytes, _) = &bench.store["room.a"];
    let value = codec::open(bytes, |v: &RoomValue| v.format, VALUE_FORMAT).unwrap();
    assert_eq!((value.head, value.open.len()), (130, 2));
    assert_eq!((value.messages, value.applied), (130, 130));
}

#[test]
fn a_restart_reads_only_what_is_asked_for() {
    let mut bench = filled(300);
    let before = bench.all("a");
    let (_, ms) = bench.put_all(0);
    bench.restart(later(ms));
    bench.reads.clear();
    let view = bench.read("a", &last(50));
    assert_eq!((view.head, view.events[0].seq), (300, 251));
    assert_eq!(bench.reads, ["room.a", "page.a.3"]);
    assert_eq!(bench.all("a"), before);
    assert_eq!(
        bench.send("a", "u", "new", "x", later(ms)),
        acked_at(301, false, later(ms))
    );
}

#[test]
fn what_is_not_put_yet_is_folded_from_the_log() {
    let mut bench = filled(100);
    let (_, ms) = bench.put_all(0);
    for n in 101..=140 {
        bench.send("a", "u", &format!("c{n}"), "x", later(ms));
    }
    bench.act("u", "e", edit(3, "edited"), later(ms));
    bench.act("v", "r", react(3, "👍", true), later(ms));
    bench.act("u", "d", delete(5), later(ms));
    let before = bench.all("a");
    bench.restart(later(ms));
    assert_eq!(bench.all("a"), before);
    assert_eq!(
        bench.act("v", "r2", react(3, "👍", true), later(ms)),
        acked_at(144, false, later(ms))
    );
    assert_eq!(
        bench.all("a")[2].reactions[0].count,
        1,
        "v has reacted before"
    );
    let (keys, ms) = bench.put_all(ms);
    for key in ["page.a.0", "page.a.1", "react.a.0", "room.a"] {
        assert!(keys.iter().any(|put| put == key), "{key} of {keys:?}");
    }
    let before = bench.all("a");
    bench.restart(later(ms));
    assert_eq!(bench.all("a"), before);
}

#[test]
fn history_at_any_depth() {
    let mut bench = Bench::new(unlimited());
    for n in 1..=300 {
        bench.send("a", "u", &format!("c{n}"), "x", later(n * 1_000));
    }
    let (_, ms) = bench.put_all(301_000);
    bench.restart(later(ms));
    let at = NOW.unix_ms;
    for (place, limit, first, last, more) in [
        (Place::Before(301), 50, 251, 300, true),
        (Place::Before(51), 100, 1, 50, false),
        (Place::Before(1), 50, 0, 0, false),
        (Place::After(0), 100, 1, 100, true),
        (Place::After(250), 100, 251, 300, false),
        (Place::After(300), 50, 0, 0, false),
        (Place::Around(150), 50, 125, 174, true),
        (Place::Around(1), 50, 1, 50, true),
        (Place::Around(300), 50, 251, 300, true),
        (Place::Around(9_999), 50, 251, 300, true),
        (Place::AtMs(at + 150_000), 50, 125, 174, true),
        (Place::AtMs(at + 149_001), 50, 125, 174, true),
        (Place::AtMs(0), 50, 1, 50, true),
        (Place::AtMs(u64::MAX), 50, 251, 300, true),
        (Place::Before(301), 500, 201, 300, true),
    ] {
        let view = bench.history("a", place, limit);
        let found = (
            view.events.first().map_or(0, |event| event.seq),
            view.events.last().map_or(0, |event| event.seq),
        );
        assert_eq!(
            (found, view.more),
            ((first, last), more),
            "{place:?} {limit}"
        );
        assert_eq!((view.oldest, view.head), (1, 300));
    }
}

#[test]
fn a_retry_is_recognised_after_the_room_was_unloaded_and_after_a_takeover() {
    let mut bench = filled(500);
    let (_, ms) = bench.put_all(0);
    let much_later = later(ms + 600_000);
    bench.partition.sweep(much_later, usize::MAX);
    bench.reads.clear();
    let retry = |bench: &mut Bench, cid: &str, text: &str, since| {
        bench.submit_body(0, "a", "u", cid, message(text), Some(since));
        bench.commit(much_later)[0].1.clone()
    };
    assert_eq!(retry(&mut bench, "c300", "text 300", 299), acked(300, true));
    assert_eq!(bench.reads[0], "room.a", "it had left memory");
    bench.restart(much_later);
    assert_eq!(retry(&mut bench, "c7", "text 7", 2), acked(7, true));
    assert_eq!(retry(&mut bench, "c7", "other", 2), code(Code::CidReused));
    assert_eq!(
        retry(&mut bench, "new", "x", 2),
        acked_at(501, false, much_later)
    );
}

#[test]
fn a_room_leaves_memory_only_when_all_of_it_is_stored() {
    let mut bench = filled(10);
    let id = RoomId::parse("a").unwrap();
    bench.partition.sweep(later(600_000), 0);
    assert!(bench.partition.summary(&id).is_some());
    let (_, ms) = bench.put_all(600_000);
    bench.partition.sweep(later(ms + 2_000), 0);
    assert_eq!(bench.partition.summary(&id), None);
    assert_eq!(bench.partition.head(&id), 10);
    let (bytes, revision) = bench.store.remove("room.a").unwrap();
    bench.submit(0, "a", "u", "x", "x");
    bench.partition.propose(later(ms + 2_000), 1, "me");
    let load = bench.partition.next_load().unwrap();
    let now = later(ms + 2_000);
    assert_eq!(bench.partition.loaded(&load, None, now), Loaded::Stale);
    let found = Some((bytes, revision));
    assert_eq!(bench.partition.loaded(&load, found, now), Loaded::Done);
    assert_eq!(bench.commit(now)[0].1, acked_at(11, false, now));
}

#[test]
fn a_missing_page_is_a_stale_read_and_never_empty() {
    let mut bench = filled(100);
    let (_, ms) = bench.put_all(0);
    bench.restart(later(ms));
    bench.read("a", &last(1));
    let page = bench.store.remove("page.a.0").unwrap();
    bench.submit_body(0, "a", "u", "e", edit(1, "x"), None);
    bench.partition.propose(later(ms), 1, "me");
    let load = bench.partition.next_load().unwrap();
    assert_eq!(
        bench.partition.loaded(&load, None, later(ms)),
        Loaded::Stale
    );
    assert_eq!(
        bench.partition.loaded(&load, Some(page), later(ms)),
        Loaded::Done
    );
    assert_eq!(
        bench.commit(later(ms))[0].1,
        acked_at(101, false, later(ms))
    );
}

#[test]
fn a_value_from_the_future_is_not_taken() {
    let mut bench = filled(100);
    let (_, ms) = bench.put_all(0);
    bench.trimmed = 0;
    bench.log.truncate(50);
    bench.restart(later(ms));
    bench.submit(0, "a", "u", "x", "x");
    bench.partition.propose(later(ms), 1, "me");
    let load = bench.partition.next_load().unwrap();
    let fetched = bench.store.get("room.a").cloned();
    let loaded = bench.partition.loaded(&load, fetched, later(ms));
    assert_eq!(loaded, Loaded::Ahead { applied: 100 });
}

#[test]
fn damage_refuses_its_room_and_names_the_key() {
    for key in ["room.a", "page.a.0", "react.a.0"] {
        let mut bench = filled(100);
        bench.act("u", "r", react(1, "👍", true), NOW);
        bench.send("b", "u", "c", "hi", NOW);
        let (_, ms) = bench.put_all(0);
        bench.restart(later(ms));
        let value = bench.store.get_mut(key).unwrap();
        let mut bytes = value.0.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        value.0 = bytes.into();
        bench.submit_body(0, "a", "u", "x", react(1, "👍", false), None);
        let mut broken = None;
        while broken.is_none() {
            bench.partition.propose(later(ms), 1, "me");
            while let Some(load) = bench.partition.next_load() {
                let fetched = bench.store.get(&load.key()).cloned();
                if let Loaded::Broken(words) = bench.partition.loaded(&load, fetched, later(ms)) {
                    broken = Some(words);
                }
            }
        }
        let words = broken.unwrap();
        assert!(words.contains(key) && words.contains("damaged"), "{words}");
        let refused = bench.partition.take_refused();
        assert_eq!(refused, [(0, code(Code::Internal))]);
        let now = later(ms);
        if key == "room.a" {
            assert_eq!(bench.answer("a", &last(1)), code(Code::Internal));
            bench.partition.sweep(later(ms + 20_000), 0);
            bench.submit(0, "a", "u", "y", "never anew");
            bench.partition.propose(now, 1, "me");
            assert!(bench.partition.next_load().is_some(), "it is no new room");
        } else {
            // What is in memory goes on, and nothing of it is lost.
            let sent = bench.send("a", "u", "y", "more", now);
            assert_eq!(sent, acked_at(102, false, now));
            bench.partition.sweep(later(ms + 20_000), 0);
            assert_eq!(bench.read("a", &last(1)).head, 102);
        }
        assert_eq!(
            bench.send("b", "u", "d", "ho", now),
            acked_at(2, false, now)
        );
    }
}

#[test]
fn an_unclear_put_is_looked_at_and_made_again() {
    let mut bench = filled(64);
    let put = bench.partition.next_put(NOW).unwrap();
    assert_eq!(put.value.key(), "page.a.0");
    bench.send("a", "u", "more", "x", NOW);
    // It landed, and nobody was told.
    bench.revisions += 1;
    bench
        .store
        .insert(put.value.key(), (put.bytes.clone(), bench.revisions));
    let found = bench.store.get("page.a.0").cloned();
    bench.partition.resolve(&put.value, found);
    let again = bench.partition.next_put(NOW).unwrap();
    assert_eq!(
        (again.value.key(), again.expected),
        ("page.a.0".to_owned(), bench.revisions)
    );
    bench.partition.not_written(&again.value, NOW);
    assert!(
        bench.partition.next_put(NOW).is_none(),
        "the store is left alone for a while"
    );
    let (_, ms) = bench.put_all(1_001);
    bench.restart(later(ms));
    assert_eq!(bench.read("a", &after(63, "")).events.len(), 2);
}

#[test]
fn a_newer_value_in_the_store_means_somebody_else_owns_it() {
    let mut bench = filled(64);
    let put = bench.partition.next_put(NOW).unwrap();
    let value = PageValue {
        format: VALUE_FORMAT,
        applied: 1_000,
        ..PageValue::default()
    };
    let found = Some((codec::seal(&value), 77));
    assert_eq!(
        bench.partition.resolve(&put.value, found),
        crate::domain::Resolved::Newer
    );
}
