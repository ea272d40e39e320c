use proto::admin::v1::room;

use super::*;
use crate::operator::rooms::RoomJson;

fn sample(name: &str, display_name: &str) -> Room {
    Room {
        name: format!("rooms/{name}"),
        uid: "k3f9".to_owned(),
        display_name: display_name.to_owned(),
        kind: room::Kind::Group.into(),
        state: room::State::Active.into(),
        visibility: room::Visibility::Unlisted.into(),
        head_seq: 12,
        message_count: 11,
        bytes: 345,
        online_count: 2,
        create_time: Some(prost_types::Timestamp {
            seconds: 1_795_762_800,
            nanos: 5_000_000,
        }),
        last_message_time: None,
        ..Default::default()
    }
}

#[test]
fn columns_stand_below_each_other_in_chinese_too() {
    let table = rooms(&[sample("lobby", "Lobby"), sample("聊天室", "聊天室")]);
    let expected = "\
NAME    DISPLAY NAME  ONLINE  MESSAGES  HEAD  LAST MESSAGE  CREATED
lobby   Lobby              2        11    12  -             2026-11-27T07:00:00.005Z
聊天室  聊天室             2        11    12  -             2026-11-27T07:00:00.005Z
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn one_room_is_a_line_for_each_thing_to_know() {
    let table = room(&sample("lobby", "Lobby"));
    assert!(
        table.starts_with("NAME          lobby\nDISPLAY NAME  Lobby\n"),
        "\n{table}"
    );
    assert!(table.contains("\nLAST MESSAGE  -\n"), "\n{table}");
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let table = rooms(&[sample("x", "a\u{1b}[2Jb\nc")]);
    assert!(
        !table.contains('\u{1b}') && table.lines().count() == 2,
        "{table}"
    );
}

#[test]
fn no_rooms_are_a_header_alone() {
    let table = rooms(&[]);
    assert!(
        table.starts_with("NAME  DISPLAY NAME") && table.lines().count() == 1,
        "{table}"
    );
}

#[test]
fn json_has_every_field_and_counts_are_numbers() {
    let json = serde_json::to_value(RoomJson::from(&sample("lobby", "Lobby"))).unwrap();
    let expected = serde_json::json!({
        "name": "rooms/lobby", "uid": "k3f9", "displayName": "Lobby", "kind": "GROUP",
        "state": "ACTIVE", "visibility": "UNLISTED", "headSeq": 12, "messageCount": 11,
        "bytes": 345, "onlineCount": 2, "createTime": "2026-11-27T07:00:00.005Z",
        "lastMessageTime": null, "labels": {}, "etag": "",
    });
    assert_eq!(json, expected);
}
