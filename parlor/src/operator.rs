//! The operators' verbs: what a running installation's gRPC tells, as a table or as JSON on stdout.

mod client;
mod messages;
mod rooms;
mod table;

use std::io::{self, ErrorKind, Write as _};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::{config::values::number, failure::Failure};
use client::ServerArgs;
use rooms::RoomJson;

/// `parlor rooms …`.
#[derive(Subcommand, Debug)]
pub(crate) enum RoomsCommand {
    /// List all rooms by name
    List(ListArgs),
    /// Show one room
    Get(GetArgs),
}

/// `parlor messages …`.
#[derive(Subcommand, Debug)]
pub(crate) enum MessagesCommand {
    /// Take a message's text, and that of its edits, out of every answer and out of the broker
    Redact(RedactArgs),
}

/// `parlor messages redact <room> <seq>`.
#[derive(Args, Debug)]
pub(crate) struct RedactArgs {
    /// The room: lobby, or rooms/lobby
    room: String,
    /// The message's seq
    #[arg(value_parser = number(1..=(1 << 53) - 1))]
    seq: u64,
    /// A call repeated with the same id redacts once: 1-36 of A-Z, a-z, 0-9, _ and -
    #[arg(long, value_name = "ID", default_value = "")]
    request_id: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `parlor rooms list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Rooms asked for in one call; all pages are read [default: the server's]
    #[arg(long, value_name = "N", value_parser = page_size)]
    page_size: Option<i32>,
}

/// `parlor rooms get <room>`.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// The room: lobby, or rooms/lobby
    room: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How to print.
#[derive(Args, Clone, Copy, Debug)]
struct OutputArgs {
    /// How to print: table or json
    #[arg(
        long,
        value_name = "table|json",
        default_value = "table",
        hide_possible_values = true
    )]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Does what was asked of messages, on stdout.
pub(crate) async fn run_messages(command: MessagesCommand) -> Result<(), Failure> {
    let MessagesCommand::Redact(args) = command;
    let client = args.server.client().map_err(Failure::Config)?;
    let redacted = messages::redact(client, &args.room, args.seq, args.request_id).await?;
    Ok(print(&match args.output.output {
        Output::Table => messages::line(&redacted),
        Output::Json => json(&messages::RedactedJson::from(&redacted))?,
    })?)
}

/// Does what was asked of rooms, on stdout.
pub(crate) async fn run_rooms(command: RoomsCommand) -> Result<(), Failure> {
    match command {
        RoomsCommand::List(args) => {
            let client = args.server.client().map_err(Failure::Config)?;
            let rooms = rooms::list(client, args.page_size.unwrap_or(0)).await?;
            print(&match args.output.output {
                Output::Table => table::rooms(&rooms),
                Output::Json => json(&rooms.iter().map(RoomJson::from).collect::<Vec<_>>())?,
            })?;
            if rooms.is_empty() && args.output.output == Output::Table {
                remark("no rooms yet: a room exists from its first message");
            }
        }
        RoomsCommand::Get(args) => {
            let client = args.server.client().map_err(Failure::Config)?;
            let room = rooms::get(client, &args.room).await?;
            print(&match args.output.output {
                Output::Table => table::room(&room),
                Output::Json => json(&RoomJson::from(&room))?,
            })?;
        }
    }
    Ok(())
}

fn page_size(text: &str) -> Result<i32, String> {
    let size = number(1..=1_000)(text)?;
    i32::try_from(size).map_err(|error| error.to_string())
}

fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    Ok(text + "\n")
}

/// Says something to the person, beside the data.
fn remark(words: &str) {
    // Nothing is left to tell it to when stderr is gone.
    let _ = writeln!(io::stderr().lock(), "parlor: {words}");
}

/// Writes to stdout. A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
