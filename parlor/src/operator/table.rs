//! Rooms as a table. Columns keep their place under wide characters, and nothing that somebody called
//! a room can steer the terminal.

use comfy_table::{CellAlignment, Table, presets};
use proto::admin::v1::Room;

use super::rooms::rfc3339;

/// All rooms, one line each below a header.
pub(super) fn rooms(rooms: &[Room]) -> String {
    let mut table = plain();
    let header = [
        "NAME",
        "DISPLAY NAME",
        "ONLINE",
        "MESSAGES",
        "HEAD",
        "LAST MESSAGE",
        "CREATED",
    ];
    table.set_header(header);
    for room in rooms {
        table.add_row([
            id(room),
            clean(&room.display_name),
            room.online_count.to_string(),
            room.message_count.to_string(),
            room.head_seq.to_string(),
            time(room.last_message_time.as_ref()),
            time(room.create_time.as_ref()),
        ]);
    }
    for column in 2..=4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    finished(&table)
}

/// One room, one line for each thing to know.
pub(super) fn room(room: &Room) -> String {
    let mut table = plain();
    let lines = [
        ("NAME", id(room)),
        ("DISPLAY NAME", clean(&room.display_name)),
        ("ONLINE", room.online_count.to_string()),
        ("MESSAGES", room.message_count.to_string()),
        ("BYTES", room.bytes.to_string()),
        ("HEAD", room.head_seq.to_string()),
        ("LAST MESSAGE", time(room.last_message_time.as_ref())),
        ("CREATED", time(room.create_time.as_ref())),
        ("UID", clean(&room.uid)),
    ];
    for (name, value) in lines {
        table.add_row([name.to_owned(), value]);
    }
    finished(&table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Without the padding at both ends of each line.
fn finished(table: &Table) -> String {
    let lines = table.to_string();
    let lines = lines
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn id(room: &Room) -> String {
    clean(room.name.strip_prefix("rooms/").unwrap_or(&room.name))
}

fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), rfc3339)
}

fn clean(text: &str) -> String {
    let harmless = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests;
