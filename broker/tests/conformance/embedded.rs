//! What only the embedded broker can show: a folder of its own, a disk that fails, a process that is killed.

mod damage;
mod faulty;
mod power;

use std::{
    env,
    process::{Command, Stdio},
    time::Duration,
};

use broker::{
    Append, Broker as _, Log as _, Put, ReadError, Revision, Store as _,
    embedded::{Embedded, OpenError},
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::fixture::{PP, fill, in_time, numbered, put, read};
use faulty::{Disk, Fault};

/// Tells the test binary that it is the child of [`a_killed_process_leaves_all_that_it_acknowledged`].
const CHILD_FOLDER: &str = "CONFORMANCE_CHILD_FOLDER";

#[tokio::test]
async fn a_folder_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(dir.path()).unwrap();
    let second = Embedded::open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(second, OpenError::Locked { .. }), "{second:?}");
    assert!(
        second.to_string().contains(dir.path().to_str().unwrap()),
        "{second}"
    );
    // It goes on undisturbed, and lets the folder go with its last handle.
    fill(&first, PP, 1).await;
    let reader = first.read(PP, 1, 1);
    drop(first);
    assert!(
        Embedded::open(dir.path()).is_err(),
        "a reader still reads from it"
    );
    drop(reader);
    Embedded::open(dir.path()).unwrap();
}

