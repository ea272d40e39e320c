use std::time::Duration;

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
