//! The keys `PARLOR_…` of the environment: one for every option, none that nobody reads.

use std::{collections::BTreeSet, ffi::OsString};

use anyhow::{Result, bail};
use clap::Command;

const PREFIX: &str = "PARLOR";

/// The key of a long option.
pub(super) fn key(long: &str) -> String {
    format!("{PREFIX}_{}", long.replace('-', "_").to_ascii_uppercase())
}

/// Refuses keys with our prefix that no option of any command has, so that a slip is not silently
/// without effect. The links that Kubernetes makes for Services may stay.
pub(super) fn check(command: &Command, keys: impl IntoIterator<Item = OsString>) -> Result<()> {
    let mut known = BTreeSet::new();
    collect(command, &mut known);
    let unknown = keys.into_iter().find_map(|key| {
        let key = key.to_string_lossy().into_owned();
        let ours = key
            .strip_prefix(PREFIX)
            .is_some_and(|rest| rest.starts_with('_'));
        (ours && !known.contains(&key) && !is_service_link(&key)).then_some(key)
    });
    let Some(unknown) = unknown else {
        return Ok(());
    };
    let distance = |known: &&String| strsim::damerau_levenshtein(&unknown, known);
    match known.iter().min_by_key(distance) {
        Some(nearest) => bail!(
            "{unknown} in the environment is no setting of this version; the nearest one is {nearest} \
             (`parlor --help` lists them)"
        ),
        None => bail!("{unknown} in the environment is no setting of this version"),
    }
}

/// `PARLOR_*_SERVICE_*` and `PARLOR_*_PORT*`, also of a Service called `parlor`.
fn is_service_link(key: &str) -> bool {
    let rest = key.strip_prefix(PREFIX).unwrap_or_default();
    rest.contains("_SERVICE_") || rest.contains("_PORT")
}

fn collect(command: &Command, known: &mut BTreeSet<String>) {
    let keys = command.get_arguments().filter_map(clap::Arg::get_env);
    known.extend(keys.map(|key| key.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        collect(command, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_keys(keys: &[&str]) -> Result<(), String> {
        check(&super::super::command(), keys.iter().map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn keys_of_any_command_are_known_to_all() {
        let known = [
            "PARLOR_LISTEN",
            "PARLOR_ADMIN_LISTEN",
            "PARLOR_SERVER",
            "PARLOR_OUTPUT",
        ];
        assert_eq!(check_keys(&known), Ok(()));
        let known = [
            "PARLOR_LIMIT_SENDS_PER_SECOND",
            "PARLOR_LIMITS",
            "PARLOR_NATS_CREDS",
        ];
        assert_eq!(check_keys(&known), Ok(()));
        assert_eq!(check_keys(&["PATH", "PARLORMAID", "OTHER_LISTEN"]), Ok(()));
    }

    #[test]
    fn links_of_kubernetes_services_may_stay() {
        let links = [
            "PARLOR_GATEWAY_SERVICE_HOST",
            "PARLOR_GATEWAY_SERVICE_PORT_HTTP",
            "PARLOR_GATEWAY_PORT",
            "PARLOR_GATEWAY_PORT_8080_TCP_ADDR",
            "PARLOR_SERVICE_HOST",
            "PARLOR_PORT_8080_TCP",
        ];
        assert_eq!(check_keys(&links), Ok(()));
    }

    #[test]
    fn a_slip_is_told_with_the_key_it_was_meant_for() {
        for (slip, meant) in [
            ("PARLOR_LISTEM", "PARLOR_LISTEN"),
            ("PARLOR_NATS_URL", "PARLOR_NATS"),
            ("PARLOR_DRAINDELAY", "PARLOR_DRAIN_DELAY"),
        ] {
            let words = check_keys(&[slip]).unwrap_err();
            assert!(
                words.contains(slip) && words.contains(&format!("{meant} ")),
                "{words}"
            );
        }
    }
}
