//! The log: appended to by expectation, read without holes, trimmed without losing its place.

use broker::{Append, Log, MAX_RECORD, ReadError, Reader as _, TrimError};
use bytes::Bytes;
use proto::PartitionId;

use crate::fixture::{Fixture, OTHER, PP, fill, numbered, read};

pub(crate) async fn records_count_from_one(fixture: impl Fixture) {
    let broker = fixture.broker();
    assert_eq!(broker.last(PP).await.unwrap(), 0);
    fill(&broker, PP, 3).await;
    assert_eq!(broker.last(PP).await.unwrap(), 3);
}

pub(crate) async fn an_append_that_expects_another_last_is_not_written(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 3).await;
    for wrong in [0, 2, 4, 17] {
        let appended = broker.append(PP, wrong, "x".into()).await;
        assert_eq!(appended, Append::Conflict { last: 3 });
    }
    assert_eq!(broker.last(PP).await.unwrap(), 3);
    assert_eq!(broker.append(PP, 3, "4".into()).await, Append::Written(4));
}

pub(crate) async fn a_read_gives_exactly_what_was_asked_for(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 10).await;
    for (from, to) in [(1, 10), (1, 1), (10, 10), (4, 7), (7, 6), (11, 10)] {
        let expected: Vec<_> = (from..=to).map(numbered).collect();
        assert_eq!(
            read(&broker, PP, from, to).await.unwrap(),
            expected,
            "{from} to {to}"
        );
    }
}

pub(crate) async fn a_read_of_the_future_is_unavailable(fixture: impl Fixture) {
    let broker = fixture.broker();
    for last in [0, 3] {
        if last > 0 {
            fill(&broker, PP, last).await;
        }
        let future = read(&broker, PP, last + 1, last + 2).await;
        assert!(
            matches!(future, Err(ReadError::Unavailable(_))),
            "{future:?}"
        );
        let mut beyond = broker.read(PP, 1, last + 1);
        for seq in 1..=last {
            assert_eq!(beyond.next().await.unwrap(), Some(numbered(seq)));
        }
        let beyond = beyond.next().await;
        assert!(
            matches!(beyond, Err(ReadError::Unavailable(_))),
            "{beyond:?}"
        );
    }
}

pub(crate) async fn a_read_of_a_long_log_has_no_holes(fixture: impl Fixture) {
    let broker = fixture.broker();
    // A few records that fill chunks, among many that do not.
    let record = |seq: u64| {
        let bytes = if seq.is_multiple_of(100) {
            300_000
        } else {
            100
        };
        Bytes::from(vec![u8::try_from(seq % 251).unwrap(); bytes])
    };
    for seq in 1..=1_500 {
        assert_eq!(
            broker.append(PP, seq - 1, record(seq)).await,
            Append::Written(seq)
        );
    }
    let records = read(&broker, PP, 1, 1_500).await.unwrap();
    assert_eq!(records.len(), 1_500);
    for (expected, (seq, found)) in (1..).zip(records) {
        assert_eq!(seq, expected);
        assert!(found == record(seq), "record {seq} is another");
    }
}

pub(crate) async fn a_read_of_what_was_trimmed_says_where_the_log_begins(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 10).await;
    broker.trim(PP, 4).await.unwrap();
    for from in 1..=4 {
        let trimmed = read(&broker, PP, from, 10).await;
        assert!(
            matches!(trimmed, Err(ReadError::Trimmed { first: 5 })),
            "{trimmed:?}"
        );
    }
    let left: Vec<_> = (5..=10).map(numbered).collect();
    assert_eq!(read(&broker, PP, 5, 10).await.unwrap(), left);
}

pub(crate) async fn a_log_trimmed_to_its_end_keeps_its_last(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 5).await;
    broker.trim(PP, 5).await.unwrap();
    assert_eq!(broker.last(PP).await.unwrap(), 5);
    let trimmed = read(&broker, PP, 1, 5).await;
    assert!(
        matches!(trimmed, Err(ReadError::Trimmed { first: 6 })),
        "{trimmed:?}"
    );
    let future = read(&broker, PP, 6, 6).await;
    assert!(
        matches!(future, Err(ReadError::Unavailable(_))),
        "{future:?}"
    );
    assert_eq!(
        broker.append(PP, 0, "x".into()).await,
        Append::Conflict { last: 5 }
    );
    assert_eq!(broker.append(PP, 5, "6".into()).await, Append::Written(6));
    assert_eq!(read(&broker, PP, 6, 6).await.unwrap(), [numbered(6)]);
}

