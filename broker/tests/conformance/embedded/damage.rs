//! Files that are not what was written: refused by name, or read as they were. Never a silent loss.

use std::{collections::BTreeMap, fs, path::Path};

use broker::{
    Log as _, ReadError, Revision, Scan as _, Store as _, StoreError,
    embedded::{Embedded, OpenError},
};
use bytes::Bytes;
use proto::PartitionId;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tempfile::TempDir;

use crate::fixture::{OTHER, PP, fill, numbered, put, read};

const FILES: [&str; 3] = ["parlor-log.redb", "parlor-store.redb", "parlor-values"];
const RECORDS: u64 = 200;
const VALUES: usize = 200;
/// Damages of each file that are tried.
const TRIES: u64 = 30;

#[tokio::test]
async fn another_content_is_refused_by_name_and_left_alone() {
    for name in FILES {
        for text in ["these are not the pages you are looking for", "short"] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(name);
            fs::write(&file, text.repeat(100)).unwrap();
            assert_refused(dir.path(), &file);
            assert_eq!(fs::read_to_string(&file).unwrap(), text.repeat(100));
        }
    }
}

#[tokio::test]
async fn a_folder_of_an_earlier_build_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("parlor.redb");
    fs::write(&file, "everything").unwrap();
    let error = Embedded::open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Old { .. }), "{error:?}");
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_file_is_refused_by_name_and_not_made_anew() {
    let whole = whole().await;
    for name in FILES {
        let dir = copy(&whole);
        let file = dir.path().join(name);
        fs::remove_file(&file).unwrap();
        assert_refused(dir.path(), &file);
        // Nor the second time, when the first has left an empty one.
        assert_refused(dir.path(), &file);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_refused_by_name() {
    let whole = whole().await;
    for name in FILES {
        let bytes = fs::metadata(whole.path().join(name)).unwrap().len();
        for left in [0, 1, 100, 20_000.min(bytes / 2)] {
            let dir = copy(&whole);
            let file = dir.path().join(name);
            cut(&file, left);
            assert_refused(dir.path(), &file);
        }
        // Less may cut off what is not used.
        for cut_off in [1, 63, 4_096, 70_000] {
            let dir = copy(&whole);
            let file = dir.path().join(name);
            cut(&file, bytes.saturating_sub(cut_off));
            assert_refused_or_whole(dir.path(), &file).await;
        }
    }
}

#[tokio::test]
async fn flipped_bits_are_refused_or_told_by_the_record_or_the_value() {
    let whole = whole().await;
    let mut random = SmallRng::seed_from_u64(7);
    for name in FILES {
        for turn in 0..TRIES {
            let dir = copy(&whole);
            let file = dir.path().join(name);
            let mut bytes = fs::read(&file).unwrap();
            // The first bytes are what a file is known by: every other time, one of them.
            let among = if turn % 2 == 0 { 512 } else { bytes.len() };
            let at = random.random_range(0..among);
            bytes[at] ^= 1 << random.random_range(0..8);
            fs::write(&file, &bytes).unwrap();
            assert_refused_or_whole(dir.path(), &file).await;
        }
    }
}

#[tokio::test]
async fn a_damaged_value_is_told_by_key_and_the_others_go_on() {
    let whole = whole().await;
    let file = whole.path().join("parlor-values");
    let mut bytes = fs::read(&file).unwrap();
    let damaged = value(17);
    let at = bytes
        .windows(damaged.len())
        .position(|window| window == damaged);
    bytes[at.unwrap() + 5] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let broker = Embedded::open(whole.path()).unwrap();
    let damaged = broker.get(PP, "room.r17").await;
    let Err(StoreError::Damaged(words)) = damaged else {
        panic!("{damaged:?}")
    };
    assert!(
        words.contains("room.r17") && words.contains(file.to_str().unwrap()),
        "{words}"
    );
    for number in [16, 18] {
        let found = broker.get(PP, &format!("room.r{number}")).await.unwrap();
        assert_eq!(found.unwrap().bytes, value(number));
    }
    // It is replaced as any other.
    broker.purge(PP, "room.r17").await.unwrap();
    put(&broker, PP, "room.r17", "anew", Revision::NONE).await;
}

/// A folder with a log, a trimmed one, and values, some of them superseded.
async fn whole() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let broker = Embedded::open(dir.path()).unwrap();
    fill(&broker, PP, RECORDS).await;
    broker.trim(PP, 10).await.unwrap();
    fill(&broker, OTHER, 5).await;
    broker.trim(OTHER, 5).await.unwrap();
    for number in 0..VALUES {
        let key = format!("room.r{number}");
        let first = put(&broker, PP, &key, "superseded", Revision::NONE).await;
        broker.put(PP, &key, value(number), first).await;
    }
    put(
        &broker,
        PartitionId::Meta,
        "installation",
        "P is 4",
        Revision::NONE,
    )
    .await;
    dir
}

fn value(number: usize) -> Bytes {
    format!("value {number} ").repeat(1 + number % 50).into()
}

fn copy(whole: &TempDir) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in FILES {
        fs::copy(whole.path().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn cut(file: &Path, left: u64) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(left).unwrap();
}

/// With words that name one of these files, and say what to do.
fn assert_refused(dir: &Path, file: &Path) {
    match Embedded::open(dir).map(drop) {
        Err(error) => assert_named(&error, file),
        Ok(()) => panic!("{} was opened", file.display()),
    }
}

fn assert_named(error: &OpenError, file: &Path) {
    assert!(matches!(error, OpenError::Data { .. }), "{error:?}");
    let words = error.to_string();
    assert!(
        words.contains(file.to_str().unwrap()) && words.contains("back-up"),
        "{words}"
    );
}

/// Refused by name, or all that was written is there, or what is not is told.
async fn assert_refused_or_whole(dir: &Path, file: &Path) {
    let broker = match Embedded::open(dir) {
        Ok(broker) => broker,
        Err(error) => return assert_named(&error, file),
    };
    assert_eq!(broker.last(PP).await.unwrap(), RECORDS);
    assert_eq!(broker.last(OTHER).await.unwrap(), 5);
    match read(&broker, PP, 11, RECORDS).await {
        Ok(records) => assert!(records.into_iter().eq((11..=RECORDS).map(numbered))),
        Err(ReadError::Unavailable(words)) => {
            assert!(words.contains(file.to_str().unwrap()), "{words}");
        }
        Err(error) => panic!("{error:?}"),
    }
    for number in 0..VALUES {
        match broker.get(PP, &format!("room.r{number}")).await {
            Ok(found) => assert_eq!(found.unwrap().bytes, value(number)),
            Err(StoreError::Damaged(words)) => assert!(words.contains("room.r"), "{words}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    match broker.scan(PartitionId::Meta, "").all().await {
        Ok(found) => {
            let found: BTreeMap<_, _> = found.into_iter().collect();
            assert_eq!(found["installation"].bytes, "P is 4");
        }
        Err(error) => assert!(matches!(error, StoreError::Damaged(_)), "{error:?}"),
    }
}
