//! What only NATS can show: servers that are away, frozen, full, too old, or that deny.

mod connecting;
mod permissions;
mod reading;
mod streams;

use std::time::Duration;

use broker::{
    Append, Broker as _, Bus as _, Delivery, Log as _, PublishError, Put, ReadError, RequestError,
    Revision, Scan as _, Store as _, SubscribeError, Subscription, nats::Nats, testing::NatsServer,
};
use bytes::Bytes;

use crate::fixture::{
    Fixture as _, OnNats, PARTITIONS, PP, connected, fill, in_time, message, numbered, options,
    put, read, until,
};

/// Longer than a request may take, shorter than a stuck one would.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_everything_says_so_and_nothing_waits() {
    let mut server = NatsServer::start().await;
    server.kill().await;
    let connecting = Nats::connect(options(&server.url(), "room-service"));
    let broker = tokio::time::timeout(SOON, connecting)
        .await
        .unwrap()
        .unwrap();
    assert!(!broker.is_connected());
    assert_all_unavailable(&broker).await;
    let broker = &broker;
    let (verified, ()) = tokio::join!(broker.verify(), server.restart());
    verified.unwrap();
    assert!(broker.is_connected());
    broker.provision(&PARTITIONS).await.unwrap();
    fill(broker, PP, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_a_loss_that_shows() {
    in_time(async {
        let mut nats = OnNats::start().await;
        let (broker, another) = (nats.broker(), nats.another().await);
        let mut heard = broker.subscribe("parlor.out.0.hall").await.unwrap();
        nats.server.kill().await;
        assert_lost(&mut heard).await;
        until(|| async { (!broker.is_connected() && !another.is_connected()).then_some(()) }).await;
        // Each of its connections notices by itself.
        until(|| async {
            let asked = broker.request("parlor.who.0", Bytes::new(), None, SOON / 50);
            let published = broker.publish("parlor.own", Bytes::new(), None);
            let asked = matches!(asked.await, Err(RequestError::Unavailable(_)));
            (asked && published.await.is_err()).then_some(())
        })
        .await;
        assert_all_unavailable(&broker).await;
        nats.server.restart().await;
        assert_heard_after_loss(&mut heard, &broker, &another).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_leaves_writes_unclear_and_is_noticed() {
    in_time(async {
        let nats = OnNats::start().await;
        let (broker, another) = (nats.broker(), nats.another().await);
        fill(&broker, PP, 3).await;
        let revision = put(&broker, PP, "k", "one", Revision::NONE).await;
        let mut heard = broker.subscribe("parlor.out.0.hall").await.unwrap();
        nats.server.pause();
        let (appended, stored, got, last, asked) = tokio::join!(
            soon(broker.append(PP, 3, "4".into())),
            soon(broker.put(PP, "k", "two".into(), revision)),
            soon(broker.get(PP, "k")),
            soon(broker.last(PP)),
            soon(broker.request("parlor.in.0.1.hall", Bytes::new(), None, SOON / 10)),
        );
        assert_eq!(appended, Append::Unclear);
        assert_eq!(stored, Put::Unclear);
        assert!(got.is_err() && last.is_err());
        assert!(matches!(asked, Err(RequestError::Timeout)), "{asked:?}");
        let subscribed = soon(broker.subscribe("parlor.own")).await.map(drop);
        assert!(
            matches!(subscribed, Err(SubscribeError::Unavailable(_))),
            "{subscribed:?}"
        );
        let unread = soon(read(&broker, PP, 1, 3)).await;
        assert!(
            matches!(unread, Err(ReadError::Unavailable(_))),
            "{unread:?}"
        );
        // Nobody speaks, and still it is noticed.
        assert_lost(&mut heard).await;
        nats.server.resume();
        assert_heard_after_loss(&mut heard, &broker, &another).await;
        // What was unclear has landed or has not; either way it is known by expectation.
        match broker.append(PP, 3, "four".into()).await {
            Append::Written(4) => {
                assert_eq!(read(&broker, PP, 4, 4).await.unwrap(), [(4, "four".into())]);
            }
            Append::Conflict { last: 4 } => {
                assert_eq!(read(&broker, PP, 1, 4).await.unwrap()[3], numbered(4));
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_appends_keeps_what_it_acknowledged() {
    in_time(async {
        let mut nats = OnNats::start().await;
        let broker = nats.broker();
        let appending = tokio::spawn({
            let broker = broker.clone();
            async move {
                let mut last = 0;
                loop {
                    match broker.append(PP, last, numbered(last + 1).1).await {
                        Append::Written(seq) => last = seq,
                        Append::Unclear => return last,
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
        until(|| async { (broker.last(PP).await.ok()? > 200).then_some(()) }).await;
        nats.server.kill().await;
        let acknowledged = appending.await.unwrap();
        nats.server.restart().await;
        let last = until(|| async { broker.last(PP).await.ok() }).await;
        assert!(
            last == acknowledged || last == acknowledged + 1,
            "{acknowledged}, then {last}"
        );
        let records: Vec<_> = (1..=last).map(numbered).collect();
        assert_eq!(read(&broker, PP, 1, last).await.unwrap(), records);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_confirmed_although_somebody_listens_to_everything() {
    let nats = OnNats::start().await;
    let broker = nats.broker();
    let operator = nats.another().await;
    let mut everything = operator.subscribe(">").await.unwrap();
    let listening = tokio::spawn(async move { while everything.next().await.is_some() {} });
    let mut heard = soon(broker.subscribe("parlor.out.0.hall")).await.unwrap();
    operator
        .publish("parlor.out.0.hall", "hi".into(), None)
        .await
        .unwrap();
    assert_eq!(message(&mut heard).await.payload, "hi");
    listening.abort();
}

/// What happens while nobody is there, at once or after the time that a request may take.
async fn assert_all_unavailable(broker: &Nats) {
    let published = soon(broker.publish("parlor.own", Bytes::new(), None)).await;
    assert!(
        matches!(published, Err(PublishError::Unavailable(_))),
        "{published:?}"
    );
    let asked = soon(broker.request("parlor.who.0", Bytes::new(), None, SOON)).await;
    assert!(
        matches!(asked, Err(RequestError::Unavailable(_))),
        "{asked:?}"
    );
    let subscribed = soon(broker.subscribe("parlor.own")).await.map(drop);
    assert!(
        matches!(subscribed, Err(SubscribeError::Unavailable(_))),
        "{subscribed:?}"
    );
    assert_eq!(
        soon(broker.append(PP, 0, "1".into())).await,
        Append::Unclear
    );
    assert_eq!(
        soon(broker.put(PP, "k", "x".into(), Revision::NONE)).await,
        Put::Unclear
    );
    assert!(soon(broker.last(PP)).await.is_err());
    assert!(soon(broker.get(PP, "k")).await.is_err());
    assert!(soon(broker.scan(PP, "").all()).await.is_err());
    assert!(soon(broker.trim(PP, 1)).await.is_err());
    assert!(soon(broker.provision(&PARTITIONS)).await.is_err());
    let unread = soon(read(broker, PP, 1, 1)).await;
    assert!(
        matches!(unread, Err(ReadError::Unavailable(_))),
        "{unread:?}"
    );
}

async fn assert_lost(heard: &mut impl Subscription) {
    let next = heard.next().await;
    assert!(matches!(next, Some(Delivery::Lost)), "{next:?}");
}

/// After the connection is back, the loss is told again, and from then on every message is heard.
async fn assert_heard_after_loss(heard: &mut impl Subscription, broker: &Nats, another: &Nats) {
    connected(broker).await;
    connected(another).await;
    assert_lost(heard).await;
    for number in 0..100 {
        another
            .publish("parlor.out.0.hall", number.to_string().into(), None)
            .await
            .unwrap();
        assert_eq!(message(heard).await.payload, number.to_string());
    }
}

async fn soon<T>(happening: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, happening)
        .await
        .expect("it takes too long")
}
