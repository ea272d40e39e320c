//! From a request to a session: the handshake is completed, and the socket handed over or turned away
//! in words that its page can read.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    extract::{Query, Request, State},
    response::Response,
};
use broker::Bus;
use http::{HeaderMap, HeaderValue, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::{
    Edge, Remote,
    handshake::{self, Refusal},
    pages,
};
use crate::{
    admission::Admit,
    session::{
        self, Classic, Dialect, Peer,
        socket::{Socket, upgrade::Upgrade},
    },
};

/// The subprotocol that is spoken here.
const V1: &str = "parlor.v1.json";
/// What comes before the room's name in the address of a classic socket.
const CLASSIC: &str = "/ws/chat/";
/// Most events that the classic protocol replays.
const CLASSIC_HISTORY: u32 = 50;
/// How long a socket that was turned away may take to close.
const LINGER: Duration = Duration::from_secs(2);

/// Why a socket is turned away once it is open.
struct TurnAway {
    /// For the metric.
    label: &'static str,
    code: u16,
    reason: Cow<'static, str>,
}

#[derive(Deserialize)]
struct ClassicQuery {
    history: Option<String>,
    token: Option<String>,
}

/// `/ws`: Parlor's own protocol.
pub(super) async fn v1<B: Bus>(State(edge): State<Arc<Edge<B>>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let (remote, mut upgrade) = match begin(&edge, &mut parts) {
        Ok(begun) => begun,
        Err(refusal) => return refused(&edge, refusal),
    };
    let offered = offered(&parts.headers);
    let known = offered.iter().find(|protocol| *protocol == V1);
    // Some clients fail the handshake when none of what they offered comes back, and never see the close.
    if let Some(chosen) = known.or(offered.first()) {
        upgrade.set_selected_protocol(chosen.clone());
    }
    if known.is_none() {
        let away = TurnAway {
            label: "subprotocol",
            code: 4010,
            reason: format!("offer the subprotocol {V1}; reload the page").into(),
        };
        return turn_away(&edge, upgrade, away);
    }
    open(edge, remote, &parts.headers, upgrade, Dialect::V1)
}

/// `/ws/chat/<room>/`: the protocol of the tutorial chat.
pub(super) async fn classic<B: Bus>(
    State(edge): State<Arc<Edge<B>>>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let (remote, mut upgrade) = match begin(&edge, &mut parts) {
        Ok(begun) => begun,
        Err(refusal) => return refused(&edge, refusal),
    };
    if let Some(first) = offered(&parts.headers).into_iter().next() {
        upgrade.set_selected_protocol(first);
    }
    let dialect = Dialect::Classic(classic_of(&parts.uri));
    open(edge, remote, &parts.headers, upgrade, dialect)
}

/// What an address asks for, or what is wrong with it. A parameter without a value is as good as none.
fn classic_of(uri: &Uri) -> Result<Classic, &'static str> {
    const EXPECTED: &str = "expected at most ?history=<a number up to 50>&token=<a token>";
    let Query(query) = Query::<ClassicQuery>::try_from_uri(uri).map_err(|_| EXPECTED)?;
    let history = match query.history.as_deref() {
        None | Some("") => 0,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More digits than a number holds are more than enough.
            digits.parse().unwrap_or(u32::MAX)
        }
        Some(_) => return Err(EXPECTED),
    };
    let name = uri.path().strip_prefix(CLASSIC).unwrap_or_default();
    let name = name.strip_suffix('/').unwrap_or(name);
    Ok(Classic {
        // What is not UTF-8 is no name; the session says so in a way that a page can read.
        room: percent_decode_str(name).decode_utf8_lossy().into_owned(),
        history: history.min(CLASSIC_HISTORY),
        token: query.token.filter(|token| !token.is_empty()),
    })
}

fn begin<B: Bus>(edge: &Edge<B>, parts: &mut Parts) -> Result<(Remote, Upgrade), Refusal> {
    // The accept loop puts it there; without it nothing is known of the client.
    let remote = *parts.extensions.get::<Remote>().ok_or(Refusal::Malformed)?;
    handshake::check(edge, remote, parts)?;
    let upgrade = Upgrade::of(parts).ok_or(Refusal::Malformed)?;
    Ok((remote, upgrade))
}

fn refused<B: Bus>(edge: &Edge<B>, refusal: Refusal) -> Response {
    edge.metrics.refused(refusal.reason());
    refusal.response()
}

/// Hands the socket to a session, if its address may have one more.
fn open<B: Bus>(
    edge: Arc<Edge<B>>,
    remote: Remote,
    headers: &HeaderMap,
    upgrade: Upgrade,
    dialect: Dialect,
) -> Response {
    let address = edge.proxies.client(remote.0.ip(), headers);
    let guard = match edge.shared.admission.connect(address, Instant::now()) {
        Ok(guard) => guard,
        Err(admit) => return turn_away(&edge, upgrade, TurnAway::from(admit)),
    };
    let peer = Peer {
        address,
        lang: pages::language(headers),
        guard,
    };
    let shared = Arc::clone(&edge.shared);
    drop(edge);
    upgrade.on_upgrade(move |socket| session::run(socket, peer, dialect, shared))
}

fn turn_away<B: Bus>(edge: &Edge<B>, upgrade: Upgrade, away: TurnAway) -> Response {
    edge.metrics.refused(away.label);
    let max_message = edge.shared.limits.frame;
    upgrade.on_upgrade(move |upgraded| async move {
        let goodbye = Socket::new(upgraded, max_message).turn_away(away.code, &away.reason);
        // Whoever does not confirm is not waited for.
        let _ = timeout(LINGER, goodbye).await;
    })
}

impl From<Admit> for TurnAway {
    fn from(admit: Admit) -> Self {
        match admit {
            Admit::TooManyLive => Self {
                label: "too_many_live",
                code: 4012,
                reason: "too many live connections from this address".into(),
            },
            Admit::TooFast { retry } => Self {
                label: "too_fast",
                code: 4008,
                reason: format!(
                    "too many new connections from this address; retry in {} s",
                    retry.as_millis().div_ceil(1_000)
                )
                .into(),
            },
        }
    }
}

/// The subprotocols that the client offers, in its order.
fn offered(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| !protocol.is_empty())
        .filter_map(|protocol| HeaderValue::from_bytes(protocol).ok())
        .collect()
}
