//! What is removed: the text is in no file any more.

use std::{collections::BTreeMap, path::Path};

use broker::{Append, Broker, Log as _, MAX_RECORD, Put, Revision, Scan as _, Store as _};
use bytes::Bytes;

use crate::fixture::{Fixture, OTHER, PP, fill, numbered, put, read, until};

pub(crate) async fn an_erased_version_is_in_no_file(mut fixture: impl Fixture) {
    let broker = fixture.broker();
    for key in ["page.hall.0", "page.hall.2"] {
        put(&broker, PP, key, "beside", Revision::NONE).await;
    }
    let old = write(&broker, "page.hall.1", "Iwasredacted", Revision::NONE).await;
    until_found(&fixture, "Iwasredacted").await;
    // The values beside it are put too, as they are in life.
    for key in ["page.hall.0", "page.hall.2", "room.hall"] {
        let found = broker.get(PP, key).await.unwrap();
        let revision = found.map_or(Revision::NONE, |found| found.revision);
        write(&broker, key, "still beside", revision).await;
    }
    write(&broker, "page.hall.1", "nothing here", old).await;
    broker.erase(PP, "page.hall.1", old).await.unwrap();
    broker.erase(PP, "page.hall.1", old).await.unwrap();
    assert_nowhere(&fixture, "Iwasredacted");
    drop(broker);
    fixture.crash().await;
    assert_nowhere(&fixture, "Iwasredacted");
    let broker = fixture.broker();
    for (key, text) in [
        ("page.hall.0", "still beside"),
        ("page.hall.1", "nothing here"),
        ("page.hall.2", "still beside"),
    ] {
        assert_eq!(
            broker.get(PP, key).await.unwrap().unwrap().bytes,
            page(text)
        );
    }
}

pub(crate) async fn an_erase_leaves_what_is_current_and_what_is_of_another_key(
    fixture: impl Fixture,
) {
    let broker = fixture.broker();
    let one = put(&broker, PP, "a", "one", Revision::NONE).await;
    let other = put(&broker, PP, "b", "other", Revision::NONE).await;
    for (key, revision) in [
        ("a", one),
        ("a", other),
        ("a", Revision(1_000_000)),
        ("a", Revision::NONE),
        ("c", one),
    ] {
        broker.erase(PP, key, revision).await.unwrap();
    }
    broker.erase(OTHER, "a", one).await.unwrap();
    for (key, text, revision) in [("a", "one", one), ("b", "other", other)] {
        let found = broker.get(PP, key).await.unwrap().unwrap();
        assert_eq!((found.bytes, found.revision), (Bytes::from(text), revision));
    }
    broker.purge(PP, "a").await.unwrap();
    broker.erase(PP, "a", one).await.unwrap();
    assert!(broker.erase(PP, "a.*", one).await.is_err());
}

