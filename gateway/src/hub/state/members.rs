//! Members: what somebody who joins is shown, and how those who are behind come up again.

use std::sync::Arc;

use proto::{
    bus::v1::Room as View,
    frame::{Cursor, ServerFrame, server::JoinGap},
};

use super::{
    super::{
        Room,
        delivery::{Encoder, Entry, Form},
    },
    Cx, Member, State,
    readings::{CATCH_UP, Missing},
};
use crate::{
    close::Close,
    outbox::FeedId,
    session::{Session, socket::Text},
};

/// Bytes that a feed is filled up with at a time.
const FILL_BYTES: usize = 64 * 1024;
/// Events shown after a gap that is too large to be read (PROTOCOL section 4 rule 4).
const AFTER_GAP: u64 = 50;

/// What somebody who joins asks for.
#[derive(Clone, Copy)]
pub(in crate::hub) struct Wish<'a> {
    pub(in crate::hub) after: Option<&'a Cursor>,
    /// Events without a cursor, or after a gap.
    pub(in crate::hub) history: u32,
    /// Events that a cursor may be behind.
    pub(in crate::hub) catch_up: u32,
}

/// A room as somebody who joins is shown it.
pub(in crate::hub) struct Piece {
    pub(in crate::hub) generation: String,
    pub(in crate::hub) head: u64,
    pub(in crate::hub) oldest: u64,
    /// Empty as long as the room has no event.
    pub(in crate::hub) name: String,
    /// Sockets at other gateways.
    pub(in crate::hub) online: u64,
    /// The client has, or is told that it will not get, what is up to this seq.
    pub(in crate::hub) after: u64,
    /// What follows.
    pub(in crate::hub) entries: Vec<Arc<Entry>>,
    pub(in crate::hub) gap: Option<JoinGap>,
}

/// Whether a join can be answered from here.
pub(in crate::hub) enum Found {
    Piece(Piece),
    /// The cursor is of another numbering or above the head, as far as is known: the owner has to be
    /// asked first.
    Doubt,
    /// The owner has to be asked for events that are not here, by a state that holds this seq.
    Deep {
        min_seq: u64,
    },
}

/// What somebody was shown does not go on with what the room is by now.
#[derive(Debug)]
pub(in crate::hub) struct Outdated;

/// Somebody became a member.
#[derive(Debug)]
pub(in crate::hub) struct Admitted {
    pub(in crate::hub) is_first: bool,
    /// The rest is to be filled up.
    pub(in crate::hub) starts_refill: bool,
}

/// What became of filling a feed up.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hub) enum Fill {
    /// It is live, or gone.
    Done,
    /// There is more, when the socket has taken this.
    More,
    /// The owner has to be asked.
    Read(Missing),
    /// Nothing can be said now.
    Later,
}

/// Events above `from` that were read for one feed.
pub(in crate::hub) struct Refill {
    pub(in crate::hub) from: u64,
    pub(in crate::hub) to: u64,
    pub(in crate::hub) texts: Vec<Text>,
    pub(in crate::hub) is_reset: bool,
}

impl State {
    /// What somebody who joins is shown, as far as it is here. `is_sure` when an owner was asked since it
    /// was asked for.
    pub(in crate::hub) fn piece(&self, wish: &Wish<'_>, is_sure: bool) -> Found {
        let Some(last) = self.last else {
            return Found::Doubt;
        };
        let below = self.card.oldest.saturating_sub(1).min(last);
        let newest = last.saturating_sub(wish.history.into()).max(below);
        let (after, gap) = match wish.after {
            None => (newest, None),
            Some(cursor) if cursor.seq > last || !self.is_of_here(cursor) => {
                if !is_sure {
                    return Found::Doubt;
                }
                (newest, Some(JoinGap::Reset { reset: true }))
            }
            Some(cursor) => {
                let is_near = last - cursor.seq <= u64::from(wish.catch_up);
                let after = if is_near {
                    cursor.seq.max(below)
                } else {
                    newest
                };
                (after, missing(cursor.seq, after))
            }
        };
        if after < last && !self.ring.reaches(after) {
            let seq = wish.after.map_or(0, |cursor| cursor.seq);
            return Found::Deep {
                min_seq: last.max(seq),
            };
        }
        Found::Piece(Piece {
            generation: self.generation.clone(),
            head: last,
            oldest: self.card.oldest,
            name: self.card.name.clone(),
            online: self.card.online,
            after,
            entries: self.ring.above(after).map(Arc::clone).collect(),
            gap,
        })
    }

    /// Makes somebody a member who is shown a room of this numbering up to `at`. Who was one before is
    /// shown the room anew.
    pub(in crate::hub) fn admit(
        &mut self,
        cx: &Cx<'_>,
        room: &Arc<Room>,
        session: &Arc<Session>,
        (generation, at): (&str, u64),
        joined: Option<Text>,
    ) -> Result<Admitted, Outdated> {
        if self.last.is_none() || !self.fits(generation) {
            return Err(Outdated);
        }
        let is_first = self.members.is_empty();
        if let Some(before) = self.members.remove(&session.id) {
            session.outbox.shut(before.feed);
        }
        if let Some(joined) = joined {
            session.outbox.control(joined);
        }
        let member = Member {
            session: Arc::clone(session),
            feed: session.outbox.open(Arc::downgrade(room), at),
        };
        // What is left to do is done by the refill.
        let _ = self.fill_member(cx, &member);
        self.members.insert(session.id, member);
        Ok(Admitted {
            is_first,
            starts_refill: session.outbox.starts_refill(),
        })
    }

