//! The limits, one flag each, generated from one table.

use std::ops::RangeInclusive;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use proto::Limits;

use super::values::{Switch, number};

/// One limit that has a flag.
struct Limit {
    /// Its name in `welcome.limits`.
    name: &'static str,
    help: &'static str,
    /// What may be asked for. Upper ends keep an event under 12 KiB and a bus payload under its limit.
    range: RangeInclusive<u64>,
    get: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
}

macro_rules! limits {
    ($($name:ident: $type:ty, $range:expr, $help:literal;)*) => {
        const LIMITS: &[Limit] = &[$(Limit {
            name: stringify!($name),
            help: $help,
            range: $range,
            get: |limits| u64::from(limits.$name),
            set: |limits, value| limits.$name = <$type>::try_from(value).unwrap_or(<$type>::MAX),
        },)*];
    };
}

limits! {
    text: u32, 1..=2_500, "Code points of a message";
    frame: u32, 1_024..=65_536, "Bytes of a WebSocket message";
    nick: u32, 1..=64, "Code points of a nick";
    rooms: u32, 1..=1_000, "Rooms of a connection";
    history: u32, 0..=100, "Events shown at a first join";
    catch_up: u32, 0..=5_000, "Events that a returning client may have missed and is sent at once";
    edit_window_ms: u64, 0..=604_800_000, "Milliseconds in which a message may be edited";
    sends_per_second: u32, 1..=1_000_000, "Sends per second of a user in a room";
    sends_burst: u32, 1..=1_000_000, "Sends at once of a user in a room";
    guest_sends_per_second: u32, 1..=1_000_000, "Sends per second in a room of all guests of an address";
    guest_sends_burst: u32, 1..=1_000_000, "Sends at once in a room of all guests of an address";
    ops_per_minute: u32, 1..=1_000_000, "Operations per minute of a connection";
    ops_burst: u32, 1..=1_000_000, "Operations at once of a connection";
    new_rooms_per_hour: u32, 1..=1_000_000, "New rooms per hour of an address";
    new_guests_per_minute: u32, 1..=1_000_000, "New guests per minute of an address";
    connections: u32, 1..=1_000_000, "Live connections of an address";
    new_connections: u32, 1..=1_000_000, "New connections of an address in 10 s";
}

impl Limit {
    fn flag(&self) -> String {
        format!("limit-{}", self.name.replace('_', "-"))
    }
}

/// `--limits` and every `--limit-<name>`.
#[derive(Clone, Debug)]
pub(crate) struct LimitsArgs {
    pub(crate) limits: Limits,
}

impl FromArgMatches for LimitsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self {
            limits: Limits::default(),
        };
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for limit in LIMITS {
            if let Some(value) = matches.get_one::<u64>(&limit.flag()) {
                (limit.set)(&mut self.limits, *value);
            }
        }
        if let Some(switch) = matches.get_one::<Switch>("limits") {
            self.limits.rates = switch.is_on();
        }
        Ok(())
    }
}

impl Args for LimitsArgs {
    fn augment_args(command: Command) -> Command {
        let defaults = Limits::default();
        let switch = Arg::new("limits")
            .long("limits")
            .value_name("on|off")
            .hide_possible_values(true)
            .value_parser(value_parser!(Switch))
            .default_value("on")
            .help("Whether sends, operations and new connections have a rate limit at all");
        let flag = |limit: &Limit| {
            Arg::new(limit.flag())
                .long(limit.flag())
                .value_name("N")
                .value_parser(number(limit.range.clone()))
                .default_value((limit.get)(&defaults).to_string())
                .help(limit.help)
        };
        command
            .next_help_heading("Limits")
            .arg(switch)
            .args(LIMITS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_protocol_has_a_flag_and_the_protocols_default() {
        let defaults = Limits::default();
        let json = serde_json::to_value(&defaults).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let mut flags: Vec<_> = LIMITS.iter().map(|limit| limit.name.to_owned()).collect();
        flags.sort();
        let mut sorted = names;
        sorted.sort();
        assert_eq!(flags, sorted);
        for limit in LIMITS {
            let default = (limit.get)(&defaults);
            assert_eq!(json[limit.name], default);
            assert!(limit.range.contains(&default), "{}", limit.name);
        }
    }

    #[test]
    fn a_flag_sets_its_limit_and_nothing_else() {
        let command = LimitsArgs::augment_args(Command::new("x"));
        let matches =
            command.get_matches_from(["x", "--limit-sends-per-second", "7", "--limits", "off"]);
        let args = LimitsArgs::from_arg_matches(&matches).unwrap();
        let expected = Limits {
            sends_per_second: 7,
            rates: false,
            ..Limits::default()
        };
        assert_eq!(args.limits, expected);
    }
}
