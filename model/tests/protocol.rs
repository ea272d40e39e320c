//! The protocol holds, and each rule that is left out breaks it. What takes minutes and gigabytes runs
//! only when `TEST_FULL` is 1, as `./test --full` sets it.

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write as _},
};

use parlor_model::{
    explore::{Report, Until, explore},
    properties::{ACK, FENCE, ONCE, ORDER, READERS, REBUILD},
    variants,
};

/// What must hold, and the sizes that take seconds.
const SHORT: [(&str, &str); 4] = [
    ("proposed", "tiny"),
    ("proposed", "zombie"),
    ("merged", "tiny"),
    ("merged", "zombie"),
];

/// What must hold, and the sizes that take up to minutes.
const LONG: [(&str, &str); 10] = [
    ("merged-pages-first-but-checked", "zombie"),
    ("record-before-pages-applied-per-value", "zombie"),
    ("no-claim-on-ckpt", "zombie"),
    ("old-leader-reads", "zombie"),
    ("merged-old-leader-reads", "zombie"),
    ("merged", "lag"),
    ("merged", "ckpt"),
    ("merged", "small"),
    ("merged", "retry"),
    ("proposed", "small"),
];

/// Each rule that may be left out, the quickest size that shows what it is for, and the property that
/// breaks first.
const MUTANTS: [(&str, &str, &str); 23] = [
    ("all-weak", "zombie", REBUILD),
    ("merged-record-put-before-full-page", "zombie", REBUILD),
    ("merged-page-fills-during-checkpoint", "zombie", REBUILD),
    ("merged-load-reads-pages-first", "zombie", READERS),
    ("merged-missing-page-is-empty", "zombie", READERS),
    ("old-leader-reads-no-claim-on-ckpt", "zombie", READERS),
    ("follower-reads", "zombie", READERS),
    ("applied-in-record-only", "zombie", REBUILD),
    ("epoch-not-in-ckpt", "zombie", FENCE),
    ("trimmed-read-skips", "zombie", FENCE),
    ("load-takes-values-from-the-future", "zombie", READERS),
    ("evict-dirty", "ckpt", READERS),
    ("blind-overwrite-on-conflict", "zombie", REBUILD),
    ("dedupe-at-arrival", "tiny", ONCE),
    ("last-from-conflict-without-fold", "zombie", FENCE),
    ("no-fence", "zombie", FENCE),
    ("ack-before-append", "zombie", ACK),
    ("trim-before-pages", "zombie", REBUILD),
    ("record-before-pages", "zombie", REBUILD),
    ("dedupe-in-memory-only", "small", ONCE),
    ("pipelined-appends", "zombie", ORDER),
    ("ckpt-without-cas", "zombie", REBUILD),
    ("pages-without-cas", "zombie", REBUILD),
];

/// The same, for what takes longer than all of them.
const LONG_MUTANT: (&str, &str, &str) = ("dedupe-from-newest-page", "small", ONCE);

#[test]
fn the_protocol_holds_whatever_comes_between() {
    for (name, size) in SHORT {
        assert_holds(&explored(name, size, Until::AnyBreaks));
    }
}

#[test]
fn each_rule_left_out_breaks_what_it_is_for() {
    for (name, size, property) in MUTANTS {
        assert_breaks(name, size, property);
    }
}

#[test]
fn the_long_sizes_do_as_they_must() {
    let (mutant, mutant_size, property) = LONG_MUTANT;
    if env::var("TEST_FULL").is_ok_and(|value| value == "1") {
        for (name, size) in LONG {
            let report = explored(name, size, Until::AnyBreaks);
            tell(&report.to_string());
            assert_holds(&report);
        }
        assert_breaks(mutant, mutant_size, property);
    } else {
        let left_out = LONG.map(|(name, size)| format!("{name} {size}")).join(", ");
        tell(&format!(
            "left out of the model: {left_out}, {mutant} {mutant_size}"
        ));
    }
}

#[test]
fn every_variant_is_put_to_the_test() {
    let all = variants::all(variants::size("tiny").expect("a size of ours"));
    let tested: BTreeSet<&str> = (SHORT.iter().chain(&LONG).map(|(name, _)| *name))
        .chain(MUTANTS.iter().chain([&LONG_MUTANT]).map(|(name, ..)| *name))
        .collect();
    let known: BTreeSet<&str> = all.iter().map(|variant| variant.name).collect();
    assert_eq!(tested, known);
}

fn explored(name: &str, size: &str, until: Until<'_>) -> Report {
    let max = variants::size(size).expect("a size of ours");
    let variant = variants::named(name, max).expect("a variant of ours");
    explore(&variant, until)
}

/// Nothing broke, and what makes the exploration mean anything was seen.
#[track_caller]
fn assert_holds(report: &Report) {
    assert!(report.must_hold && report.broken.is_empty(), "{report}");
    assert!(report.never_seen.is_empty(), "{report}");
}

#[track_caller]
fn assert_breaks(name: &str, size: &str, property: &'static str) {
    let report = explored(name, size, Until::OneOf(&[property]));
    let broken: Vec<&str> = report
        .broken
        .iter()
        .map(|(property, _)| *property)
        .collect();
    assert!(
        broken.contains(&property),
        "{property} must break: {report}"
    );
}

/// Says what a passing test would otherwise keep to itself.
fn tell(words: &str) {
    writeln!(io::stderr(), "{words}").expect("stderr takes a line");
}
