//! Who comes in: by token, or as a new guest.

use std::{net::IpAddr, sync::Arc};

use broker::Bus;
use proto::Code;
use tokio::time::Instant;

use super::{Session, Who};
use crate::{
    clock::unix_ms,
    close::Close,
    identity::{Guest, TokenError},
    shared::Shared,
};

/// What somebody shows at the door.
pub(super) struct Credentials<'a> {
    pub(super) token: Option<&'a str>,
    /// Wished for.
    pub(super) nick: Option<&'a str>,
    pub(super) address: Option<IpAddr>,
}

/// Somebody who came in.
pub(super) struct Entered {
    /// To keep.
    pub(super) token: String,
    /// Why the wished nick was not taken.
    pub(super) nick_refused: Option<Code>,
}

/// Makes the session somebody's.
///
/// # Errors
/// The close that turns them away.
pub(super) fn enter<B: Bus>(
    shared: &Shared<B>,
    session: &Arc<Session>,
    credentials: &Credentials<'_>,
) -> Result<Entered, Close> {
    let now_ms = unix_ms();
    let wished = credentials
        .nick
        .map(|nick| proto::nick::parse(nick, shared.limits.nick));
    let (nick, nick_refused) = match wished {
        None => (None, None),
        Some(Ok(nick)) => (Some(nick), None),
        Some(Err(code)) => (None, Some(code)),
    };
    let guest = match credentials.token {
        Some(token) => known(shared, token, nick, now_ms)?,
        None => newcomer(shared, credentials.address, nick)?,
    };
    let token = shared.identity.issue(&guest.id, &guest.nick, now_ms);
    {
        let mut who = session.who.lock();
        *who = Who {
            id: guest.id.into(),
            nick: guest.nick.into(),
            lang: who.lang,
        };
    }
    shared.sessions.entered(session);
    Ok(Entered {
        token,
        nick_refused,
    })
}

fn known<B: Bus>(
    shared: &Shared<B>,
    token: &str,
    nick: Option<String>,
    now_ms: u64,
) -> Result<Guest, Close> {
    match shared.identity.verify(token, now_ms) {
        Ok(guest) => Ok(Guest {
            nick: nick.unwrap_or(guest.nick),
            id: guest.id,
        }),
        Err(TokenError::Refused) => Err(Close::TOKEN_REFUSED),
        Err(TokenError::Expired) => Err(Close::TOKEN_EXPIRED),
    }
}

fn newcomer<B: Bus>(
    shared: &Shared<B>,
    address: Option<IpAddr>,
    nick: Option<String>,
) -> Result<Guest, Close> {
    if !shared.guests {
        return Err(Close::TOKEN_REFUSED);
    }
    match shared.admission.new_guest(address, Instant::now()) {
        Ok(()) => Ok(shared.identity.new_guest(nick)),
        Err(_retry_after_ms) => Err(Close::TOO_MANY_GUESTS),
    }
}
