//! What operators are told of replicas, in log lines.

use tracing::{error, info, warn};

use super::{
    clock::Verdict,
    placement::{News, off_by},
};

/// Writes the line of a piece of news.
pub(super) fn tell(news: &News) {
    match news {
        News::Joined(process) => info!(replica.process = %process, "replica joined"),
        News::Left(process) => info!(replica.process = %process, "replica left"),
        News::Died { process, owned } => warn!(
            replica.process = %process,
            partitions.owned = owned,
            "replica is dead: it does not answer any more"
        ),
        News::Slept(late) => warn!(
            late.ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
            "this process did not run for a while: it listens before it claims anything"
        ),
        News::Clock(Verdict::Right) => info!("this machine's clock agrees with its peers'"),
        News::Clock(Verdict::Off(ahead_ms)) => error!(
            clock.peers_ahead_ms = ahead_ms,
            "this machine's clock is {}: it gives its partitions up until that is corrected",
            off_by(*ahead_ms)
        ),
        News::Clock(Verdict::Unclear(ahead_ms)) => warn!(
            clock.peers_ahead_ms = ahead_ms,
            "the clocks of two replicas differ, and nothing tells which one is wrong: partitions stay where \
             they are until one is corrected"
        ),
        News::Doubled(Some(twin)) => error!(
            replica.process = %twin,
            "replica ids doubled: another process runs with this replica's id, so this one owns nothing; \
             give each room service a --replica-id of its own"
        ),
        News::Doubled(None) => info!("this replica's id is its own again"),
        News::LogSilent { pp, owner } => warn!(
            partition.id = %pp,
            replica.process = %owner,
            "the log does not answer its owner, but answers here: claiming"
        ),
    }
}
