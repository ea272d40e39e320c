//! Into a room: listen first, then show the client what it lacks, then let the events go that came
//! meanwhile. So nothing is missing and nothing comes twice, however the three interleave.
//!
//! What it lacks is here, most of the time: those who come to a room that nobody knows yet wait for one
//! reading together, and only who was away for long has the owner asked for more.

use std::{sync::Arc, time::Duration};

use broker::Bus;
use proto::{Code, RoomId, frame::Cursor};

use super::{
    Hub, Room,
    delivery::Form,
    joined, reading,
    state::{Found, Missing, Outdated, Piece, Stale, Wish},
};
use crate::{
    session::{Membership, Session},
    shared::Shared,
    upstream::{RETRY_AFTER_MS, Unavailable},
};

/// How long a join waits for the broker to have the subscription.
const LISTEN_WITHIN: Duration = Duration::from_secs(15);
/// How long it waits for what an owner has to say, which may be behind the readings of other rooms.
const KNOWN_WITHIN: Duration = Duration::from_secs(15);
/// How often what is shown may turn out not to go on with what the room is, before a join is given up.
const ATTEMPTS: usize = 5;

/// What a client wants to join.
pub(crate) struct Join {
    pub(crate) room: RoomId,
    /// As typed.
    pub(crate) asked: String,
    pub(crate) after: Option<Cursor>,
    /// Events without a cursor.
    pub(crate) history: u32,
}

/// A join or send that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refusal {
    pub(crate) const UNAVAILABLE: Self = Self {
        code: Code::Unavailable,
        retry_after_ms: Some(RETRY_AFTER_MS),
    };

    /// A refusal that no retry helps against.
    pub(crate) fn for_good(code: Code) -> Self {
        Self {
            code,
            retry_after_ms: None,
        }
    }

    /// What an owner refused.
    pub(crate) fn of(refused: &proto::bus::v1::Refused) -> Self {
        // A code of a later version says nothing to our clients but that it is refused for good.
        let code = refused.code.parse().unwrap_or(Code::Internal);
        let can_retry = matches!(code, Code::RateLimited | Code::SlowMode | Code::Unavailable);
        Self {
            code,
            retry_after_ms: can_retry.then_some(refused.retry_after_ms.max(1)),
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Self::UNAVAILABLE
    }
}

/// A join under way.
struct Joining<'a, B> {
    shared: &'a Arc<Shared<B>>,
    session: &'a Arc<Session>,
    room: &'a Arc<Room>,
    join: &'a Join,
}

/// Joins, or joins anew. When it returns `Ok` the session is a member and `joined` is queued for it; what
/// did not fit into that follows.
pub(crate) async fn join<B: Bus>(
    shared: &Arc<Shared<B>>,
    session: &Arc<Session>,
    join: Join,
) -> Result<(), Refusal> {
    let is_new = session.membership(&join.room).is_none();
    let pp = shared
        .upstream
        .partition_of(&join.room)
        .ok_or(Unavailable)?;
    let room = Hub::enter(shared, &join.room, pp);
    let joining = Joining {
        shared,
        session,
        room: &room,
        join: &join,
    };
    if let Err(refusal) = joining.run().await {
        room.let_go();
        return Err(refusal);
    }
    let membership = Membership {
        room: Arc::clone(&room),
        asked: join.asked,
    };
    if !session.admit(membership) {
        // The socket was closed meanwhile, and with it all memberships but this.
        room.leave(session.id);
    } else if !is_new {
        // The membership keeps what was entered for the first.
        room.let_go();
    }
    Ok(())
}

impl<B: Bus> Joining<'_, B> {
    async fn run(&self) -> Result<(), Refusal> {
        let listening = tokio::time::timeout(LISTEN_WITHIN, self.room.listening());
        listening.await.map_err(|_| Unavailable)?;
        self.session.outbox.wait_low().await;
        let mut expected = self.room.expect(self.join.after.as_ref());
        let mut is_sure = false;
        for _ in 0..ATTEMPTS {
            let known = tokio::time::timeout(KNOWN_WITHIN, expected.known(self.shared));
            known.await.map_err(|_| Unavailable)??;
            let piece = match self.room.piece(&self.wish(), is_sure) {
                Found::Piece(piece) => {
                    self.shared.metrics.ring_joins.inc();
                    piece
                }
                Found::Doubt => {
                    is_sure = true;
                    expected.need_anew();
                    continue;
                }
                Found::Deep { min_seq } => match self.read(min_seq).await? {
                    Ok(piece) => piece,
                    Err(Stale) => continue,
                },
            };
            if self.show(&piece).is_ok() {
                return Ok(());
            }
        }
        Err(Refusal::UNAVAILABLE)
    }

    /// What the owner has of what is wished for.
    async fn read(&self, min_seq: u64) -> Result<Result<Piece, Stale>, Refusal> {
        let wish = self.wish();
        let missing = Missing {
            after: wish.after.map(|cursor| cursor.seq),
            generation: wish
                .after
                .map_or_else(String::new, |cursor| cursor.generation.clone()),
            min_seq,
            limit: wish.history,
            catch_up: wish.catch_up,
        };
        let (view, epoch) = reading::read(self.shared, self.room.id(), missing).await?;
        Ok(self
            .room
            .heard(&view, epoch)
            .map(|()| Piece::of(view, &wish)))
    }

    fn show(&self, piece: &Piece) -> Result<(), Outdated> {
        let (session, room) = (self.session, self.room);
        let encoder = room.encoder(self.shared, &piece.generation);
        let (joined, at) = match session.form {
            Form::V1 => {
                let members = room.members_with(session.id);
                let (joined, at) = joined::frame(&encoder, piece, &self.join.asked, members);
                (Some(joined), at)
            }
            // Lines are all there is, and they follow.
            Form::Classic => (None, piece.after),
        };
        let admitted = room.admit(self.shared, session, (&piece.generation, at), joined)?;
        if admitted.is_first {
            self.shared.presence.changed(room.pp());
        }
        Ok(())
    }

    fn wish(&self) -> Wish<'_> {
        Wish {
            after: self.join.after.as_ref(),
            history: self.join.history,
            catch_up: self.shared.limits.catch_up,
        }
    }
}
