//! How rooms are spread and made, and the name of this process among its like.

use clap::Args;
use proto::PartitionCount;

use super::values::Switch;

/// The rooms of an installation.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Rooms")]
pub(crate) struct RoomsArgs {
    /// Partitions of rooms, fixed when an installation is made [default: what is stored; else 32, or
    /// 128 with three NATS replicas]
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<PartitionCount>,
    /// Whether a first message makes a room
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        hide_possible_values = true
    )]
    auto_create: Switch,
}

impl RoomsArgs {
    pub(crate) fn auto_create(self) -> bool {
        self.auto_create.is_on()
    }
}

/// The name of this process.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Watching")]
pub(crate) struct ReplicaArgs {
    /// Name of this process, unlike that of any other [default: host name and a random suffix]
    #[arg(long, value_name = "NAME", value_parser = replica_id)]
    replica_id: Option<String>,
}

impl ReplicaArgs {
    pub(crate) fn id(&self) -> String {
        self.replica_id.clone().unwrap_or_else(default_id)
    }
}

fn replica_id(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err("expected 1-64 characters of a-z, A-Z, 0-9, `_` or `-`".to_owned());
    }
    Ok(text.to_owned())
}

/// The host name, so that a person knows where to look, and a suffix, so that several may share a host.
fn default_id() -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let host = host.split('.').next().unwrap_or_default();
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '-'
        }
    };
    let mut id: String = host.chars().map(keep).take(50).collect();
    if id.is_empty() {
        "parlor".clone_into(&mut id);
    }
    format!("{id}-{:06x}", rand::random::<u32>() & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_of_one_host_have_different_names_that_the_flag_would_take() {
        let ids = [default_id(), default_id()];
        assert_ne!(ids[0], ids[1]);
        assert!(ids.iter().all(|id| replica_id(id).is_ok()), "{ids:?}");
    }
}