pub(crate) async fn a_log_trimmed_to_its_end_leaves_nothing_in_files(mut fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, OTHER, 3).await;
    for last in 0..40 {
        let text = format!("{last} Itwastrimmed {}", "x".repeat(last as usize * 50));
        let appended = broker.append(PP, last, text.into()).await;
        assert_eq!(appended, Append::Written(last + 1));
    }
    until_found(&fixture, "Itwastrimmed").await;
    broker.trim(PP, 20).await.unwrap();
    assert_eq!(read(&broker, PP, 21, 40).await.unwrap().len(), 20);
    broker.trim(PP, 40).await.unwrap();
    until(|| async {
        files_with(&fixture, "Itwastrimmed")
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(broker.last(PP).await.unwrap(), 40);
    let others: Vec<_> = (1..=3).map(numbered).collect();
    assert_eq!(read(&broker, OTHER, 1, 3).await.unwrap(), others);
    drop(broker);
    fixture.crash().await;
    assert_nowhere(&fixture, "Itwastrimmed");
    let broker = fixture.broker();
    assert_eq!(broker.last(PP).await.unwrap(), 40);
    assert_eq!(
        broker.append(PP, 40, "41".into()).await,
        Append::Written(41)
    );
    assert_eq!(read(&broker, OTHER, 1, 3).await.unwrap(), others);
}

pub(crate) async fn a_scrub_leaves_only_what_is_current(fixture: impl Fixture) {
    // More than one block of whatever kind, and values that share one.
    assert_scrubbed(fixture, [200, 9_000, 700_000]).await;
}

pub(crate) async fn a_scrub_of_little_leaves_only_what_is_current(fixture: impl Fixture) {
    // All in one block.
    assert_scrubbed(fixture, [20, 200, 2_000]).await;
}

pub(crate) async fn a_scrub_leaves_nothing_beside_the_note_of_a_purge(fixture: impl Fixture) {
    let broker = fixture.broker();
    let largest = Bytes::from(vec![b'x'; MAX_RECORD]);
    for number in 0..6 {
        let key = format!("page.large.{number}");
        broker.put(PP, &key, largest.clone(), Revision::NONE).await;
    }
    // A purge is noted in the newest block, and holds on to it while the block of what was purged is there.
    let old = write(&broker, "page.hall.1", "Itwasreplaced", Revision::NONE).await;
    broker.purge(PP, "page.large.1").await.unwrap();
    write(&broker, "page.hall.1", "nothing here", old).await;
    broker.scrub(PP).await.unwrap();
    until(|| async {
        files_with(&fixture, "Itwasreplaced")
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(all(&broker).await.len(), 6);
}

async fn assert_scrubbed(mut fixture: impl Fixture, sizes: [usize; 3]) {
    let broker = fixture.broker();
    let mut current = BTreeMap::new();
    for number in 0..12 {
        let key = format!("page.r{number}");
        let bytes = sizes[number % 3];
        let mut revision = Revision::NONE;
        for version in 0..4 {
            let text = format!("Version{number}-{version};");
            let value = Bytes::from(text.repeat(bytes / text.len() + 1));
            let Put::Written(written) = broker.put(PP, &key, value.clone(), revision).await else {
                panic!("{key} was not written");
            };
            revision = written;
            current.insert(key.clone(), value);
        }
    }
    for number in [1, 2, 3] {
        let key = format!("page.r{number}");
        broker.purge(PP, &key).await.unwrap();
        current.remove(&key);
    }
    for last in 0..10 {
        broker
            .append(PP, last, format!("Record{last};").into())
            .await;
    }
    broker.trim(PP, 5).await.unwrap();
    broker.trim(PP, 10).await.unwrap();
    broker.append(PP, 10, "Record10;".into()).await;
    until_found(&fixture, "Version11-3;").await;
    broker.scrub(PP).await.unwrap();
    drop(broker);
    for _ in 0..2 {
        let broker = fixture.broker();
        for number in 0..12 {
            for version in 0..4 {
                let is_current = version == 3 && ![1, 2, 3].contains(&number);
                if !is_current {
                    // The server removes files after it has answered.
                    let text = format!("Version{number}-{version};");
                    until(|| async { files_with(&fixture, &text).is_empty().then_some(()) }).await;
                }
            }
        }
        for last in 0..10 {
            assert_nowhere(&fixture, &format!("Record{last};"));
        }
        assert_eq!(all(&broker).await, current);
        let left = read(&broker, PP, 11, 11).await.unwrap();
        assert_eq!(left, [(11, "Record10;".into())]);
        drop(broker);
        fixture.crash().await;
    }
    // What was scrubbed is erased as anything else is, and scrubbed again.
    let broker = fixture.broker();
    let revision = broker.get(PP, "page.r0").await.unwrap().unwrap().revision;
    write(&broker, "page.r0", "redacted", revision).await;
    broker.erase(PP, "page.r0", revision).await.unwrap();
    assert_nowhere(&fixture, "Version0-3;");
    broker.scrub(PP).await.unwrap();
    assert_eq!(all(&broker).await.len(), current.len());
}

pub(crate) async fn a_scrub_takes_nothing_that_is_put_meanwhile(fixture: impl Fixture) {
    let broker = fixture.broker();
    let largest = Bytes::from(vec![b'x'; MAX_RECORD]);
    for key in ["large.a", "large.b", "large.c"] {
        broker.put(PP, key, largest.clone(), Revision::NONE).await;
    }
    let scrubbed = async {
        for _ in 0..3 {
            broker.scrub(PP).await.unwrap();
        }
    };
    let putting = async {
        let mut counts = BTreeMap::new();
        for turn in 0..200_u32 {
            let key = format!("room.r{}", turn % 7);
            let found = broker.get(PP, &key).await.unwrap();
            let revision = found.map_or(Revision::NONE, |found| found.revision);
            // A scrub may put it again in between: then this is a conflict, and nothing is written.
            let put = broker
                .put(PP, &key, turn.to_string().into(), revision)
                .await;
            match put {
                Put::Written(_) => drop(counts.insert(key, Bytes::from(turn.to_string()))),
                Put::Conflict { .. } => {}
                other => panic!("{other:?}"),
            }
            if turn % 50 == 49 {
                broker.purge(PP, "room.r3").await.unwrap();
                counts.remove("room.r3");
            }
        }
        counts
    };
    let ((), mut expected) = tokio::join!(scrubbed, putting);
    for key in ["large.a", "large.b", "large.c"] {
        expected.insert(key.to_owned(), largest.clone());
    }
    assert_eq!(all(&broker).await, expected);
}

/// A page whose text is seen wherever one looks.
fn page(text: &str) -> Bytes {
    text.repeat(3_000 / text.len()).into()
}

async fn write(broker: &impl Broker, key: &str, text: &str, expected: Revision) -> Revision {
    match broker.put(PP, key, page(text), expected).await {
        Put::Written(revision) => revision,
        other => panic!("expected {key} to be written, got {other:?}"),
    }
}

async fn all(broker: &impl Broker) -> BTreeMap<String, Bytes> {
    let found = broker.scan(PP, "").all().await.unwrap();
    let count = found.len();
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|(key, value)| (key, value.bytes))
        .collect();
    assert_eq!(found.len(), count, "a key came twice");
    found
}

/// Waits until a text is on disk, where there is one: else its absence would show nothing.
async fn until_found(fixture: &impl Fixture, text: &str) {
    if fixture.files().is_some() {
        until(|| async { (!files_with(fixture, text).is_empty()).then_some(()) }).await;
    }
}

fn assert_nowhere(fixture: &impl Fixture, text: &str) {
    assert_eq!(files_with(fixture, text), [""; 0], "{text:?} is in a file");
}

/// The files that hold a text.
fn files_with(fixture: &impl Fixture, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(files) = fixture.files() {
        look(files, text.as_bytes(), &mut found);
    }
    found
}

fn look(dir: &Path, text: &[u8], found: &mut Vec<String>) {
    // Files come and go while a server runs.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look(&path, text, found);
        } else if std::fs::read(&path).is_ok_and(|bytes| contains(&bytes, text)) {
            found.push(path.display().to_string());
        }
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let first = text[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(text) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
