//! What operators see over gRPC, with and without a token.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use broker::testing::NatsServer;
use prost::Message as _;
use proto::admin::v1::{GetRoomRequest, ListRoomsRequest, room_service_client::RoomServiceClient};
use tests::{Browser, Parlor, eventually};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

async fn channel(parlor: &Parlor) -> Channel {
    let address = parlor.address("admin").await;
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// The reason of an error, which has exactly one ErrorInfo.
fn reason(status: &Status) -> String {
    let carried = tonic_types::pb::Status::decode(status.details()).unwrap();
    let is_info = |detail: &&prost_types::Any| detail.type_url.ends_with("google.rpc.ErrorInfo");
    assert_eq!(carried.details.iter().filter(is_info).count(), 1);
    let details = status.get_error_details();
    let info = details.error_info().expect("one ErrorInfo");
    assert_eq!(info.domain, "parlor");
    info.reason.clone()
}

#[tokio::test]
async fn a_room_is_listed_once_its_first_message_is_acked() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let mut rooms = RoomServiceClient::new(channel(&parlor).await);
    let mut ann = Browser::enter(parlor.address("http").await, "Ann", &["Lobby", "unused"]).await;
    let none = rooms
        .list_rooms(ListRoomsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(none.rooms.is_empty());

    ann.send("lobby", "c1", "héllo").await;
    let listed = rooms
        .list_rooms(ListRoomsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.rooms.len(), 1);
    let room = &listed.rooms[0];
    assert_eq!(
        (room.name.as_str(), room.display_name.as_str()),
        ("rooms/lobby", "Lobby")
    );
    assert_eq!((room.head_seq, room.message_count, room.bytes), (1, 1, 6));
    assert!(room.create_time.is_some() && room.last_message_time.is_some());
    let get = GetRoomRequest {
        name: "rooms/LOBBY".to_owned(),
    };
    assert_eq!(
        &rooms.get_room(get.clone()).await.unwrap().into_inner().name,
        "rooms/lobby"
    );
    let online = || {
        let (mut rooms, get) = (rooms.clone(), get.clone());
        async move {
            let room = rooms.get_room(get).await.unwrap().into_inner();
            (room.online_count == 1).then_some(())
        }
    };
    eventually("one online", online).await;
}

#[tokio::test]
async fn pages_follow_each_other_without_holes() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &["--limits", "off"]).await;
    let names: Vec<_> = (0..25).map(|n| format!("room-{n:02}")).collect();
    let rooms: Vec<_> = names.iter().map(String::as_str).collect();
    let mut ann = Browser::enter(parlor.address("http").await, "Ann", &rooms).await;
    for room in &rooms {
        ann.send(room, "c", "hi").await;
    }
    let mut client = RoomServiceClient::new(channel(&parlor).await);
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListRoomsRequest {
            page_size: 7,
            page_token,
            ..Default::default()
        };
        let page = client.list_rooms(request).await.unwrap().into_inner();
        assert_eq!(page.total_size, 25);
        seen.extend(page.rooms.into_iter().map(|room| room.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        seen,
        names
            .iter()
            .map(|name| format!("rooms/{name}"))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_page_has_50_rooms_unless_asked_for_more_and_never_more_than_1000() {
    let dir = tempfile::tempdir().unwrap();
    let many = ["--limits", "off", "--limit-rooms", "1000"];
    let parlor = Parlor::serve(dir.path(), &many).await;
    let gateway = parlor.address("http").await;
    for half in 0..2 {
        let names: Vec<_> = (0..505).map(|n| format!("room-{half}-{n:03}")).collect();
        let rooms: Vec<_> = names.iter().map(String::as_str).collect();
        let mut ann = Browser::enter(gateway, "Ann", &rooms).await;
        for room in &rooms {
            let frame = serde_json::json!({"op": "send", "room": room, "cid": room, "text": "hi"});
            ann.say(frame).await;
        }
        for _ in &rooms {
            ann.expect("ack").await;
        }
    }
    let mut client = RoomServiceClient::new(channel(&parlor).await);
    for (page_size, expected) in [(0, 50), (51, 51), (1_000, 1_000), (1_000_000, 1_000)] {
        let request = ListRoomsRequest {
            page_size,
            ..Default::default()
        };
        let page = client.list_rooms(request).await.unwrap().into_inner();
        assert_eq!(page.rooms.len(), expected, "page_size {page_size}");
        assert!(!page.next_page_token.is_empty() && page.total_size == 1_010);
    }
}

#[tokio::test]
async fn wrong_calls_get_one_error_info() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let mut rooms = RoomServiceClient::new(channel(&parlor).await);
    let lists = [
        (
            ListRoomsRequest {
                page_size: -1,
                ..Default::default()
            },
            "PAGE_SIZE_INVALID",
        ),
        (
            ListRoomsRequest {
                page_token: "x".into(),
                ..Default::default()
            },
            "PAGE_TOKEN_INVALID",
        ),
        (
            ListRoomsRequest {
                filter: "a=b".into(),
                ..Default::default()
            },
            "FILTER_UNSUPPORTED",
        ),
        (
            ListRoomsRequest {
                order_by: "bytes desc".into(),
                ..Default::default()
            },
            "ORDER_BY_UNSUPPORTED",
        ),
    ];
    for (request, expected) in lists {
        let status = rooms.list_rooms(request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, expected)
        );
        assert!(status.get_error_details().bad_request().is_some());
    }
    let get = |name: &str| GetRoomRequest {
        name: name.to_owned(),
    };
    let status = rooms.get_room(get("rooms/none")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "ROOM_NOT_FOUND")
    );
    for name in ["", "lobby", "rooms/", "rooms/a b"] {
        let status = rooms.get_room(get(name)).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "NAME_INVALID")
        );
    }
}

