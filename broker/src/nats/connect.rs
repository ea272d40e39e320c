//! Connections: who we are, how we come back, and what a lost connection means to subscribers.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr, connection::State};
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::{
    Options,
    confirm::Confirm,
    events::{Denials, Events},
    login::{Login, read_login, without_password},
};

/// Oldest nats-server that keeps the promises of log and store.
const FLOOR: (u64, u64, u64) = (2, 12, 1);
/// The same with three replicas.
const FLOOR_REPLICATED: (u64, u64, u64) = (2, 14, 4);
/// A dead connection is noticed within three of these (async-nats lets two pings go unanswered): soon enough
/// for requests of gateways, which wait 15 s; late enough for a server that is stopped for a moment.
const PING_EVERY: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest pause between attempts to come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Messages that may wait in one subscription; what overflows is lost, and said to be.
const SUBSCRIPTION_CAPACITY: usize = 65_536;

/// NATS cannot be used. The words say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("--nats {0}: {1}; expected nats://host:port, several separated by commas")]
    Url(String, String),
    /// The credentials file cannot be used.
    #[error(
        "--nats-creds {0}: {1}; expected a .creds file or a file whose first line is user:password"
    )]
    File(String, String),
    /// The server does not let us in.
    #[error(
        "nats-server refuses our credentials: check --nats-creds, or user:password in --nats, against \
         the server's accounts"
    )]
    Credentials,
    /// The server is too old.
    #[error("nats-server {found} is too old: this needs {needed} or newer")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest one that will do.
        needed: String,
    },
    /// The server takes too small messages.
    #[error("nats-server's max_payload is {0} bytes: set it to 1MB (1048576) or more")]
    MaxPayload(usize),
}

/// Makes connections with the same credentials and manners.
pub(super) struct Dialer {
    servers: Vec<ServerAddr>,
    login: Login,
    inbox: String,
    confirm: Confirm,
    name: String,
}

/// A connection, and what became of what it said and heard.
pub(super) struct Connection {
    pub(super) client: Client,
    /// Rises whenever messages of this connection's subscriptions may have been lost.
    pub(super) losses: watch::Receiver<u64>,
    denials: Arc<Denials>,
    confirm: Confirm,
    _resuming: AbortOnDropHandle<()>,
}

impl Connection {
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often the server has denied a subject. It tells nobody but the log, so who sent something
    /// compares before and after.
    pub(super) fn denials_of(&self, subject: &str) -> u64 {
        self.denials.of(subject)
    }

    /// Waits until the server has taken in all that was said on this connection.
    pub(super) async fn confirm(&self) -> Result<(), String> {
        self.confirm.wait(&self.client).await
    }
}

impl Dialer {
    pub(super) fn new(options: &Options) -> Result<Self, ConnectError> {
        let wrong = |why: String| ConnectError::Url(without_password(&options.url), why);
        let parse = |url: &str| {
            let server = url.trim().parse::<ServerAddr>();
            let server = server.map_err(|error| wrong(error.to_string()))?;
            if server.host().is_empty() || !["nats", "tls"].contains(&server.scheme()) {
                return Err(wrong("there is no host, or another scheme".to_owned()));
            }
            Ok(server)
        };
        let servers: Vec<_> = options
            .url
            .split(',')
            .map(parse)
            .collect::<Result<_, _>>()?;
        // async-nats ignores what stands before the @, so it is passed on by option.
        let in_url = servers.iter().find_map(|server| {
            Some(Login::Password(
                server.username()?.to_owned(),
                server.password()?.to_owned(),
            ))
        });
        let login = match &options.creds {
            Some(file) => read_login(file)?,
            None => in_url.unwrap_or(Login::None),
        };
        let inbox = options.subjects.inbox(&options.role);
        let confirm = Confirm::new(options.subjects.prefix(), &inbox);
        Ok(Self {
            servers,
            login,
            inbox,
            confirm,
            name: format!("parlor {}", options.role),
        })
    }

