//! The bus: order, patterns, requests, and loss that is visible.

use std::time::Duration;

use broker::{
    Bus, Delivery, MAX_BUS_PAYLOAD, PublishError, RequestError, SubscribeError, Subscription as _,
};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::fixture::{Fixture, message, until};

/// Long enough never to be what ends a test.
const PATIENT: Duration = Duration::from_secs(60);

pub(crate) async fn messages_of_a_publisher_arrive_in_order(fixture: impl Fixture) {
    let broker = fixture.broker();
    let mut heard = broker.subscribe("parlor.out.0.hall").await.unwrap();
    for number in 0..2_000_u32 {
        let payload = number.to_string().into();
        broker
            .publish("parlor.out.0.hall", payload, None)
            .await
            .unwrap();
    }
    for number in 0..2_000_u32 {
        assert_eq!(message(&mut heard).await.payload, number.to_string());
    }
}

pub(crate) async fn a_star_is_one_token_and_an_open_end_the_rest(fixture: impl Fixture) {
    let broker = fixture.broker();
    let published = ["t.a", "t.a.b", "t.a.b.c", "t.a.x.c", "t.b.b"];
    for (pattern, expected) in [
        ("t.a", &["t.a"][..]),
        ("t.*", &["t.a"]),
        ("t.a.*", &["t.a.b"]),
        ("t.*.b", &["t.a.b", "t.b.b"]),
        ("t.a.*.c", &["t.a.b.c", "t.a.x.c"]),
        ("t.a.>", &["t.a.b", "t.a.b.c", "t.a.x.c"]),
        ("t.>", &published),
        ("*.a.>", &["t.a.b", "t.a.b.c", "t.a.x.c"]),
    ] {
        let mut heard = broker.subscribe(pattern).await.unwrap();
        for subject in published {
            broker.publish(subject, Bytes::new(), None).await.unwrap();
        }
        // The mark of the end goes where the pattern reaches.
        let end = pattern.replace(['*', '>'], "end");
        broker.publish(&end, "end".into(), None).await.unwrap();
        let mut subjects = Vec::new();
        loop {
            let message = message(&mut heard).await;
            if message.payload == "end" {
                break;
            }
            subjects.push(message.subject);
        }
        assert_eq!(subjects, expected, "{pattern}");
    }
}

pub(crate) async fn a_subscription_hears_what_is_published_once_it_is_returned(
    fixture: impl Fixture,
) {
    let (broker, another) = (fixture.broker(), fixture.another().await);
    for number in 0..100 {
        let subject = format!("parlor.out.0.r{number}");
        let mut heard = broker.subscribe(&subject).await.unwrap();
        another.publish(&subject, "hi".into(), None).await.unwrap();
        assert_eq!(message(&mut heard).await.subject, subject);
    }
}

pub(crate) async fn every_subscription_gets_its_own_copy(fixture: impl Fixture) {
    let broker = fixture.broker();
    let mut heard = [
        broker.subscribe("parlor.own").await.unwrap(),
        broker.subscribe("parlor.own").await.unwrap(),
        broker.subscribe("*.own").await.unwrap(),
    ];
    broker
        .publish("parlor.own", "me".into(), None)
        .await
        .unwrap();
    for subscription in &mut heard {
        assert_eq!(message(subscription).await.payload, "me");
    }
}

pub(crate) async fn a_dropped_subscription_listens_no_more(fixture: impl Fixture) {
    let broker = fixture.broker();
    for pattern in ["parlor.who.0", "parlor.who.*", "parlor.>"] {
        drop(broker.subscribe(pattern).await.unwrap());
        until(|| async {
            let asked = broker
                .request("parlor.who.0", Bytes::new(), None, PATIENT / 100)
                .await;
            matches!(asked, Err(RequestError::NoResponder)).then_some(())
        })
        .await;
    }
}

pub(crate) async fn a_request_is_answered_to_who_asked(fixture: impl Fixture) {
    let (broker, another) = (fixture.broker(), fixture.another().await);
    let mut requests = another.subscribe("parlor.in.0.1.*").await.unwrap();
    let answering = tokio::spawn(async move {
        while let Some(Delivery::Message(request)) = requests.next().await {
            let reply = request.reply.unwrap();
            another
                .publish(&reply, request.subject.into(), None)
                .await
                .unwrap();
        }
    });
    let asked = join_all((0..200).map(|number| {
        let broker = broker.clone();
        async move {
            let subject = format!("parlor.in.0.1.r{number}");
            let reply = broker
                .request(&subject, "?".into(), None, PATIENT)
                .await
                .unwrap();
            assert_eq!(reply, subject);
        }
    }));
    asked.await;
    answering.abort();
}

