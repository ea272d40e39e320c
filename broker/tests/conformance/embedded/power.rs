//! Power that is lost at any moment, with what was not synced written in part: all that was acknowledged is
//! there, what was under way is there whole or not at all, and what was superseded is in no file.

use std::collections::{BTreeMap, BTreeSet};

use broker::{
    Append, Broker as _, Log as _, Put, ReadError, Revision, Scan as _, Store as _,
    embedded::Embedded,
};
use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::faulty::Disk;
use crate::fixture::{PP, in_time, put, read};

const RUNS: u64 = 60;
const CHANGES: usize = 60;

/// What is stored, as far as it was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stored {
    first: u64,
    records: Vec<Bytes>,
    values: BTreeMap<String, Bytes>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_loss_of_power_at_any_moment() {
    in_time(async {
        let mut losses = 0;
        for seed in 0..RUNS {
            losses += u64::from(lose(seed).await);
        }
        assert!(
            losses > RUNS / 2,
            "only {losses} of {RUNS} runs lost their power"
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_erased_is_in_no_file_whatever_happens_then() {
    for seed in 0..20 {
        let disk = Disk::default();
        let broker = Embedded::on(disk.folder()).unwrap();
        let old = put(&broker, PP, "page.hall.1", "Iwasredacted", Revision::NONE).await;
        put(&broker, PP, "page.hall.1", "nothing here", old).await;
        broker.erase(PP, "page.hall.1", old).await.unwrap();
        disk.lose_power_after(0);
        put(&broker, PP, "page.hall.2", "another", Revision::NONE).await;
        // Before anybody opens it.
        let left = disk.after_loss(seed).unwrap();
        assert!(!left.words().contains("Iwasredacted"), "seed {seed}");
    }
}

/// One run; whether the power was lost before its end.
async fn lose(seed: u64) -> bool {
    let mut random = SmallRng::seed_from_u64(seed);
    let disk = Disk::default();
    let broker = Embedded::on(disk.folder()).unwrap();
    disk.lose_power_after(random.random_range(0..600));
    let mut stored = Stored {
        first: 1,
        ..Stored::default()
    };
    for turn in 0..CHANGES {
        let before = stored.clone();
        change(&broker, &mut stored, turn, &mut random).await;
        if disk.is_lost() {
            let left = disk.after_loss(seed).unwrap();
            assert_left(&left, &before, &stored, seed).await;
            return true;
        }
    }
    false
}

async fn change(broker: &Embedded, stored: &mut Stored, turn: usize, random: &mut SmallRng) {
    let last = stored.records.len() as u64;
    let text = format!("Text{turn};").repeat(random.random_range(1..2_000));
    let key = format!("room.r{}", random.random_range(0..5));
    match random.random_range(0..12) {
        0..4 => {
            let record = Bytes::from(text);
            let appended = broker.append(PP, last, record.clone()).await;
            assert_eq!(appended, Append::Written(last + 1));
            stored.records.push(record);
        }
        4 => {
            let up_to = random.random_range(0..=last);
            broker.trim(PP, up_to).await.unwrap();
            stored.first = stored.first.max(up_to + 1);
        }
        5 => {
            broker.purge(PP, &key).await.unwrap();
            stored.values.remove(&key);
        }
        6 => broker.erase(PP, &key, Revision::NONE).await.unwrap(),
        7 => broker.scrub(PP).await.unwrap(),
        _ => {
            let found = broker.get(PP, &key).await.unwrap();
            let revision = found.map_or(Revision::NONE, |found| found.revision);
            let value = Bytes::from(text);
            let put = broker.put(PP, &key, value.clone(), revision).await;
            assert!(matches!(put, Put::Written(_)), "{put:?}");
            stored.values.insert(key, value);
        }
    }
}

async fn assert_left(disk: &Disk, before: &Stored, after: &Stored, seed: u64) {
    let broker = Embedded::on(disk.folder()).unwrap();
    let last = broker.last(PP).await.unwrap();
    let first = match read(&broker, PP, 1, last).await {
        Ok(_) => 1,
        Err(ReadError::Trimmed { first }) => first,
        Err(error) => panic!("seed {seed}: {error:?}"),
    };
    let records = read(&broker, PP, first, last).await.unwrap();
    let values = broker.scan(PP, "").all().await.unwrap();
    let mut found = Stored {
        first,
        records: records.into_iter().map(|(_, record)| record).collect(),
        values: values
            .into_iter()
            .map(|(key, value)| (key, value.bytes))
            .collect(),
    };
    let left = |stored: &Stored| {
        let mut stored = stored.clone();
        stored
            .records
            .drain(..usize::try_from(stored.first - 1).unwrap());
        stored
    };
    // A log without records has no first one.
    if found.records.is_empty() {
        found.first = last + 1;
    }
    let is_one = found == left(before) || found == left(after);
    assert!(
        is_one,
        "seed {seed}: neither what was acknowledged nor that and one change more"
    );
    // Records stay in the file until a log is trimmed to its end; values do not.
    let may_be: Vec<_> = found.values.values().chain(&after.records).collect();
    let words = disk.words();
    let turns = words.match_indices("Text").filter_map(|(at, text)| {
        let (number, _) = words[at + text.len()..].split_once(';')?;
        number.parse().ok()
    });
    for turn in BTreeSet::<usize>::from_iter(turns) {
        let text = format!("Text{turn};");
        let begins = |bytes: &&Bytes| bytes.starts_with(text.as_bytes());
        assert!(
            may_be.iter().any(begins),
            "seed {seed}: {text} was superseded, and is in a file"
        );
    }
}
