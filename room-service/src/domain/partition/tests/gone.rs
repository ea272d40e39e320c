//! GONE: the version of a value that held a redacted text is erased, whatever becomes of the put that
//! replaces it, and the log is kept until it is.

use proto::bus::v1::history::Place;

use super::pages::filled;
use crate::domain::{
    Put, Resolved,
    testing::{Bench, acked_at, later, redact},
};

/// A room in pages, whose message 7 was redacted just now, and the revision of the page that has its text.
fn redacted() -> (Bench, u64, u64) {
    let mut bench = filled(70);
    let (_, ms) = bench.put_all(0);
    let before = bench.store["page.a.0"].1;
    let answer = bench.act("operator", "x", redact(7), later(ms));
    assert_eq!(answer, acked_at(71, false, later(ms)));
    (bench, before, ms)
}

/// The put of the page with the redaction.
fn put_of_page(bench: &mut Bench, ms: u64) -> Put {
    loop {
        match bench.partition.next_put(later(ms)) {
            Some(put) if put.value.key() == "page.a.0" => return put,
            Some(put) => land(bench, &put),
            None => assert!(bench.serve_loads(later(ms)), "nothing to put"),
        }
    }
}

/// A put is written, and nobody was told.
fn land_untold(bench: &mut Bench, put: &Put) {
    let found = bench.store.get(&put.value.key());
    assert_eq!(found.map_or(0, |(_, revision)| *revision), put.expected);
    bench.revisions += 1;
    let value = (put.bytes.clone(), bench.revisions);
    bench.store.insert(put.value.key(), value);
}

fn land(bench: &mut Bench, put: &Put) {
    land_untold(bench, put);
    bench.partition.written(&put.value, bench.revisions);
}

/// The revisions of the page that are erased when everything was done that can be.
fn erased(bench: &mut Bench, ms: u64) -> Vec<u64> {
    bench.put_all(ms);
    let of_page = bench.erased.iter().filter(|(key, _)| key == "page.a.0");
    of_page.map(|(_, revision)| *revision).collect()
}

fn holds(bench: &Bench, text: &str) -> bool {
    let mut values = bench.store.values();
    values.any(|(bytes, _)| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[test]
fn a_redaction_is_put_at_once_and_the_version_before_erased() {
    let mut bench = filled(70);
    let (_, ms) = bench.put_all(0);
    for (target, key) in [(1, "page.a.0"), (66, "room.a")] {
        let before = bench.store[key].1;
        bench.act("operator", &format!("r{target}"), redact(target), later(ms));
        let mut keys = Vec::new();
        while let Some(key) = bench.put_one(later(ms)) {
            keys.push(key);
        }
        assert!(keys.contains(&key.to_owned()), "{keys:?}");
        assert!(
            bench.erased.contains(&(key.to_owned(), before)),
            "{:?}",
            bench.erased
        );
        let held = bench.store[key].0.to_vec();
        let text = format!("text {target}");
        let is_there = held
            .windows(text.len())
            .any(|window| window == text.as_bytes());
        // "text 6" is the start of "text 60" and its like; 66 has none that begins so.
        assert!(target == 1 || !is_there);
    }
    assert_eq!(
        bench.all("a").iter().filter(|event| event.deleted).count(),
        2
    );
}

#[test]
fn the_log_is_kept_until_the_version_before_is_erased() {
    let (mut bench, before, mut ms) = redacted();
    let put = put_of_page(&mut bench, ms);
    land(&mut bench, &put);
    let needed = bench.log.len() as u64;
    ms += 60_000;
    // Everything else is put, and nothing is erased.
    while let Some(put) = bench.partition.next_put(later(ms)) {
        assert_ne!(put.value.key(), "page.a.0", "not before that is erased");
        land(&mut bench, &put);
    }
    let reached = bench.partition.next_checkpoint(later(ms));
    assert!(
        reached.is_none_or(|log_seq| log_seq < needed),
        "{reached:?}"
    );
    bench.erase_all();
    assert!(bench.erased.contains(&("page.a.0".to_owned(), before)));
    while bench.put_one(later(ms)).is_some() {}
    assert_eq!(bench.partition.next_checkpoint(later(ms)), Some(needed));
}

#[test]
fn a_put_that_landed_unheard_has_the_version_before_it_erased() {
    let (mut bench, before, ms) = redacted();
    let put = put_of_page(&mut bench, ms);
    land_untold(&mut bench, &put);
    let found = bench.store.get("page.a.0").cloned();
    let resolved = bench.partition.resolve(&put.value, found);
    assert_eq!(resolved, Resolved::Again);
    let erasure = bench.partition.next_erasure().unwrap();
    assert_eq!(
        (erasure.0.key(), erasure.1),
        ("page.a.0".to_owned(), before)
    );
    bench.partition.erased(&erasure.0);
    assert!(
        erased(&mut bench, ms).len() <= 1,
        "the redacted version at most"
    );
    assert!(!holds(&bench, "text 7\""));
}

#[test]
fn an_erasure_lost_in_a_crash_is_made_up_for() {
    for (is_told, is_page) in [(true, true), (false, true), (true, false), (false, false)] {
        let (mut bench, mut before, ms) = redacted();
        let mut key = "page.a.0";
        let mut put = put_of_page(&mut bench, ms);
        if is_page {
            land_untold(&mut bench, &put);
        } else {
            land(&mut bench, &put);
            bench.erase_all();
            key = "room.a";
            before = bench.store[key].1;
            put = bench.partition.next_put(later(ms)).unwrap();
            assert_eq!(put.value.key(), key, "the record is hurried as well");
            land_untold(&mut bench, &put);
        }
        if is_told {
            bench.partition.written(&put.value, bench.revisions);
        }
        // The process dies before it erases anything more.
        bench.erased.clear();
        bench.restart(later(ms + 1_000));
        bench.put_all(ms + 1_000);
        assert!(
            bench.erased.contains(&(key.to_owned(), before)),
            "told {is_told}: {:?} lacks {key} {before}",
            bench.erased
        );
        let shown = bench.history("a", Place::Around(7), 1).events.remove(0);
        assert!(shown.deleted);
    }
}
