//! Names of room services' processes, and the time their doings are told at.

use std::{fmt, sync::Arc, time::Duration};

/// A process: its replica id, and a random id of its own, so that a restarted replica is another process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Process {
    name: Arc<str>,
    dot: usize,
}

impl Process {
    /// `<replica id>.<random id>`, as announced; `None` when it is not made like that. The random id
    /// becomes a token of subjects, so it must be hexadecimal.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (replica, token) = name.rsplit_once('.')?;
        let is_token = !token.is_empty() && token.bytes().all(|b| b.is_ascii_hexdigit());
        (is_token && !replica.is_empty()).then(|| Self {
            dot: replica.len(),
            name: name.into(),
        })
    }

    /// What placement goes by: the same after a restart.
    pub(super) fn replica(&self) -> &str {
        &self.name[..self.dot]
    }

    /// Under which its process is asked: `parlor.ping.<token>`.
    pub(super) fn token(&self) -> &str {
        &self.name[self.dot + 1..]
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The time an input is handled at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Since this process began; never runs backwards.
    pub(super) mono: Duration,
    /// The wall clock, milliseconds since 1970-01-01 UTC. It may jump.
    pub(super) unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_process_is_a_replica_and_a_token_for_subjects() {
        let process = Process::parse("room-0.00ff").unwrap();
        assert_eq!((process.replica(), process.token()), ("room-0", "00ff"));
        assert_eq!(process.to_string(), "room-0.00ff");
        for wrong in ["", "room-0", ".ff", "a.", "a.*", "a.>", "a.x y"] {
            assert_eq!(Process::parse(wrong), None, "{wrong}");
        }
    }
}
