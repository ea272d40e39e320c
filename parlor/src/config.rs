//! The command line and the environment, one file per concern, and what they amount to. Nothing here
//! listens, connects or writes; whatever is wrong is found before anything starts.

pub(crate) mod admin;
mod broker;
mod drain;
mod environment;
mod identity;
mod limits;
mod logging;
mod network;
mod plan;
mod rooms;
pub(crate) mod values;

use std::ffi::{OsStr, OsString};

use anyhow::Result;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, error::ErrorKind};

pub(crate) use self::{
    admin::AdminArgs,
    broker::{EmbeddedArgs, NatsArgs, NatsChoice},
    drain::DrainArgs,
    identity::IdentityArgs,
    limits::LimitsArgs,
    logging::{LogFormat, LoggingArgs},
    network::{MetricsArgs, NetworkArgs},
    plan::{BrokerChoice, Plan, Remark},
    rooms::{ReplicaArgs, RoomsArgs},
};
use crate::{
    doctor::DoctorCommand,
    failure::Failure,
    operator::{MessagesCommand, RoomsCommand},
};

/// Self-hosted chat rooms: exact, durable, observable.
#[derive(Parser, Debug)]
#[command(
    name = "parlor",
    version,
    args_conflicts_with_subcommands = true,
    override_usage = "parlor [serve] [OPTIONS]\n       parlor <COMMAND> [OPTIONS]",
    after_help = "Without a command parlor does what `serve` does, with the same options. Durations \
                  have units: 500ms, 10s, 1m.\nEvery option can be set in the environment as well: \
                  --drain-delay is PARLOR_DRAIN_DELAY.\n`parlor <COMMAND> --help` shows the options \
                  of a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Verb>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What parlor can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Run everything in one process: pages, gateway, room service and an embedded broker
    Serve(ServeArgs),
    /// Run a gateway: browsers on one side, NATS on the other
    Gateway(GatewayArgs),
    /// Run a room service: orders and keeps the messages, answers operators
    RoomService(RoomServiceArgs),
    /// Look at the rooms of a running installation
    #[command(subcommand, arg_required_else_help = false)]
    Rooms(RoomsCommand),
    /// Act on messages of a running installation
    #[command(subcommand, arg_required_else_help = false)]
    Messages(MessagesCommand),
    /// Look after the stored data
    #[command(subcommand, arg_required_else_help = false)]
    Doctor(DoctorCommand),
}

/// `parlor serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) embedded: EmbeddedArgs,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) rooms: RoomsArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    #[command(flatten)]
    pub(crate) replica: ReplicaArgs,
    #[command(flatten)]
    pub(crate) logging: LoggingArgs,
    #[command(flatten)]
    pub(crate) drain: DrainArgs,
    #[command(flatten)]
    pub(crate) limits: LimitsArgs,
}

/// `parlor gateway`.
#[derive(Args, Clone, Debug)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    #[command(flatten)]
    pub(crate) replica: ReplicaArgs,
    #[command(flatten)]
    pub(crate) logging: LoggingArgs,
    #[command(flatten)]
    pub(crate) drain: DrainArgs,
    #[command(flatten)]
    pub(crate) limits: LimitsArgs,
}

/// `parlor room-service`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RoomServiceArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) rooms: RoomsArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    #[command(flatten)]
    pub(crate) replica: ReplicaArgs,
    #[command(flatten)]
    pub(crate) logging: LoggingArgs,
    #[command(flatten)]
    pub(crate) limits: LimitsArgs,
}

/// Reads the command line and the environment; `Err` also for `--help` and `--version`.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = OsString>,
) -> Result<Verb, Failure> {
    let command = command();
    environment::check(&command, environment).map_err(Failure::Config)?;
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| explain(&error))?;
    Ok(parsed.command.unwrap_or(Verb::Serve(parsed.serve)))
}

/// The command line with a `PARLOR_…` key for every option.
fn command() -> clap::Command {
    fn with_keys(command: clap::Command) -> clap::Command {
        let key = |arg: clap::Arg| match arg.get_long().map(environment::key) {
            Some(key) => arg.env(key).hide_env(true),
            None => arg,
        };
        command.mut_args(key).mut_subcommands(with_keys)
    }
    with_keys(Cli::command())
}

/// A clap error as one line; its help and version as they are.
fn explain(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Failure::Asked(text),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Failure::Config(anyhow::anyhow!("{}", text.trim_end()))
        }
        _ => {
            let end = text
                .find("\n\nUsage:")
                .or_else(|| text.find("\n\nFor more information"));
            let words = text[..end.unwrap_or(text.len())].split_whitespace();
            let line = words.collect::<Vec<_>>().join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            Failure::Config(anyhow::anyhow!(
                "{line}{}; see `parlor --help`",
                origin(error)
            ))
        }
    }
}

/// Where a wrong value stands when it does not stand on the command line.
fn origin(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    let (Some(ContextValue::String(arg)), Some(ContextValue::String(value))) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::InvalidValue),
    ) else {
        return String::new();
    };
    let flag = arg.split_whitespace().next().unwrap_or_default();
    let Some(long) = flag.strip_prefix("--") else {
        return String::new();
    };
    let key = environment::key(long);
    let here = |found: &OsStr| found.to_string_lossy().split(',').any(|part| part == value);
    match std::env::var_os(&key) {
        Some(found) if here(&found) || found == value.as_str() => format!(" (from {key})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