pub(crate) async fn a_trim_beyond_the_last_is_refused_and_changes_nothing(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 3).await;
    for up_to in [4, 100] {
        let trimmed = broker.trim(PP, up_to).await;
        assert!(
            matches!(trimmed, Err(TrimError::BeyondLast { last: 3, .. })),
            "{trimmed:?}"
        );
    }
    assert_eq!(broker.last(PP).await.unwrap(), 3);
    assert_eq!(read(&broker, PP, 1, 3).await.unwrap().len(), 3);
    assert_eq!(broker.append(PP, 3, "4".into()).await, Append::Written(4));
}

pub(crate) async fn a_trim_can_be_repeated(fixture: impl Fixture) {
    let broker = fixture.broker();
    broker.trim(PP, 0).await.unwrap();
    fill(&broker, PP, 5).await;
    for up_to in [0, 3, 3, 2, 0] {
        broker.trim(PP, up_to).await.unwrap();
    }
    assert_eq!(broker.last(PP).await.unwrap(), 5);
    let left: Vec<_> = (4..=5).map(numbered).collect();
    assert_eq!(read(&broker, PP, 4, 5).await.unwrap(), left);
}

pub(crate) async fn a_trim_during_a_read_never_makes_it_skip(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 1_000).await;
    let mut reader = broker.read(PP, 1, 1_000);
    assert_eq!(reader.next().await.unwrap(), Some(numbered(1)));
    broker.trim(PP, 900).await.unwrap();
    // What was on its way may still come; after it, all of the rest or the word that it was trimmed.
    for seq in 2..=1_000 {
        match reader.next().await {
            Ok(record) => assert_eq!(record, Some(numbered(seq))),
            Err(ReadError::Trimmed { first }) => {
                assert_eq!(first, 901);
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(reader.next().await.unwrap(), None);
}

pub(crate) async fn the_largest_record_is_written_and_a_larger_one_is_refused(
    fixture: impl Fixture,
) {
    let broker = fixture.broker();
    let larger = broker.append(PP, 0, vec![1; MAX_RECORD + 1].into()).await;
    assert!(matches!(larger, Append::Refused { .. }), "{larger:?}");
    assert_eq!(broker.last(PP).await.unwrap(), 0);
    let largest = Bytes::from(vec![1; MAX_RECORD]);
    assert_eq!(
        broker.append(PP, 0, largest.clone()).await,
        Append::Written(1)
    );
    assert_eq!(broker.append(PP, 1, Bytes::new()).await, Append::Written(2));
    let records = read(&broker, PP, 1, 2).await.unwrap();
    assert!(records == [(1, largest), (2, Bytes::new())]);
}

pub(crate) async fn partitions_are_apart(fixture: impl Fixture) {
    let broker = fixture.broker();
    fill(&broker, PP, 3).await;
    assert_eq!(broker.last(OTHER).await.unwrap(), 0);
    fill(&broker, PartitionId::Meta, 1).await;
    broker.trim(PP, 3).await.unwrap();
    assert_eq!(
        read(&broker, PartitionId::Meta, 1, 1).await.unwrap(),
        [numbered(1)]
    );
}

pub(crate) async fn another_process_sees_an_append_at_once(fixture: impl Fixture) {
    let (broker, another) = (fixture.broker(), fixture.another().await);
    for seq in 1..=50 {
        assert_eq!(
            broker.append(PP, seq - 1, numbered(seq).1).await,
            Append::Written(seq)
        );
        assert_eq!(another.last(PP).await.unwrap(), seq);
        assert_eq!(read(&another, PP, seq, seq).await.unwrap(), [numbered(seq)]);
    }
}

pub(crate) async fn of_competing_appends_one_wins_each_sequence(fixture: impl Fixture) {
    let brokers = [fixture.broker(), fixture.another().await];
    let competing = brokers
        .clone()
        .into_iter()
        .zip(["a", "b"])
        .map(|(broker, name)| {
            tokio::spawn(async move {
                let mut written = Vec::new();
                while written.len() < 100 {
                    let last = broker.last(PP).await.unwrap();
                    match broker.append(PP, last, name.into()).await {
                        Append::Written(seq) => written.push((seq, Bytes::from(name))),
                        Append::Conflict { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                written
            })
        });
    let mut written = Vec::new();
    for competitor in competing.collect::<Vec<_>>() {
        written.extend(competitor.await.unwrap());
    }
    written.sort_unstable();
    assert_eq!(read(&brokers[0], PP, 1, 200).await.unwrap(), written);
}
