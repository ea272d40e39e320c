//! Nicks that change: one message on the bus for every gateway, one `user` frame for every session that
//! shares a room with the user, the user's own included. A user's other sockets may be in other rooms, at
//! other gateways: each gateway tells those of its rooms that it knows the user to be in.

use std::{collections::HashSet, sync::Arc};

use broker::{Bus, Delivery, Subscription as _};
use prost::Message as _;
use proto::{RoomId, bus::v1::UserChanged, frame::ServerFrame};
use tracing::{debug, warn};

use crate::{
    hub::Form,
    session::{Session, socket::Text},
    shared::Shared,
};

/// Listens to changed nicks until the bus is closed.
pub(crate) async fn run<B: Bus>(shared: Arc<Shared<B>>) {
    let mut changes = shared.subscribe(&shared.subjects.user()).await;
    while let Some(delivery) = changes.next().await {
        let Delivery::Message(message) = delivery else {
            // A nick that is missed shows with the user's next message.
            continue;
        };
        match UserChanged::decode(message.payload) {
            Ok(change) => tell(&shared, &change),
            Err(error) => warn!(error = %error, "a changed nick could not be decoded"),
        }
    }
}

/// Tells every gateway, or at least this one, that a session's user is called something else.
pub(crate) async fn announce<B: Bus>(shared: Arc<Shared<B>>, session: Arc<Session>) {
    let who = session.who();
    let change = UserChanged {
        id: who.id.to_string(),
        nick: who.nick.to_string(),
        rooms: session.rooms(),
    };
    let payload = change.encode_to_vec().into();
    let subject = shared.subjects.user();
    if let Err(error) = shared.bus.publish(&subject, payload, None).await {
        debug!(error = %error, "a changed nick was not sent to other gateways");
        tell(&shared, &change);
    }
}

fn tell<B>(shared: &Shared<B>, change: &UserChanged) {
    let text = Text::from(frame(change));
    let mut told = HashSet::new();
    let mut rooms: HashSet<_> = change.rooms.iter().cloned().collect();
    for session in shared.sessions.of_user(&change.id) {
        session.renamed(&change.id, &change.nick);
        rooms.extend(session.rooms());
        tell_one(&session, &text, &mut told);
    }
    for room in rooms {
        let room = RoomId::parse(&room).ok().and_then(|id| shared.hub.get(&id));
        for session in room.iter().flat_map(|room| room.sessions()) {
            tell_one(&session, &text, &mut told);
        }
    }
}

fn tell_one(session: &Session, text: &Text, told: &mut HashSet<u64>) {
    if session.form == Form::V1 && told.insert(session.id) {
        session.outbox.control(text.clone());
    }
}

fn frame(change: &UserChanged) -> String {
    ServerFrame::User {
        id: &change.id,
        nick: &change.nick,
    }
    .encode()
}