pub(crate) async fn a_request_that_nobody_listens_to_fails_at_once(fixture: impl Fixture) {
    let broker = fixture.broker();
    let asked = broker.request("parlor.in.0.1.hall", "?".into(), None, PATIENT);
    // At once: long before the request's own deadline.
    let asked = tokio::time::timeout(PATIENT / 10, asked).await.unwrap();
    assert!(matches!(asked, Err(RequestError::NoResponder)), "{asked:?}");
}

pub(crate) async fn a_request_that_nobody_answers_times_out(fixture: impl Fixture) {
    let broker = fixture.broker();
    let mut silent = broker.subscribe("parlor.in.0.1.hall").await.unwrap();
    let deadline = Duration::from_millis(100);
    let asked = broker
        .request("parlor.in.0.1.hall", "?".into(), None, deadline)
        .await;
    assert!(matches!(asked, Err(RequestError::Timeout)), "{asked:?}");
    assert_eq!(message(&mut silent).await.payload, "?");
}

pub(crate) async fn the_trace_context_travels_with_the_message(fixture: impl Fixture) {
    let broker = fixture.broker();
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut heard = broker.subscribe("parlor.out.0.hall").await.unwrap();
    broker
        .publish("parlor.out.0.hall", "a".into(), Some(context))
        .await
        .unwrap();
    broker
        .publish("parlor.out.0.hall", "b".into(), None)
        .await
        .unwrap();
    assert_eq!(
        message(&mut heard).await.traceparent.as_deref(),
        Some(context)
    );
    assert_eq!(message(&mut heard).await.traceparent, None);
    // Nobody answers; that it was asked with its context is what counts.
    let deadline = Duration::from_millis(1);
    let _ = broker
        .request("parlor.out.0.hall", "c".into(), Some(context), deadline)
        .await;
    assert_eq!(
        message(&mut heard).await.traceparent.as_deref(),
        Some(context)
    );
}

pub(crate) async fn the_largest_payload_arrives_and_a_larger_one_is_refused(fixture: impl Fixture) {
    let broker = fixture.broker();
    let mut heard = broker.subscribe("parlor.out.0.hall").await.unwrap();
    let largest = Bytes::from(vec![7; MAX_BUS_PAYLOAD]);
    let larger = Bytes::from(vec![7; MAX_BUS_PAYLOAD + 1]);
    let published = broker
        .publish("parlor.out.0.hall", larger.clone(), None)
        .await;
    assert!(
        matches!(published, Err(PublishError::TooLarge(_))),
        "{published:?}"
    );
    let asked = broker
        .request("parlor.out.0.hall", larger, None, PATIENT)
        .await;
    assert!(matches!(asked, Err(RequestError::TooLarge(_))), "{asked:?}");
    broker
        .publish("parlor.out.0.hall", largest.clone(), None)
        .await
        .unwrap();
    assert_eq!(message(&mut heard).await.payload, largest);
}

pub(crate) async fn what_is_no_pattern_is_refused(fixture: impl Fixture) {
    let broker = fixture.broker();
    for wrong in [
        "", ".", "a.", ".a", "a..b", ">.a", "a.>.b", "a b", "a\n", "a.\t",
    ] {
        let subscribed = broker.subscribe(wrong).await.map(drop);
        assert!(
            matches!(subscribed, Err(SubscribeError::Pattern(_))),
            "{wrong:?}: {subscribed:?}"
        );
    }
}

pub(crate) async fn a_queue_that_runs_over_says_so_and_goes_on(fixture: impl Fixture) {
    let broker = fixture.broker();
    let mut heard = broker.subscribe("parlor.out.0.hall").await.unwrap();
    let mut after = broker.subscribe("parlor.out.0.porch").await.unwrap();
    for number in 0..80_000_u32 {
        let payload = number.to_string().into();
        broker
            .publish("parlor.out.0.hall", payload, None)
            .await
            .unwrap();
    }
    // Whoever hears this knows that all before it was queued, or was not.
    broker
        .publish("parlor.out.0.porch", "now".into(), None)
        .await
        .unwrap();
    while !matches!(after.next().await, Some(Delivery::Message(_))) {}
    let (mut lost, mut last) = (false, None);
    while !lost || last < Some(80_000) {
        let next = tokio::time::timeout(Duration::from_millis(100), heard.next()).await;
        match next.map(Option::unwrap) {
            Ok(Delivery::Lost) => lost = true,
            Ok(Delivery::Message(message)) => {
                let number = std::str::from_utf8(&message.payload)
                    .unwrap()
                    .parse()
                    .unwrap();
                assert!(last <= Some(number), "{number} after {last:?}");
                last = Some(number);
            }
            // It was read to its end: it goes on, and the loss was told.
            Err(_) => {
                assert!(
                    lost,
                    "messages up to {last:?} came, and no word of the others"
                );
                broker
                    .publish("parlor.out.0.hall", "80000".into(), None)
                    .await
                    .unwrap();
            }
        }
    }
}