    fn options(&self, name: &str) -> Result<ConnectOptions, ConnectError> {
        let options = ConnectOptions::new()
            .name(format!("{} {name}", self.name))
            .custom_inbox_prefix(&self.inbox)
            .ping_interval(PING_EVERY)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(Duration::from_secs(1)))
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .reconnect_delay_callback(pause);
        match &self.login {
            Login::None => Ok(options),
            Login::Password(user, password) => {
                Ok(options.user_and_password(user.clone(), password.clone()))
            }
            Login::Credentials { file, text } => options
                .credentials(text)
                .map_err(|error| ConnectError::File(file.clone(), error.to_string())),
        }
    }

    /// A connection that comes back by itself, beginning with the first time.
    pub(super) async fn dial(&self, name: &'static str) -> Result<Connection, ConnectError> {
        let (losing, losses) = watch::channel(0);
        let (connecting, connects) = watch::channel(0);
        let denials = Arc::new(Denials::default());
        let events = Events {
            connection: name,
            connecting,
            losing: losing.clone(),
            denials: Arc::clone(&denials),
        };
        let on_event = move |event| {
            events.noticed(&event);
            std::future::ready(())
        };
        let options = self
            .options(name)?
            .event_callback(on_event)
            .retry_on_initial_connect();
        let client = Box::pin(options.connect(self.servers.as_slice())).await;
        let client = client.map_err(|error| {
            let servers = self.servers.iter().map(|server| server.as_url_str());
            let servers = without_password(&servers.collect::<Vec<_>>().join(","));
            ConnectError::Url(servers, error.to_string())
        })?;
        let resuming = resume(client.clone(), self.confirm.clone(), connects, losing);
        Ok(Connection {
            client,
            losses,
            denials,
            confirm: self.confirm.clone(),
            _resuming: AbortOnDropHandle::new(tokio::spawn(resuming)),
        })
    }

    /// Connects once more without patience, to hear why it fails.
    pub(super) async fn verify(&self, replicas: u8) -> Result<(), ConnectError> {
        let mut attempt = 0;
        loop {
            let error = match self
                .options("check")?
                .connect(self.servers.as_slice())
                .boxed()
                .await
            {
                Ok(client) => return check(&client, replicas),
                Err(error) => error,
            };
            match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    return Err(ConnectError::Credentials);
                }
                _ if attempt == 0 => {
                    warn!(error = %error, "nats is away, trying again until it is there");
                }
                _ => debug!(error = %error, "nats is still away"),
            }
            attempt += 1;
            tokio::time::sleep(pause(attempt)).await;
        }
    }
}

fn check(client: &Client, replicas: u8) -> Result<(), ConnectError> {
    let server = client.server_info();
    let needed = if replicas >= 3 {
        FLOOR_REPLICATED
    } else {
        FLOOR
    };
    if version(&server.version) < needed {
        let (major, minor, patch) = needed;
        let needed = format!("{major}.{minor}.{patch}");
        return Err(ConnectError::TooOld {
            found: server.version,
            needed,
        });
    }
    if server.max_payload < crate::MAX_RECORD {
        return Err(ConnectError::MaxPayload(server.max_payload));
    }
    Ok(())
}

/// `2.15.2` or `2.14.0-beta.1`; what is not a number counts as 0.
fn version(text: &str) -> (u64, u64, u64) {
    let numbers = text.trim_start_matches('v').split(['.', '-', '+']);
    let mut numbers = numbers.map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Doubling pauses with full jitter.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(6)).unwrap_or(6);
    let most = Duration::from_millis(50 << doublings).min(LONGEST_PAUSE);
    most.mul_f64(rand::random_range(0.1..1.0))
}

/// After each return of a connection: once the server has its subscriptions again, says that messages
/// may have been lost. Said any earlier, what is lost until then would never be noticed.
async fn resume(
    client: Client,
    confirm: Confirm,
    mut connects: watch::Receiver<u64>,
    losing: watch::Sender<u64>,
) {
    while connects.changed().await.is_ok() {
        // Before the first connection there were no subscriptions.
        if *connects.borrow_and_update() == 1 {
            continue;
        }
        while let Err(why) = confirm.wait(&client).await {
            debug!(error = why, "the subscriptions are not confirmed yet");
            if client.connection_state() != State::Connected {
                break;
            }
        }
        losing.send_modify(|losses| *losses += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version("2.9.30") < FLOOR);
        assert!(version("2.12.0") < FLOOR);
        assert!(version("2.12.1") >= FLOOR);
        assert!(version("v2.15.2") >= FLOOR_REPLICATED);
        assert_eq!(version("2.14.0-beta.1"), (2, 14, 0));
    }
}
