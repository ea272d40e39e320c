//! What a crash leaves: everything that was acknowledged.

use broker::{Append, Log as _, Put, ReadError, Revision, Store as _};

use crate::fixture::{Fixture, PP, fill, numbered, put, read};

pub(crate) async fn what_was_acknowledged_is_there_after_a_crash(mut fixture: impl Fixture) {
    fill(&fixture.broker(), PP, 100).await;
    fixture.broker().trim(PP, 10).await.unwrap();
    let revision = put(&fixture.broker(), PP, "room.hall", "hi", Revision::NONE).await;
    fixture.crash().await;
    let broker = fixture.broker();
    let left: Vec<_> = (11..=100).map(numbered).collect();
    assert_eq!(read(&broker, PP, 11, 100).await.unwrap(), left);
    let trimmed = read(&broker, PP, 10, 100).await;
    assert!(
        matches!(trimmed, Err(ReadError::Trimmed { first: 11 })),
        "{trimmed:?}"
    );
    assert_eq!(
        broker.append(PP, 100, "101".into()).await,
        Append::Written(101)
    );
    let stored = broker.get(PP, "room.hall").await.unwrap().unwrap();
    assert_eq!(stored.revision, revision);
    put(&broker, PP, "room.hall", "again", revision).await;
}

pub(crate) async fn a_log_trimmed_to_its_end_keeps_its_last_through_a_crash(
    mut fixture: impl Fixture,
) {
    fill(&fixture.broker(), PP, 7).await;
    fixture.broker().trim(PP, 7).await.unwrap();
    fixture.crash().await;
    let broker = fixture.broker();
    assert_eq!(broker.last(PP).await.unwrap(), 7);
    let trimmed = read(&broker, PP, 1, 7).await;
    assert!(
        matches!(trimmed, Err(ReadError::Trimmed { first: 8 })),
        "{trimmed:?}"
    );
    assert_eq!(broker.append(PP, 7, "8".into()).await, Append::Written(8));
}

pub(crate) async fn a_revision_is_not_given_out_again_after_a_crash(mut fixture: impl Fixture) {
    let before = put(&fixture.broker(), PP, "k", "one", Revision::NONE).await;
    fixture.broker().purge(PP, "k").await.unwrap();
    fixture.crash().await;
    let broker = fixture.broker();
    let after = put(&broker, PP, "k", "two", Revision::NONE).await;
    assert_ne!(before, after);
    let stale = broker.put(PP, "k", "x".into(), before).await;
    assert_eq!(stale, Put::Conflict { revision: after });
}