#[tokio::test]
async fn the_token_protects_everything_but_health() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let file = file.to_str().unwrap();
    let parlor = Parlor::serve(&dir.path().join("data"), &["--admin-token-file", file]).await;
    let channel = channel(&parlor).await;
    let mut rooms = RoomServiceClient::new(channel.clone());
    let call = |token: Option<&str>| {
        let mut request = Request::new(ListRoomsRequest::default());
        if let Some(token) = token {
            request
                .metadata_mut()
                .insert("authorization", token.parse().unwrap());
        }
        request
    };
    for (token, expected) in [
        (None, "TOKEN_MISSING"),
        (Some("Bearer wrong"), "TOKEN_WRONG"),
        (Some("x"), "TOKEN_MISSING"),
    ] {
        let status = rooms.list_rooms(call(token)).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unauthenticated, expected)
        );
    }
    let right = "Bearer 0123456789abcdef0123456789abcdef";
    rooms.list_rooms(call(Some(right))).await.unwrap();
    let check = HealthCheckRequest {
        service: "parlor.admin.v1.RoomService".to_owned(),
    };
    let health = HealthClient::new(channel)
        .check(check)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(health.status, 1);
}

#[tokio::test]
async fn without_nats_calls_are_not_ready_and_health_follows() {
    let mut nats = NatsServer::start().await;
    let url = nats.url();
    nats.kill().await;
    let service = Parlor::room_service(&url, &[]);
    let channel = channel(&service).await;
    let watch = HealthCheckRequest::default();
    let mut health = HealthClient::new(channel.clone());
    let mut changes = health.watch(watch).await.unwrap().into_inner();
    let mut next = async || changes.message().await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::NotServing);

    let mut rooms = RoomServiceClient::new(channel);
    let status = rooms
        .list_rooms(ListRoomsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "NOT_READY")
    );
    let retry = status.get_details_retry_info().unwrap().retry_delay;
    assert!(retry.is_some_and(|delay| !delay.is_zero()), "{retry:?}");

    nats.restart().await;
    service.ready().await;
    assert_eq!(next().await, ServingStatus::Serving);
    let ended = tokio::spawn(service.terminate());
    assert_eq!(next().await, ServingStatus::NotServing);
    assert!(ended.await.unwrap().success());
}

#[tokio::test]
async fn reflection_speaks_v1_and_v1alpha() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let channel = channel(&parlor).await;
    {
        use tonic_reflection::pb::v1::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let stream = tokio_stream::iter([request]);
        let mut client = ServerReflectionClient::new(channel.clone());
        let mut answers = client
            .server_reflection_info(stream)
            .await
            .unwrap()
            .into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else {
            panic!("{answer:?}")
        };
        let names: Vec<_> = list
            .service
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        assert!(names.contains(&"parlor.admin.v1.RoomService"), "{names:?}");
        assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    }
    {
        use tonic_reflection::pb::v1alpha::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let symbol = "parlor.admin.v1.RoomService".to_owned();
        let request = ServerReflectionRequest {
            message_request: Some(MessageRequest::FileContainingSymbol(symbol)),
            ..Default::default()
        };
        let stream = tokio_stream::iter([request]);
        let mut client = ServerReflectionClient::new(channel);
        let mut answers = client
            .server_reflection_info(stream)
            .await
            .unwrap()
            .into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response;
        assert!(
            matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))),
            "{answer:?}"
        );
    }
}
