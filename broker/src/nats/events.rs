//! What a connection tells beside messages: that it came and went, that it dropped something, and that a
//! subject is denied.

use std::{collections::HashMap, sync::Arc};

use async_nats::{Event, ServerError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

/// Denied subjects that are remembered; a server that denies more is misconfigured beyond counting.
const MAX_DENIED: usize = 1_024;

/// Subjects that the server denied, and how often.
#[derive(Default)]
pub(super) struct Denials {
    counts: Mutex<HashMap<String, u64>>,
}

impl Denials {
    pub(super) fn of(&self, subject: &str) -> u64 {
        self.counts.lock().get(subject).copied().unwrap_or(0)
    }

    fn add(&self, subject: &str) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(subject) {
            *count += 1;
        } else if counts.len() < MAX_DENIED {
            counts.insert(subject.to_owned(), 1);
        }
    }
}

/// Where the events of one connection go.
pub(super) struct Events {
    pub(super) connection: &'static str,
    pub(super) connecting: watch::Sender<u64>,
    pub(super) losing: watch::Sender<u64>,
    pub(super) denials: Arc<Denials>,
}

impl Events {
    pub(super) fn noticed(&self, event: &Event) {
        let connection = self.connection;
        match event {
            Event::Connected => {
                info!(nats.connection = connection, "connected to nats");
                self.connecting.send_modify(|connects| *connects += 1);
            }
            Event::Disconnected => {
                warn!(
                    nats.connection = connection,
                    "disconnected from nats, trying again"
                );
                self.losing.send_modify(|losses| *losses += 1);
            }
            Event::SlowConsumer(_) => {
                // One event a dropped message: too many for a louder line.
                debug!(
                    nats.connection = connection,
                    "a subscription is too slow: dropped a message"
                );
                self.losing.send_modify(|losses| *losses += 1);
            }
            // A denied subject shows only here: to its caller it is a time-out.
            Event::ServerError(ServerError::Other(why)) => {
                let subject = denied(why);
                if let Some(subject) = subject {
                    self.denials.add(subject);
                }
                error!(
                    nats.connection = connection,
                    nats.subject = subject,
                    error = why,
                    "nats-server refuses: check the permissions of this user"
                );
            }
            other => debug!(nats.connection = connection, nats.event = %other, "nats event"),
        }
    }
}

/// The subject of `Permissions Violation for Publish to "a.b"`.
fn denied(why: &str) -> Option<&str> {
    let violation = why
        .get(..21)
        .is_some_and(|start| start.eq_ignore_ascii_case("Permissions Violation"));
    violation.then(|| why.split('"').nth(1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_its_subject() {
        assert_eq!(
            denied(r#"Permissions Violation for Publish to "a.b""#),
            Some("a.b")
        );
        assert_eq!(
            denied(r#"Permissions Violation for Subscription to "a.*""#),
            Some("a.*")
        );
        assert_eq!(denied("Maximum Payload Violation"), None);
    }
}
