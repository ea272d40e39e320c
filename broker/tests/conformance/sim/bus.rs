//! Messages that are dropped, lost, doubled, late; requests that time out either way.

use std::time::Duration;

use broker::{
    Bus as _, Delivery, RequestError, Subscription as _,
    sim::{BusFaults, Faults, Sim, SimBroker, SimSubscription},
};
use bytes::Bytes;
use tokio::time::timeout;

use super::with_bus;
use crate::fixture::message;

const SUBJECT: &str = "parlor.out.0.hall";
/// Longer than any message is under way.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_dropped_message_is_silence() {
    let sim = with_bus(BusFaults {
        dropped: 1.0,
        ..BusFaults::default()
    });
    let mut heard = sim.broker("a").subscribe(SUBJECT).await.unwrap();
    publish(&sim.broker("b"), 0..3).await;
    assert!(timeout(LONG, heard.next()).await.is_err());
    sim.heal();
    publish(&sim.broker("b"), 3..4).await;
    assert_eq!(numbers(&mut heard).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_is_said_to_be_where_it_would_have_been() {
    let sim = with_bus(BusFaults::default());
    let mut heard = sim.broker("a").subscribe(SUBJECT).await.unwrap();
    publish(&sim.broker("b"), 0..1).await;
    assert_eq!(message(&mut heard).await.payload, "0");
    sim.set_faults(Faults {
        bus: BusFaults {
            lost: 1.0,
            ..BusFaults::default()
        },
        ..Faults::none()
    });
    publish(&sim.broker("b"), 1..2).await;
    assert!(matches!(heard.next().await, Some(Delivery::Lost)));
    sim.heal();
    publish(&sim.broker("b"), 2..3).await;
    assert_eq!(message(&mut heard).await.payload, "2");
}

#[tokio::test(start_paused = true)]
async fn a_doubled_message_comes_twice() {
    let sim = with_bus(BusFaults {
        doubled: 1.0,
        ..BusFaults::default()
    });
    let mut heard = sim.broker("a").subscribe(SUBJECT).await.unwrap();
    publish(&sim.broker("b"), 0..2).await;
    let mut numbers = numbers(&mut heard).await;
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_late_message_is_overtaken_and_none_is_without_a_fault() {
    let sim = with_bus(BusFaults {
        delayed: 0.5,
        delay_max: Duration::from_secs(1),
        ..BusFaults::default()
    });
    let mut heard = sim.broker("a").subscribe(SUBJECT).await.unwrap();
    publish(&sim.broker("b"), 0..50).await;
    let mut late = numbers(&mut heard).await;
    assert!(!late.is_sorted(), "{late:?}");
    late.sort_unstable();
    assert_eq!(late, (0..50).collect::<Vec<_>>());
    sim.heal();
    publish(&sim.broker("b"), 0..50).await;
    assert_eq!(numbers(&mut heard).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn faults_can_be_for_some_subjects_only() {
    let dropped = BusFaults {
        dropped: 1.0,
        ..BusFaults::default()
    };
    let faults = Faults {
        bus_on: vec![("parlor.out.>".to_owned(), dropped)],
        ..Faults::none()
    };
    let sim = Sim::new(1, faults);
    let broker = sim.broker("a");
    let mut heard = broker.subscribe("parlor.>").await.unwrap();
    publish(&broker, 0..3).await;
    broker
        .publish("parlor.own", "9".into(), None)
        .await
        .unwrap();
    assert_eq!(numbers(&mut heard).await, [9]);
}

#[tokio::test(start_paused = true)]
async fn a_request_times_out_whether_it_or_its_reply_was_dropped() {
    for (dropped_on, expected) in [(SUBJECT, false), ("_inbox.>", true)] {
        let dropped = BusFaults {
            dropped: 1.0,
            ..BusFaults::default()
        };
        let faults = Faults {
            bus_on: vec![(dropped_on.to_owned(), dropped)],
            ..Faults::none()
        };
        let sim = Sim::new(1, faults);
        let owner = sim.broker("owner");
        let mut requests = owner.subscribe(SUBJECT).await.unwrap();
        let asked = tokio::spawn({
            let gateway = sim.broker("gateway");
            async move { gateway.request(SUBJECT, Bytes::new(), None, LONG).await }
        });
        let request = timeout(LONG / 2, requests.next()).await;
        assert_eq!(request.is_ok(), expected, "{dropped_on}");
        if let Ok(Some(Delivery::Message(request))) = request {
            let reply = request.reply.unwrap();
            owner.publish(&reply, "!".into(), None).await.unwrap();
        }
        let asked = asked.await.unwrap();
        assert!(matches!(asked, Err(RequestError::Timeout)), "{asked:?}");
    }
}

async fn publish(broker: &SimBroker, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let payload = number.to_string().into();
        broker.publish(SUBJECT, payload, None).await.unwrap();
    }
}

/// All that comes, until nothing does for long.
async fn numbers(heard: &mut SimSubscription) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Ok(next) = timeout(LONG, heard.next()).await {
        let Some(Delivery::Message(message)) = next else {
            panic!("{next:?}")
        };
        let number = std::str::from_utf8(&message.payload).unwrap();
        numbers.push(number.parse().unwrap());
    }
    numbers
}
