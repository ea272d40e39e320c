use std::time::Duration;

use broker::{Subscription as _, embedded::Embedded};
use proto::{
    RoomId,
    bus::v1::{Read, request},
};
use tokio::time::Instant;

use super::*;
use crate::testing::{Core, Owner};

fn room() -> RoomId {
    RoomId::parse("lobby").unwrap()
}

fn read() -> request::Op {
    request::Op::Read(Read::default())
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_an_owner() {
    let core = Core::start().await;
    let shared = Arc::clone(&core.shared);
    let call = tokio::spawn(async move { shared.upstream.call(&room(), read(), None).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let claimed = Instant::now();
    let _owner = Owner::claim(&core.bus, 1).await;
    assert!(matches!(
        call.await.unwrap(),
        Ok(Answer::Room { epoch: 1, .. })
    ));
    assert!(
        claimed.elapsed() < Duration::from_millis(50),
        "{:?}",
        claimed.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_owner_patience_ends_after_fifteen_seconds() {
    let core = Core::start().await;
    let begin = Instant::now();
    let answer = core.shared.upstream.call(&room(), read(), None).await;
    assert!(matches!(answer, Err(Unavailable)));
    assert_eq!(begin.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_nobody_can_own_is_not_waited_for() {
    let core = Core::start().await;
    let subject = core.shared.subjects.who(crate::testing::PP);
    let mut asked = core.bus.subscribe(&subject).await.unwrap();
    let bus = core.bus.clone();
    tokio::spawn(async move {
        while let Some(broker::Delivery::Message(message)) = asked.next().await {
            let nobody = Announcement {
                owner: "r".to_owned(),
                cannot_own: vec!["0".to_owned()],
                ..Announcement::default()
            };
            let payload = nobody.encode_to_vec().into();
            let reply = message.reply.unwrap();
            bus.publish(&reply, payload, None).await.unwrap();
        }
    });
    let begin = Instant::now();
    let answer = core.shared.upstream.call(&room(), read(), None).await;
    assert!(matches!(answer, Err(Unavailable)));
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_risen_epoch_repeats_at_once_what_is_in_flight() {
    let core = Core::start().await;
    let frozen = Owner::claim(&core.bus, 1).await;
    frozen.shut();
    let shared = Arc::clone(&core.shared);
    let call = tokio::spawn(async move { shared.upstream.call(&room(), read(), None).await });
    frozen.has_seen(1).await;
    let begin = Instant::now();
    let _next = Owner::claim(&core.bus, 2).await;
    frozen.announce().await;
    assert!(matches!(
        call.await.unwrap(),
        Ok(Answer::Room { epoch: 2, .. })
    ));
    assert!(
        begin.elapsed() < Duration::from_millis(20),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_slow_is_asked_again_with_the_same_request() {
    let core = Core::start().await;
    let owner = Owner::claim(&core.bus, 1).await;
    owner.shut();
    let shared = Arc::clone(&core.shared);
    let call = tokio::spawn(async move { shared.upstream.call(&room(), read(), None).await });
    owner.has_seen(1).await;
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_millis(310)).await;
    owner.open();
    assert!(matches!(call.await.unwrap(), Ok(Answer::Room { .. })));
    assert!(
        begin.elapsed() < Duration::from_millis(400),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_deposed_names_the_next() {
    let core = Core::start().await;
    let old = Owner::claim(&core.bus, 1).await;
    old.answer_next(Owner::not_owner(2));
    let pattern = core.shared.subjects.inbound_all(crate::testing::PP, 2);
    // The next owner listens but has not announced itself.
    let next = Owner::claim(&core.bus, 2).await;
    let answer = core.shared.upstream.call(&room(), read(), None).await;
    assert!(
        matches!(answer, Ok(Answer::Room { epoch: 2, .. })),
        "{pattern}"
    );
    drop(next);
}

fn call(core: &Core) -> tokio::task::JoinHandle<Result<Answer, Unavailable>> {
    let shared = Arc::clone(&core.shared);
    tokio::spawn(async move { shared.upstream.call(&room(), read(), None).await })
}

/// How many messages have arrived.
async fn arrived(subscription: &mut <Embedded as broker::Bus>::Subscription) -> usize {
    let mut count = 0;
    while let Ok(Some(_)) =
        tokio::time::timeout(Duration::from_millis(1), subscription.next()).await
    {
        count += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn a_stopped_owner_is_waited_for_once() {
    let core = Core::start().await;
    let stopped = Owner::claim(&core.bus, 1).await;
    let inbound = core.shared.subjects.inbound_all(crate::testing::PP, 1);
    let mut requests = core.bus.subscribe(&inbound).await.unwrap();
    stopped.stop();
    let first = call(&core);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let others: Vec<_> = (0..20).map(|_| call(&core)).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Nobody asks it again, and nobody else at all.
    assert_eq!(arrived(&mut requests).await, 1);
    let claimed = Instant::now();
    let _next = Owner::claim(&core.bus, 2).await;
    for call in others.into_iter().chain([first]) {
        assert!(matches!(
            call.await.unwrap(),
            Ok(Answer::Room { epoch: 2, .. })
        ));
    }
    let took = claimed.elapsed();
    assert!(took < Duration::from_millis(20), "{took:?}");
    stopped.go_on();
    stopped.announce().await;
    let answer = call(&core).await.unwrap();
    assert!(matches!(answer, Ok(Answer::Room { epoch: 2, .. })));
}

#[tokio::test(start_paused = true)]
async fn whoever_took_over_unheard_is_found_by_asking() {
    let core = Core::start().await;
    let stopped = Owner::claim(&core.bus, 1).await;
    stopped.stop();
    let next = Owner::claim_unheard(&core.bus, 2).await;
    let begin = Instant::now();
    let answer = call(&core).await.unwrap();
    assert!(matches!(answer, Ok(Answer::Room { epoch: 2, .. })));
    // Once the first deadline, and a moment for the question.
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(320), "{took:?}");
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_owner_that_goes_on_is_asked_again() {
    let core = Core::start().await;
    let owner = Owner::claim(&core.bus, 1).await;
    owner.stop();
    let waiting = call(&core);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let begin = Instant::now();
    owner.go_on();
    assert!(matches!(waiting.await.unwrap(), Ok(Answer::Room { .. })));
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_owns_a_partition_is_asked_by_one_for_all() {
    let core = Core::start().await;
    let mut asked = core.bus.subscribe("parlor.who.*").await.unwrap();
    let calls: Vec<_> = (0..50).map(|_| call(&core)).collect();
    tokio::time::sleep(Duration::from_millis(290)).await;
    assert_eq!(arrived(&mut asked).await, 1);
    let _owner = Owner::claim(&core.bus, 1).await;
    for call in calls {
        assert!(matches!(call.await.unwrap(), Ok(Answer::Room { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_announced_but_does_not_listen_is_not_hammered() {
    let core = Core::start().await;
    let deaf = Owner::announced_only(&core.bus, 1).await;
    let waiting = call(&core);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let retries = core.shared.metrics.upstream_retries.get();
    assert!((5..=40).contains(&retries), "{retries} in five seconds");
    waiting.abort();
    drop(deaf);
}
