//! Long logs are read in batches from whoever has them, and from the leader where that does not help.

use broker::{Broker as _, Log as _, ReadError};
use serde_json::{Value, json};

use crate::fixture::{Fixture as _, OnNats, PARTITIONS, PP, fill, read};

/// More than two batches.
const LONG: u64 = 2_500;

/// Asks the JetStream API about the log.
async fn api(nats: &OnNats, what: &str, ask: Value) -> Value {
    let client = async_nats::connect(nats.server.url()).await.unwrap();
    let subject = format!("$JS.API.STREAM.{what}.PARLOR_LOG_0");
    let answer = client.request(subject, ask.to_string().into()).await;
    let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_read_whole_also_where_direct_gets_are_off() {
    let nats = OnNats::start().await;
    let broker = nats.broker();
    fill(&broker, PP, LONG).await;
    let seqs: Vec<_> = (2..=LONG).collect();
    for allow_direct in [true, false] {
        let mut config = api(&nats, "INFO", json!({})).await["config"].clone();
        config["allow_direct"] = allow_direct.into();
        api(&nats, "UPDATE", config).await;
        let found = read(&broker, PP, 2, LONG).await.unwrap();
        assert!(found.iter().map(|(seq, _)| *seq).eq(seqs.iter().copied()));
        // A stream made by an earlier version does as well.
        broker.provision(&PARTITIONS).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_somebody_deleted_is_never_passed_over() {
    let nats = OnNats::start().await;
    let broker = nats.broker();
    fill(&broker, PP, LONG).await;
    // In the middle of a batch, and the first of one.
    for hole in [1_500, 1_001] {
        api(&nats, "MSG.DELETE", json!({"seq": hole})).await;
        let mut reader = broker.read(PP, 1, LONG);
        for seq in 1..hole {
            assert_eq!(next(&mut reader).await.unwrap(), seq);
        }
        let missing = next(&mut reader).await;
        assert!(
            matches!(missing, Err(ReadError::Unavailable(_))),
            "{missing:?}"
        );
    }
    // What is before the first one is trimmed, wherever the reading begins.
    broker.trim(PP, 2_000).await.unwrap();
    let trimmed = next(&mut broker.read(PP, 1_990, LONG)).await;
    assert!(
        matches!(trimmed, Err(ReadError::Trimmed { first: 2_001 })),
        "{trimmed:?}"
    );
}

async fn next(reader: &mut impl broker::Reader) -> Result<u64, ReadError> {
    let found = reader.next().await?;
    Ok(found.expect("more was asked for").0)
}