#[tokio::test]
async fn what_is_no_folder_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for wrong in [file.path().to_owned(), file.path().join("below")] {
        let error = Embedded::open(&wrong).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
        assert!(
            error.to_string().contains(wrong.to_str().unwrap()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_refuses_until_there_is_space_again() {
    let disk = Disk::default();
    let broker = Embedded::on(disk.folder()).unwrap();
    fill(&broker, PP, 3).await;
    let revision = put(&broker, PP, "k", "one", Revision::NONE).await;
    disk.fail(Some(Fault::Full));
    for _ in 0..3 {
        let appended = broker.append(PP, 3, vec![7; 100_000].into()).await;
        assert!(matches!(appended, Append::Refused { .. }), "{appended:?}");
        let stored = broker.put(PP, "k", vec![7; 100_000].into(), revision).await;
        assert!(matches!(stored, Put::Refused { .. }), "{stored:?}");
        // What is there is still read.
        assert_eq!(broker.last(PP).await.unwrap(), 3);
        assert_eq!(read(&broker, PP, 1, 3).await.unwrap().len(), 3);
        let found = broker.get(PP, "k").await.unwrap();
        assert_eq!(found.map(|value| value.revision), Some(revision));
    }
    disk.fail(None);
    assert_eq!(broker.append(PP, 3, "4".into()).await, Append::Written(4));
    put(&broker, PP, "k", "two", revision).await;
    let records: Vec<_> = (1..=4).map(numbered).collect();
    assert_eq!(read(&broker, PP, 1, 4).await.unwrap(), records);
}

#[tokio::test]
async fn what_a_failed_sync_left_is_unclear_until_it_is_read() {
    let disk = Disk::default();
    let broker = Embedded::on(disk.folder()).unwrap();
    fill(&broker, PP, 3).await;
    disk.fail(Some(Fault::Sync));
    let appended = broker.append(PP, 3, "4".into()).await;
    assert_eq!(appended, Append::Unclear);
    let stored = broker.put(PP, "k", "one".into(), Revision::NONE).await;
    assert!(!matches!(stored, Put::Written(_)), "{stored:?}");
    disk.fail(None);
    // An append of another record tells which it is, and nothing of either is lost.
    match broker.append(PP, 3, "four".into()).await {
        Append::Written(4) => {
            assert_eq!(read(&broker, PP, 4, 4).await.unwrap(), [(4, "four".into())]);
        }
        Append::Conflict { last: 4 } => {
            assert_eq!(read(&broker, PP, 4, 4).await.unwrap(), [numbered(4)]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_is_unavailable_until_it_can() {
    let disk = Disk::default();
    let broker = Embedded::on(disk.folder()).unwrap();
    fill(&broker, PP, 3).await;
    disk.fail(Some(Fault::All));
    assert_eq!(broker.append(PP, 3, "4".into()).await, Append::Unclear);
    let refused = broker.append(PP, 3, "4".into()).await;
    assert!(matches!(refused, Append::Refused { .. }), "{refused:?}");
    assert!(broker.last(PP).await.is_err());
    let stored = broker.put(PP, "k", "one".into(), Revision::NONE).await;
    assert!(!matches!(stored, Put::Written(_)), "{stored:?}");
    assert!(broker.get(PP, "k").await.is_err());
    let unavailable = read(&broker, PP, 1, 3).await;
    assert!(
        matches!(unavailable, Err(ReadError::Unavailable(_))),
        "{unavailable:?}"
    );
    disk.fail(None);
    // Whoever only reads gets on too.
    in_time(async {
        while broker.last(PP).await.is_err() || broker.get(PP, "k").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let appended = broker.append(PP, 3, "4".into()).await;
    assert!(
        matches!(appended, Append::Written(4) | Append::Conflict { last: 4 }),
        "{appended:?}"
    );
    let records: Vec<_> = (1..=4).map(numbered).collect();
    assert_eq!(read(&broker, PP, 1, 4).await.unwrap(), records);
}

#[tokio::test]
async fn a_scrub_takes_the_records_of_a_log_trimmed_in_part() {
    let disk = Disk::default();
    let broker = Embedded::on(disk.folder()).unwrap();
    for seq in 1..=3 {
        let record = format!("Record{seq};").into();
        assert_eq!(
            broker.append(PP, seq - 1, record).await,
            Append::Written(seq)
        );
    }
    broker.trim(PP, 2).await.unwrap();
    assert!(disk.words().contains("Record2;"));
    broker.scrub(PP).await.unwrap();
    let words = disk.words();
    assert!(!words.contains("Record1;") && !words.contains("Record2;"));
    let left = read(&broker, PP, 3, 3).await.unwrap();
    assert_eq!(left, [(3, "Record3;".into())]);
    assert_eq!(broker.append(PP, 3, "4".into()).await, Append::Written(4));
}

#[tokio::test]
async fn a_killed_process_leaves_all_that_it_acknowledged() {
    in_time(async {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = 0;
        for _ in 0..3 {
            let mut child = tokio::process::Command::from({
                let mut command = Command::new(env::current_exe().unwrap());
                command.args(["--exact", "embedded::the_child_that_is_killed", "--ignored"]);
                command.arg("--nocapture").env(CHILD_FOLDER, dir.path());
                command.stdout(Stdio::piped());
                command
            })
            .kill_on_drop(true)
            .spawn()
            .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let enough = acknowledged + 300;
            while acknowledged < enough {
                let line = lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the child goes on until killed");
                if let Some(seq) = line.strip_prefix("acknowledged ") {
                    acknowledged = seq.parse().unwrap();
                }
            }
            child.kill().await.unwrap();
        }
        let broker = Embedded::open(dir.path()).unwrap();
        let last = broker.last(PP).await.unwrap();
        assert!(
            last >= acknowledged,
            "{acknowledged} were acknowledged, {last} are there"
        );
        let records: Vec<_> = (1..=last).map(numbered).collect();
        assert_eq!(read(&broker, PP, 1, last).await.unwrap(), records);
    })
    .await;
}

/// Appends until it is killed, and says what was acknowledged.
#[tokio::test]
#[ignore = "started by a_killed_process_leaves_all_that_it_acknowledged"]
async fn the_child_that_is_killed() {
    let Some(folder) = env::var_os(CHILD_FOLDER) else {
        return;
    };
    let broker = Embedded::open(folder.as_ref()).unwrap();
    let mut last = broker.last(PP).await.unwrap();
    loop {
        let appended = broker.append(PP, last, numbered(last + 1).1).await;
        assert_eq!(appended, Append::Written(last + 1));
        last += 1;
        println!("\nacknowledged {last}");
    }
}
