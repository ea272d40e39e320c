//! The streams below log and store: made once, verified ever after, and refusing when they are full.

use async_nats::jetstream::{self, stream};
use broker::{
    Append, Broker as _, Log as _, ProvisionError, Put, Revision, Scan as _, Store as _,
    testing::NatsServer,
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::soon;
use crate::fixture::{
    Fixture as _, OTHER, OnNats, PARTITIONS, PP, connect, fill, options, read, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_made_once_by_however_many() {
    let server = NatsServer::start().await;
    let brokers = [
        connect(&server.url(), "room-service").await,
        connect(&server.url(), "serve").await,
    ];
    let (a, b) = tokio::join!(
        brokers[0].provision(&PARTITIONS),
        brokers[1].provision(&PARTITIONS)
    );
    a.unwrap();
    b.unwrap();
    fill(&brokers[0], PP, 1).await;
    brokers[1].provision(&PARTITIONS).await.unwrap();
    assert_eq!(brokers[1].last(PP).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_a_promise_is_refused_by_setting() {
    let server = NatsServer::start().await;
    let broker = connect(&server.url(), "room-service").await;
    let client = async_nats::connect_with_options(server.url(), Default::default())
        .await
        .unwrap();
    let jetstream = jetstream::new(client);
    let age = std::time::Duration::from_secs(3600);
    let log = || stream::Config {
        name: "PARLOR_LOG_0".to_owned(),
        subjects: vec!["parlor.log.0".to_owned()],
        discard: stream::DiscardPolicy::New,
        ..Default::default()
    };
    for (setting, wrong) in [
        (
            "max_age",
            stream::Config {
                max_age: age,
                ..log()
            },
        ),
        (
            "max_msgs",
            stream::Config {
                max_messages: 100,
                ..log()
            },
        ),
        (
            "max_bytes",
            stream::Config {
                max_bytes: 1 << 20,
                ..log()
            },
        ),
        (
            "discard",
            stream::Config {
                discard: stream::DiscardPolicy::Old,
                ..log()
            },
        ),
        (
            "storage",
            stream::Config {
                storage: stream::StorageType::Memory,
                ..log()
            },
        ),
        (
            "subjects",
            stream::Config {
                subjects: vec!["parlor.log.*".to_owned()],
                ..log()
            },
        ),
    ] {
        jetstream.create_stream(wrong).await.unwrap();
        let refused = broker.provision(&[PP]).await;
        let Err(ProvisionError::Settings(words)) = refused else {
            panic!("{setting}: {refused:?}")
        };
        assert!(
            words.contains("PARLOR_LOG_0") && words.contains(setting),
            "{words}"
        );
        jetstream.delete_stream("PARLOR_LOG_0").await.unwrap();
    }
    broker.provision(&[PP]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_acks_too_early_or_denies_trimming_is_refused_by_setting() {
    let server = NatsServer::start().await;
    let broker = connect(&server.url(), "room-service").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let api = async |call: &str, config: &Value| {
        let subject = format!("$JS.API.STREAM.{call}.PARLOR_LOG_0");
        let answer = client.request(subject, config.to_string().into()).await;
        let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
        assert_eq!(answer["error"], Value::Null, "{call} {config}: {answer}");
    };
    let seconds = 1_000_000_000u64;
    for (setting, more) in [
        ("no_ack", json!({"no_ack": true})),
        ("persist_mode", json!({"persist_mode": "async"})),
        ("sealed", json!({"sealed": true})),
        ("deny_purge", json!({"deny_purge": true})),
        ("deny_delete", json!({"deny_delete": true})),
        ("allow_msg_ttl", json!({"allow_msg_ttl": true})),
        (
            "subject_delete_marker_ttl",
            json!({"subject_delete_marker_ttl": seconds, "allow_msg_ttl": true, "allow_rollup_hdrs": true}),
        ),
        ("first_seq", json!({"first_seq": 5})),
    ] {
        let mut config = json!({
            "name": "PARLOR_LOG_0", "subjects": ["parlor.log.0"], "retention": "limits",
            "storage": "file", "discard": "new", "num_replicas": 1,
        });
        let plain = config.clone();
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        if setting == "sealed" {
            // Only a stream that is there can be sealed.
            api("CREATE", &plain).await;
            api("UPDATE", &config).await;
        } else {
            api("CREATE", &config).await;
        }
        let refused = broker.provision(&[PP]).await;
        let Err(ProvisionError::Settings(words)) = refused else {
            panic!("{setting}: {refused:?}")
        };
        assert!(
            words.contains("PARLOR_LOG_0") && words.contains(setting),
            "{words}"
        );
        api("DELETE", &json!({})).await;
    }
    broker.provision(&[PP]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_one_server_cannot_give_are_refused() {
    let server = NatsServer::start().await;
    let mut options = options(&server.url(), "room-service");
    options.replicas = 3;
    let broker = broker::nats::Nats::connect(options).await.unwrap();
    broker.verify().await.unwrap();
    let refused = broker.provision(&[PP]).await;
    let Err(ProvisionError::Settings(words)) = refused else {
        panic!("{refused:?}")
    };
    assert!(words.contains("--nats-replicas"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_no_conflict_and_is_not_made_by_an_append() {
    let server = NatsServer::start().await;
    let broker = connect(&server.url(), "room-service").await;
    assert_eq!(
        soon(broker.append(PP, 0, "1".into())).await,
        Append::Unclear
    );
    assert!(soon(broker.last(PP)).await.is_err());
    assert_eq!(
        soon(broker.put(PP, "k", "x".into(), Revision::NONE)).await,
        Put::Unclear
    );
    assert!(soon(broker.get(PP, "k")).await.is_err());
    broker.provision(&[PP]).await.unwrap();
    assert_eq!(broker.last(PP).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_until_there_is_space_again() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "jetstream { max_file_store: 4MB }").unwrap();
    let server = NatsServer::start_with(config.path(), &[]).await;
    let broker = connect(&server.url(), "room-service").await;
    broker.provision(&[PP, OTHER]).await.unwrap();
    let record = Bytes::from(vec![7; 256 * 1024]);
    let mut last = 0;
    let why = loop {
        match broker.append(PP, last, record.clone()).await {
            Append::Written(seq) => last = seq,
            Append::Refused { why } => break why,
            other => panic!("{other:?} after {last}"),
        }
        assert!(last < 100, "a store of 4 MB took {last} records");
    };
    assert!(
        why.contains("insufficient") || why.contains("maximum"),
        "{why}"
    );
    let stored = broker.put(PP, "k", record.clone(), Revision::NONE).await;
    assert!(matches!(stored, Put::Refused { .. }), "{stored:?}");
    assert_eq!(broker.last(PP).await.unwrap(), last);
    assert_eq!(read(&broker, PP, 1, last).await.unwrap().len() as u64, last);
    broker.trim(PP, last).await.unwrap();
    assert_eq!(
        broker.append(PP, last, record).await,
        Append::Written(last + 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_that_a_kill_interrupts_loses_nothing_and_is_begun_again() {
    let mut nats = OnNats::start().await;
    let broker = nats.broker();
    let value = |number: usize| Bytes::from(vec![u8::try_from(number).unwrap(); 60_000]);
    for number in 0..200 {
        let key = format!("page.hall.{number}");
        let stored = broker.put(PP, &key, value(number), Revision::NONE).await;
        assert!(matches!(stored, Put::Written(_)), "{stored:?}");
    }
    for _ in 0..3 {
        let scrubbing = tokio::spawn({
            let broker = broker.clone();
            async move { broker.scrub(PP).await }
        });
        // The filler is there, and the values are being put again.
        until(|| async { broker.get(PP, "scrub").await.ok().flatten().map(drop) }).await;
        nats.server.kill().await;
        // It may have been done a moment before.
        let _ = scrubbing.await.unwrap();
        nats.server.restart().await;
        until(|| async { broker.last(PP).await.ok() }).await;
        let found = broker.scan(PP, "").all().await.unwrap();
        assert_eq!(found.len(), 200);
        for (key, found) in found {
            let number = key.rsplit('.').next().unwrap().parse().unwrap();
            assert!(found.bytes == value(number), "{key} is another value");
        }
    }
    broker.scrub(PP).await.unwrap();
    assert_eq!(broker.get(PP, "scrub").await.unwrap(), None);
}
