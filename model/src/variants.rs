//! The protocols that can be explored by name, and the bounds within which.

use crate::{
    protocol::{Applied, Dedupe, Protocol, Reads},
    state::Counts,
};

/// A protocol with a name.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What it is called.
    pub name: &'static str,
    /// Whether nothing may break; else something must.
    pub must_hold: bool,
    /// The protocol.
    pub protocol: Protocol,
}

/// A line of the tables below: what a variant changes in the protocol.
struct Change {
    name: &'static str,
    must_hold: bool,
    make: fn(&mut Protocol),
}

const fn holds(name: &'static str, make: fn(&mut Protocol)) -> Change {
    Change {
        name,
        must_hold: true,
        make,
    }
}

const fn breaks(name: &'static str, make: fn(&mut Protocol)) -> Change {
    Change {
        name,
        must_hold: false,
        make,
    }
}

/// The least in which two owners can meet: each send once, one takeover, one checkpoint.
const LEAST: Counts = Counts {
    deliveries: [1, 1, 1],
    claims: 1,
    crashes: 0,
    unclear_appends: 0,
    checkpoints: 1,
    unclear_puts: 0,
    evictions: 0,
    follower_syncs: 2,
};

/// Each size by name.
pub const SIZES: [(&str, Counts); 8] = [
    (
        "tiny",
        Counts {
            unclear_appends: 1,
            ..LEAST
        },
    ),
    (
        "zombie",
        Counts {
            checkpoints: 2,
            ..LEAST
        },
    ),
    (
        "small",
        Counts {
            deliveries: [2, 1, 1],
            crashes: 1,
            unclear_appends: 1,
            unclear_puts: 1,
            evictions: 1,
            ..LEAST
        },
    ),
    (
        "ckpt",
        Counts {
            crashes: 1,
            checkpoints: 2,
            unclear_puts: 1,
            evictions: 1,
            ..LEAST
        },
    ),
    (
        "lag",
        Counts {
            crashes: 1,
            unclear_appends: 1,
            ..LEAST
        },
    ),
    (
        "retry",
        Counts {
            deliveries: [3, 2, 1],
            crashes: 1,
            unclear_appends: 2,
            ..LEAST
        },
    ),
    (
        "wide",
        Counts {
            claims: 2,
            crashes: 1,
            unclear_appends: 1,
            checkpoints: 2,
            ..LEAST
        },
    ),
    (
        "claims",
        Counts {
            deliveries: [2, 1, 0],
            claims: 3,
            crashes: 1,
            unclear_appends: 2,
            ..LEAST
        },
    ),
];

/// The proposed protocol, and a weaker one that looks plausible.
const WHOLE: [Change; 2] = [holds("proposed", |_| {}), breaks("all-weak", weaken_all)];

/// What the product does: record and open page are one value; and what that needs.
const OF_THE_OPEN_PAGE: [Change; 7] = [
    holds("merged", |_| {}),
    holds("merged-old-leader-reads", |p| p.reads = Reads::OldLeader),
    breaks("merged-record-put-before-full-page", |p| {
        p.record_first = true;
        p.open_unguarded = true;
    }),
    breaks("merged-page-fills-during-checkpoint", |p| {
        p.open_unguarded = true;
    }),
    breaks("merged-load-reads-pages-first", |p| {
        p.pages_first = true;
        p.missing_is_empty = true;
    }),
    breaks("merged-missing-page-is-empty", |p| {
        p.missing_is_empty = true;
        p.reads = Reads::OldLeader;
    }),
    holds("merged-pages-first-but-checked", |p| p.pages_first = true),
];

/// Claiming, loading, and what an owner takes for true.
const OF_READING: [Change; 9] = [
    holds("no-claim-on-ckpt", |p| p.claim_cas = false),
    holds("old-leader-reads", |p| p.reads = Reads::OldLeader),
    breaks("old-leader-reads-no-claim-on-ckpt", |p| {
        p.reads = Reads::OldLeader;
        p.claim_cas = false;
    }),
    breaks("follower-reads", |p| p.reads = Reads::Follower),
    breaks("applied-in-record-only", |p| p.applied = Applied::PerRecord),
    breaks("dedupe-from-newest-page", |p| p.dedupe = Dedupe::NewestPage),
    breaks("epoch-not-in-ckpt", |p| p.epoch_in_ckpt = false),
    breaks("trimmed-read-skips", |p| {
        p.check_trim = false;
        p.claim_cas = false;
    }),
    breaks("load-takes-values-from-the-future", |p| {
        p.check_future = false;
    }),
];

/// Appends, acks, puts and evictions.
const OF_WRITING: [Change; 13] = [
    breaks("evict-dirty", |p| p.evict_dirty = true),
    breaks("blind-overwrite-on-conflict", |p| p.blind_overwrite = true),
    breaks("dedupe-at-arrival", |p| p.dedupe_at_arrival = true),
    breaks("last-from-conflict-without-fold", |p| {
        p.last_without_fold = true;
    }),
    breaks("no-fence", |p| p.no_fence = true),
    breaks("ack-before-append", |p| p.ack_early = true),
    breaks("trim-before-pages", |p| p.trim_early = true),
    breaks("record-before-pages", |p| {
        p.record_first = true;
        p.applied = Applied::PerRecord;
    }),
    holds("record-before-pages-applied-per-value", |p| {
        p.record_first = true;
    }),
    breaks("dedupe-in-memory-only", |p| p.dedupe = Dedupe::MemoryOnly),
    breaks("pipelined-appends", |p| p.pipelined = true),
    breaks("ckpt-without-cas", |p| p.no_ckpt_cas = true),
    breaks("pages-without-cas", |p| p.no_page_cas = true),
];

/// The record alone says what is applied, any replica answers reads, the newest page feeds dedupe, `ckpt`
/// is only a place in the log.
fn weaken_all(p: &mut Protocol) {
    p.applied = Applied::PerRecord;
    p.reads = Reads::Follower;
    p.dedupe = Dedupe::NewestPage;
    p.claim_cas = false;
    p.epoch_in_ckpt = false;
    p.check_trim = false;
    p.check_future = false;
}

/// The bounds of a size.
pub fn size(name: &str) -> Option<Counts> {
    SIZES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, counts)| *counts)
}

/// All variants, bounded by `max`.
pub fn all(max: Counts) -> Vec<Variant> {
    let proposed = Protocol::proposed(max);
    let merged = Protocol {
        merged: true,
        ..proposed
    };
    let tables: [(&Protocol, &[Change]); 4] = [
        (&proposed, &WHOLE),
        (&merged, &OF_THE_OPEN_PAGE),
        (&proposed, &OF_READING),
        (&proposed, &OF_WRITING),
    ];
    tables
        .iter()
        .flat_map(|(base, table)| table.iter().map(|change| change.of(base)))
        .collect()
}

/// The variant of this name, bounded by `max`.
pub fn named(name: &str, max: Counts) -> Option<Variant> {
    all(max).into_iter().find(|variant| variant.name == name)
}

impl Change {
    fn of(&self, base: &Protocol) -> Variant {
        let mut protocol = base.clone();
        (self.make)(&mut protocol);
        Variant {
            name: self.name,
            must_hold: self.must_hold,
            protocol,
        }
    }
}
