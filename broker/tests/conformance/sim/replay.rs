//! The same seed gives the same run.

use std::time::Duration;

use broker::{
    Append, Bus as _, Log as _, Put, Revision, Store as _, Subscription as _,
    sim::{Faults, Mishap, Sim, SimBroker},
};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::fixture::PP;

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let runs = [run(7).await, run(7).await, run(8).await];
    assert!(runs[0].len() > 1_000, "{} lines", runs[0].len());
    let differs = (0..).zip(runs[0].iter().zip(&runs[1]));
    for (line, (first, second)) in differs {
        assert_eq!(first, second, "line {line}");
    }
    assert_eq!(runs[0].len(), runs[1].len());
    assert_ne!(runs[0], runs[2]);
}

/// Three processes that write and talk over each other while everything goes wrong.
async fn run(seed: u64) -> Vec<String> {
    let sim = Sim::new(seed, Faults::rough());
    let mut tasks = JoinSet::new();
    for name in ["a", "b", "c"] {
        tasks.spawn(write(sim.broker(name)));
        tasks.spawn(talk(sim.broker(name)));
        tasks.spawn(listen(sim.broker(name)));
    }
    sim.befall_after("a", 200, Mishap::Crash);
    sim.befall_after("b", 100, Mishap::Stall(Duration::from_secs(1)));
    sim.befall_after("c", 300, Mishap::Disconnect(Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_secs(20)).await;
    tasks.shutdown().await;
    sim.trace()
}

async fn write(broker: SimBroker) {
    let mut revision = Revision::NONE;
    loop {
        let Ok(last) = broker.last(PP).await else {
            continue;
        };
        if let Append::Written(seq) = broker.append(PP, last, "x".into()).await {
            let _ = broker.trim(PP, seq / 2).await;
        }
        match broker.put(PP, "ckpt", "x".into(), revision).await {
            Put::Written(now) | Put::Conflict { revision: now } => revision = now,
            _ => {}
        }
    }
}

async fn talk(broker: SimBroker) {
    loop {
        let _ = broker.publish("parlor.own", "x".into(), None).await;
        let deadline = Duration::from_millis(200);
        let _ = broker
            .request("parlor.who.0", Bytes::new(), None, deadline)
            .await;
    }
}

async fn listen(broker: SimBroker) {
    let mut heard = broker.subscribe("parlor.>").await.unwrap();
    while let Some(delivery) = heard.next().await {
        if let broker::Delivery::Message(message) = delivery
            && let Some(reply) = message.reply
        {
            let _ = broker.publish(&reply, Bytes::new(), None).await;
        }
    }
}
