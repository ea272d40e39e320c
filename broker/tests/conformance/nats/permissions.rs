//! What a server denies is refused by name, and does not look like an absent server.

use broker::{
    Append, Broker as _, Bus as _, Log as _, ProvisionError, Put, Revision, Store as _,
    SubscribeError, nats::Nats, testing::NatsServer,
};

use super::soon;
use crate::fixture::{PARTITIONS, PP, message, options, until};

/// `all` may do everything, `gateway` what the bus of a gateway needs, `nobody` nothing but ask.
const CONFIG: &str = r#"
jetstream { max_file_store: 1GB }
accounts { PARLOR { jetstream: enabled, users: [
  { user: all, password: p }
  { user: gateway, password: p, permissions {
    publish: ["parlor.in.>", "parlor.sync"], subscribe: ["parlor.out.>", "parlor.inbox.gateway.>"] } }
  { user: nobody, password: p, permissions {
    publish: ["parlor.sync"], subscribe: ["parlor.inbox.room-service.>"] } }
] } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_write_is_refused_and_a_denied_pattern_is_named() {
    let server = start().await;
    let all = connect(&server, "all", "room-service").await;
    all.provision(&PARTITIONS).await.unwrap();
    let nobody = connect(&server, "nobody", "room-service").await;
    let appended = soon(nobody.append(PP, 0, "1".into())).await;
    let Append::Refused { why } = appended else {
        panic!("{appended:?}")
    };
    assert!(why.contains("parlor.log.0"), "{why}");
    let stored = soon(nobody.put(PP, "k", "x".into(), Revision::NONE)).await;
    let Put::Refused { why } = stored else {
        panic!("{stored:?}")
    };
    assert!(why.contains("parlor.room.0.k"), "{why}");
    // The denial may be heard of a moment after the server has confirmed what it did take.
    let why = until(|| async {
        match nobody.subscribe("parlor.own").await.map(drop) {
            Err(SubscribeError::Unavailable(why)) => Some(why),
            Ok(()) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert!(
        why.contains("denies") && why.contains("parlor.own"),
        "{why}"
    );
    let provisioned = soon(nobody.provision(&PARTITIONS)).await;
    let Err(ProvisionError::Settings(why)) = provisioned else {
        panic!("{provisioned:?}")
    };
    assert!(
        why.contains("STREAM.INFO") && why.contains("permissions"),
        "{why}"
    );
    // Nothing was written by any of it.
    assert_eq!(all.last(PP).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_needs_no_jetstream() {
    let server = start().await;
    let all = connect(&server, "all", "room-service").await;
    let gateway = connect(&server, "gateway", "gateway").await;
    assert!(gateway.is_connected());
    let mut heard = soon(gateway.subscribe("parlor.out.0.hall")).await.unwrap();
    let mut requests = all.subscribe("parlor.in.0.1.*").await.unwrap();
    let (asked, ()) = tokio::join!(
        gateway.request("parlor.in.0.1.hall", "?".into(), None, super::SOON),
        async {
            let request = message(&mut requests).await;
            all.publish(&request.reply.unwrap(), "!".into(), None)
                .await
                .unwrap();
            all.publish("parlor.out.0.hall", "hi".into(), None)
                .await
                .unwrap();
        }
    );
    assert_eq!(asked.unwrap(), "!");
    assert_eq!(message(&mut heard).await.payload, "hi");
    assert!(gateway.last(PP).await.is_err());
}

async fn start() -> NatsServer {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), CONFIG).unwrap();
    NatsServer::start_with(config.path(), &[]).await
}

async fn connect(server: &NatsServer, user: &str, role: &str) -> Nats {
    let url = server.url().replace("//", &format!("//{user}:p@"));
    let nats = Nats::connect(options(&url, role)).await.unwrap();
    nats.verify().await.unwrap();
    nats
}
