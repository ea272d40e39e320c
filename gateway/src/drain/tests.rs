use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use super::{departure::LAST_WORDS, *};
use crate::http::testing::{Running, close_of, options, room_service, start, start_alone};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn ended(gateway: Running) {
    let ended = timeout(PATIENCE, gateway.ended).await;
    ended
        .expect("it ends")
        .expect("no panic")
        .expect("no error");
}

#[tokio::test]
async fn a_gateway_is_ready_once_it_knows_the_installation() {
    let gateway = start_alone(options()).await;
    let why = gateway.handle.readiness().expect_err("nobody has answered");
    assert!(why.contains("room service"), "{why}");
    room_service(&gateway.bus).await;
    timeout(PATIENCE, gateway.handle.ready())
        .await
        .expect("ready");
    assert_eq!(gateway.handle.readiness(), Ok(()));
    assert!(
        gateway
            .metrics()
            .contains("parlor_gateway_lifecycle{state=\"ready\"} 1")
    );
    gateway.shutdown.cancel();
    let handle = gateway.handle.clone();
    ended(gateway).await;
    assert_eq!(handle.readiness(), Err("the gateway is ended".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn with_nobody_connected_it_ends_at_once() {
    let mut options = options();
    options.drain.delay = Duration::from_secs(100);
    let gateway = start(options).await;
    let began = Instant::now();
    gateway.shutdown.cancel();
    ended(gateway).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn sockets_are_closed_1012_and_then_it_ends() {
    let gateway = start(options()).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(gateway.connect_v1().await);
    }
    gateway.shutdown.cancel();
    for client in &mut clients {
        assert_eq!(close_of(client).await.0, 1012);
    }
    drop(clients);
    ended(gateway).await;
}

#[tokio::test]
async fn until_the_delay_has_passed_whoever_comes_is_served() {
    let mut options = options();
    options.drain.delay = PATIENCE;
    let gateway = start(options).await;
    let client = gateway.connect_v1().await;
    gateway.shutdown.cancel();
    let life = gateway.handle.life.clone();
    timeout(
        PATIENCE,
        life.state
            .subscribe()
            .wait_for(|state| *state == Lifecycle::Draining),
    )
    .await
    .expect("draining")
    .expect("the sender lives");
    assert_eq!(
        gateway.handle.readiness(),
        Err("the gateway is draining".to_owned())
    );
    // Load balancers have not noticed yet: whom they send here must not be turned away.
    let mut late = gateway.connect_v1().await;
    let hello = Message::text(r#"{"op":"hello"}"#);
    late.send(hello).await.unwrap();
    let welcome = late.next().await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains("welcome"));
    assert_eq!(gateway.get("/chat/").await.status, 200);
    // The last one leaves, and the rest of the delay is not waited for.
    drop((client, late));
    ended(gateway).await;
}

#[tokio::test]
async fn connections_that_are_kept_alive_are_closed_at_the_end() {
    let gateway = start(options()).await;
    let mut kept = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"HEAD /chat/ HTTP/1.1\r\nHost: chat.test\r\n\r\n";
    kept.write_all(request).await.unwrap();
    let mut answer = [0; 15];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let began = Instant::now();
    gateway.shutdown.cancel();
    kept.read_to_end(&mut Vec::new()).await.unwrap();
    ended(gateway).await;
    // Neither the time an idle connection has nor that for last words.
    assert!(began.elapsed() < LAST_WORDS, "{:?}", began.elapsed());
}

#[tokio::test]
async fn at_the_deadline_what_is_left_is_closed() {
    let mut options = options();
    options.drain.window = Duration::from_secs(1_000);
    options.drain.deadline = Duration::from_millis(50);
    let gateway = start(options).await;
    let mut client = gateway.connect_v1().await;
    gateway.shutdown.cancel();
    assert_eq!(close_of(&mut client).await.0, 1012);
    drop(client);
    ended(gateway).await;
}

#[tokio::test]
async fn it_ends_though_a_client_never_answers_the_close() {
    let mut options = options();
    options.drain.deadline = Duration::from_millis(50);
    let gateway = start(options).await;
    let _mute = gateway.connect_v1().await;
    gateway.shutdown.cancel();
    ended(gateway).await;
}

#[test]
fn a_life_only_moves_forward() {
    let life = Life::register(&mut Registry::default());
    life.advance(Lifecycle::Draining);
    life.advance(Lifecycle::Ready);
    assert_eq!(life.now(), Lifecycle::Draining);
}
