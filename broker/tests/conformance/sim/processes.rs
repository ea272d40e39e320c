//! Processes that crash, stall, or lose their connection, at any await.

use std::time::Duration;

use broker::{
    Append, Bus as _, Delivery, Log as _, PublishError, RequestError, Subscription as _,
    sim::{Faults, Mishap, Sim},
};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::fixture::{PP, fill, message, numbered};

const SUBJECT: &str = "parlor.in.0.1.hall";
const LONG: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_crashed_process_never_goes_on_and_nobody_hears_it() {
    let sim = Sim::new(1, Faults::none());
    let broker = sim.broker("a");
    let mut heard = broker.subscribe(SUBJECT).await.unwrap();
    let listening = tokio::spawn(async move { heard.next().await });
    let asking = tokio::spawn({
        let broker = broker.clone();
        async move { broker.last(PP).await }
    });
    sim.crash("a");
    assert!(!sim.is_alive("a") && !broker.is_connected());
    sim.crashed("a").await;
    let other = sim.broker("b");
    let asked = other.request(SUBJECT, Bytes::new(), None, LONG).await;
    assert!(matches!(asked, Err(RequestError::NoResponder)), "{asked:?}");
    assert!(timeout(LONG, broker.last(PP)).await.is_err());
    assert!(
        timeout(LONG, async { tokio::join!(listening, asking) })
            .await
            .is_err()
    );
    // The next life of the same name has nothing of it.
    fill(&sim.broker("a"), PP, 1).await;
    assert!(timeout(LONG, broker.last(PP)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_process_can_crash_at_any_await() {
    for awaits in 0..6 {
        let sim = Sim::new(awaits, Faults::none());
        let broker = sim.broker("a");
        sim.befall_after("a", awaits, Mishap::Crash);
        let filling = tokio::spawn(async move { fill(&broker, PP, 100).await });
        sim.crashed("a").await;
        tokio::time::sleep(LONG).await;
        assert!(!filling.is_finished());
        filling.abort();
        // Two awaits an append: before it leaves, and after its answer.
        let written = sim.log(PP).len() as u64;
        assert!(written.abs_diff(awaits / 2) <= 1, "{written} {awaits}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_process_goes_on_where_it_was_and_meets_the_fence() {
    let sim = Sim::new(1, Faults::none());
    let (zombie, other) = (sim.broker("zombie"), sim.broker("other"));
    let mut heard = zombie.subscribe(SUBJECT).await.unwrap();
    fill(&zombie, PP, 1).await;
    let before = Instant::now();
    sim.stall("zombie", LONG);
    let appending = tokio::spawn(async move { zombie.append(PP, 1, "zombie".into()).await });
    let asked = other.request(SUBJECT, Bytes::new(), None, LONG / 10).await;
    assert!(matches!(asked, Err(RequestError::Timeout)), "{asked:?}");
    let taken = other.append(PP, 1, numbered(2).1).await;
    assert_eq!(taken, Append::Written(2));
    assert_eq!(appending.await.unwrap(), Append::Conflict { last: 2 });
    assert!(before.elapsed() >= LONG);
    assert_eq!(message(&mut heard).await.subject, SUBJECT);
}

#[tokio::test(start_paused = true)]
async fn healing_wakes_who_is_stalled() {
    let sim = Sim::new(1, Faults::rough());
    let broker = sim.broker("a");
    sim.stall("a", LONG * 1_000);
    let before = Instant::now();
    let filling = tokio::spawn(async move { fill(&broker, PP, 10).await });
    tokio::time::sleep(LONG).await;
    sim.heal();
    filling.await.unwrap();
    assert!(before.elapsed() < LONG * 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_shows_at_both_ends() {
    let sim = Sim::new(1, Faults::none());
    let (away, here) = (sim.broker("away"), sim.broker("here"));
    let mut heard = away.subscribe(SUBJECT).await.unwrap();
    sim.disconnect("away", LONG);
    assert!(!away.is_connected() && here.is_connected());
    assert!(matches!(heard.next().await, Some(Delivery::Lost)));
    let published = away.publish(SUBJECT, Bytes::new(), None).await;
    assert!(
        matches!(published, Err(PublishError::Unavailable(_))),
        "{published:?}"
    );
    assert_eq!(away.append(PP, 0, numbered(1).1).await, Append::Unclear);
    assert!(away.last(PP).await.is_err());
    let asked = here.request(SUBJECT, Bytes::new(), None, LONG).await;
    assert!(matches!(asked, Err(RequestError::NoResponder)), "{asked:?}");
    assert!(matches!(heard.next().await, Some(Delivery::Lost)));
    assert!(away.is_connected());
    here.publish(SUBJECT, "back".into(), None).await.unwrap();
    assert_eq!(message(&mut heard).await.payload, "back");
    fill(&away, PP, 1).await;
}
