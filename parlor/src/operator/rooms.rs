//! Asks for rooms. In JSON they have the names of protobuf's JSON mapping, every field is always there,
//! and counts are numbers.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use proto::admin::v1::{GetRoomRequest, ListRoomsRequest, Room};
use serde::Serialize;

use super::client::Client;

/// All rooms, page by page; `page_size` 0 leaves it to the server.
pub(super) async fn list(mut client: Client, page_size: i32) -> Result<Vec<Room>> {
    let mut rooms = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListRoomsRequest {
            page_size,
            page_token: page_token.clone(),
            ..Default::default()
        };
        let page = client
            .rooms
            .list_rooms(request)
            .await
            .map_err(|status| client.explain(&status))?;
        let page = page.into_inner();
        rooms.extend(page.rooms);
        if page.next_page_token.is_empty() {
            return Ok(rooms);
        }
        ensure!(
            page.next_page_token != page_token,
            "the server repeats a page of its list"
        );
        page_token = page.next_page_token;
    }
}

/// One room by its id or its resource name.
pub(super) async fn get(mut client: Client, room: &str) -> Result<Room> {
    let name = resource_name(room);
    let room = client.rooms.get_room(GetRoomRequest { name }).await;
    Ok(room.map_err(|status| client.explain(&status))?.into_inner())
}

/// `rooms/lobby` of `lobby` or of itself.
pub(super) fn resource_name(room: &str) -> String {
    if room.starts_with("rooms/") {
        room.to_owned()
    } else {
        format!("rooms/{room}")
    }
}

/// A room in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomJson<'a> {
    name: &'a str,
    uid: &'a str,
    display_name: &'a str,
    kind: &'static str,
    state: &'static str,
    visibility: &'static str,
    head_seq: i64,
    message_count: i64,
    bytes: i64,
    online_count: i64,
    create_time: Option<String>,
    last_message_time: Option<String>,
    labels: BTreeMap<&'a str, &'a str>,
    etag: &'a str,
}

impl<'a> From<&'a Room> for RoomJson<'a> {
    fn from(room: &'a Room) -> Self {
        let labels = room.labels.iter();
        Self {
            name: &room.name,
            uid: &room.uid,
            display_name: &room.display_name,
            kind: room.kind().as_str_name(),
            state: room.state().as_str_name(),
            visibility: room.visibility().as_str_name(),
            head_seq: room.head_seq,
            message_count: room.message_count,
            bytes: room.bytes,
            online_count: room.online_count,
            create_time: room.create_time.as_ref().map(rfc3339),
            last_message_time: room.last_message_time.as_ref().map(rfc3339),
            labels: labels
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
            etag: &room.etag,
        }
    }
}

/// RFC 3339 in UTC with milliseconds; times before 1970 read as 1970.
pub(super) fn rfc3339(time: &prost_types::Timestamp) -> String {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    let millis = u64::try_from(time.nanos).unwrap_or(0) / 1_000_000;
    proto::time::rfc3339(seconds.saturating_mul(1_000).saturating_add(millis))
}