    /// Fills a member's feed up as far as that can be done from here.
    pub(in crate::hub) fn fill(&self, cx: &Cx<'_>, session: u64, feed: FeedId) -> Fill {
        match self.members.get(&session) {
            Some(member) if member.feed == feed => self.fill_member(cx, member),
            _ => Fill::Done,
        }
    }

    /// Takes events that were read for a member's feed.
    pub(in crate::hub) fn refill(
        &self,
        cx: &Cx<'_>,
        session: u64,
        feed: FeedId,
        refill: Refill,
    ) -> Fill {
        let member = match self.members.get(&session) {
            Some(member) if member.feed == feed => member,
            _ => return Fill::Done,
        };
        let outbox = &member.session.outbox;
        if refill.is_reset {
            // It has what the owner says there is not.
            outbox.close(Close::TOO_SLOW);
            return Fill::Done;
        }
        let (count, is_progress) = (refill.texts.len() as u64, refill.to > refill.from);
        if !outbox.fill(feed, refill.from, refill.texts, refill.to, false) {
            return Fill::More;
        }
        cx.metrics.deliveries.inc_by(count);
        match self.fill_member(cx, member) {
            Fill::Done => Fill::Done,
            _ if is_progress => Fill::More,
            _ => Fill::Later,
        }
    }

    fn fill_member(&self, cx: &Cx<'_>, member: &Member) -> Fill {
        let (outbox, feed) = (&member.session.outbox, member.feed);
        let Some(at) = outbox.behind(feed) else {
            return Fill::Done;
        };
        let Some(last) = self.last else {
            return Fill::Later;
        };
        if at >= last {
            outbox.fill(feed, at, [], at, true);
            return Fill::Done;
        }
        if self.ring.reaches(at) {
            return self.fill_from_ring(cx, member, at, last);
        }
        let newest = last.saturating_sub(AFTER_GAP);
        if last - at > u64::from(CATCH_UP) && self.ring.reaches(newest) {
            let gap = gap(&self.encoder(cx), member.session.form, at, newest);
            outbox.fill(feed, at, gap, newest, false);
            return Fill::More;
        }
        Fill::Read(self.missing_above(at))
    }

    fn fill_from_ring(&self, cx: &Cx<'_>, member: &Member, at: u64, last: u64) -> Fill {
        let encoder = self.encoder(cx);
        let mut texts = Vec::new();
        let mut bytes = 0;
        let mut to = at;
        for entry in self.ring.above(at) {
            if bytes >= FILL_BYTES {
                break;
            }
            to = entry.seq();
            if let Some(text) = entry.text(member.session.form, &encoder) {
                bytes += text.len();
                texts.push(text.clone());
            }
        }
        let count = texts.len() as u64;
        let is_all = to == last;
        if member
            .session
            .outbox
            .fill(member.feed, at, texts, to, is_all)
        {
            cx.metrics.deliveries.inc_by(count);
        }
        if is_all { Fill::Done } else { Fill::More }
    }

    fn is_of_here(&self, cursor: &Cursor) -> bool {
        cursor.seq == 0 || cursor.generation.is_empty() || cursor.generation == self.generation
    }
}

impl Piece {
    /// What an owner answered to somebody with a wish.
    pub(in crate::hub) fn of(view: View, wish: &Wish<'_>) -> Self {
        let first = view.events.first().map_or(view.head + 1, |event| event.seq);
        let gap = match wish.after {
            _ if view.reset => Some(JoinGap::Reset { reset: true }),
            Some(cursor) => missing(cursor.seq, first - 1),
            None => None,
        };
        Self {
            generation: view.r#gen,
            head: view.head,
            oldest: view.oldest,
            name: view.name,
            online: view.online,
            after: first - 1,
            entries: view.events.into_iter().map(Entry::new).collect(),
            gap,
        }
    }
}

impl Refill {
    /// What an owner answered to the question for what comes after `from`.
    pub(in crate::hub) fn of(view: View, from: u64, form: Form, encoder: &Encoder<'_>) -> Self {
        let first = view.events.first().map_or(view.head + 1, |event| event.seq);
        let to = view.events.last().map_or(view.head, |event| event.seq);
        let mut texts = gap(encoder, form, from, first - 1);
        let events = view.events.into_iter().filter(|event| event.seq > from);
        texts.extend(events.filter_map(|event| Entry::new(event).text(form, encoder).cloned()));
        Self {
            from,
            to: to.max(from),
            texts,
            is_reset: view.reset,
        }
    }
}

/// What is missing between what a client has and what it gets.
fn missing(has: u64, after: u64) -> Option<JoinGap> {
    (after > has).then_some(JoinGap::Missing {
        from: has + 1,
        to: after,
    })
}

/// The frame that says so, if anything is and the form knows such a frame.
fn gap(encoder: &Encoder<'_>, form: Form, has: u64, after: u64) -> Vec<Text> {
    if after <= has || form == Form::Classic {
        return Vec::new();
    }
    let frame = ServerFrame::Gap {
        room: encoder.room.as_str(),
        from: has + 1,
        to: after,
    };
    vec![Text::from(frame.encode())]
}
