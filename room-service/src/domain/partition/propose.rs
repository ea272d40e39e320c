//! Judging sends and putting them into one commit: each in order dedupe, validate, assign, against the
//! state and the batch so far.

use bytes::Bytes;
use proto::{
    Code, RoomId,
    bus::v1::{Acked, Refused, Send, reply, send::Body},
    log::v1::{COMMIT_FORMAT, Commit, Delete, Event, Reaction, event::Kind},
    text,
};
use rand::RngExt as _;

use super::{Held, Load, Now, Partition, Submission, Waiting};
use crate::domain::{
    dedupe::DEDUPE_EVENTS,
    draft::{Draft, Placing},
    page::MAX_EMOJI,
    record,
    room::{Look, Room},
};

/// A batch is closed when its events reach this (DESIGN section 5).
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// What one room may put into a batch in its turn while others wait.
const MAX_TURN_BYTES: usize = 64 * 1024;
/// Requests in a batch, so that answers to repeats are not held back by many more of them.
const MAX_BATCH_REQUESTS: usize = 4_096;
/// Edits of one message: their seqs are kept with it.
const MAX_EDITS: usize = 500;
/// Code points of an emoji: the longest sequences have ten, joiners included.
const MAX_EMOJI_CHARS: usize = 16;

/// What became of a submission in a batch. Nothing of it is told to anybody before the log has
/// confirmed the batch.
pub(super) enum Verdict {
    Placed(Acked),
    Decided(reply::Result),
}

/// What a look at a submission came to.
enum Judged {
    Verdict(Verdict),
    /// It builds on something in this batch, whose outcome decides.
    Later,
    /// Something has to be loaded for it.
    Wait(Load),
}

/// Why a body gives no event.
enum Unfit {
    Refused(Code),
    Later,
    Page(u64),
    Reacts(u64),
}

impl From<Code> for Unfit {
    fn from(code: Code) -> Self {
        Self::Refused(code)
    }
}

/// A proposed commit, and the answers that depend on it.
pub struct Batch<T> {
    /// The record to append; `None` when the batch has answers only.
    pub record: Option<Bytes>,
    /// Events in the record.
    pub events: usize,
    pub(in crate::domain) commit: Option<Commit>,
    pub(super) items: Vec<(Submission<T>, Verdict)>,
}

impl<T> Batch<T> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whom it answers.
    pub fn askers(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(submission, _)| &submission.asker)
    }

    fn new(
        items: Vec<(Submission<T>, Verdict)>,
        draft: Draft,
        now: Now,
        epoch: u64,
        owner: &str,
    ) -> Self {
        let rooms = draft.into_rooms();
        let events = rooms.iter().map(|room| room.events.len()).sum();
        let commit = (!rooms.is_empty()).then(|| Commit {
            format: COMMIT_FORMAT,
            epoch,
            owner: owner.to_owned(),
            ts_ms: now.unix_ms,
            rooms,
        });
        Self {
            record: commit.as_ref().map(record::encode),
            events,
            commit,
            items,
        }
    }
}

impl<T> Partition<T> {
    /// Takes waiting sends, rooms in turn, and proposes one commit.
    pub fn propose(&mut self, now: Now, epoch: u64, owner: &str) -> Batch<T> {
        let mut draft = Draft::default();
        let mut items = Vec::new();
        let mut wait_for_outcome = Vec::new();
        while draft.bytes < MAX_BATCH_BYTES && items.len() < MAX_BATCH_REQUESTS {
            let Some(mut turn) = self.queue.take_turn() else {
                break;
            };
            let quota = draft.bytes + MAX_TURN_BYTES;
            while draft.bytes < MAX_BATCH_BYTES
                && items.len() < MAX_BATCH_REQUESTS
                && (draft.bytes < quota || self.queue.is_empty())
                && let Some(mut submission) = turn.pop_front()
            {
                match self.judge(&mut submission, &mut draft, now) {
                    Judged::Verdict(verdict) => items.push((submission, verdict)),
                    Judged::Later => wait_for_outcome.push(submission),
                    Judged::Wait(load) => self.wait_for(load, Waiting::Send(submission)),
                }
            }
            self.queue.end_turn(turn);
        }
        self.queue.push_front(wait_for_outcome);
        Batch::new(items, draft, now, epoch, owner)
    }

    fn judge(&mut self, submission: &mut Submission<T>, draft: &mut Draft, now: Now) -> Judged {
        let id = &submission.room;
        let is_new = self.is_certainly_new(id);
        let room = match self.rooms.get_mut(id) {
            _ if self.damaged.contains(id) => return refused(Code::Internal, 0),
            Some(Held::Present(room)) => Some(room),
            Some(Held::Absent) => None,
            Some(Held::Broken) => return refused(Code::Internal, 0),
            None if is_new => None,
            None => return Judged::Wait(Load::Room(id.clone())),
        };
        if room.is_none() && !self.rules.auto_create {
            return refused(Code::RoomUnknown, 0);
        }
        let send = &submission.send;
        let user = send.from.as_ref().map_or("", |from| from.id.as_str());
        if draft.holds(id, user, &send.cid) {
            return Judged::Later;
        }
        let Some(body) = &send.body else {
            return refused(Code::Malformed, 0);
        };
        let body_tag = self.rules.tagger.tag(body);
        if let Some(room) = room
            && let Some(judged) = repeated(id, room, send, user, body_tag)
        {
            return judged;
        }
        let room = present(self.rooms.get(id));
        let judge = Judge {
            id,
            room,
            draft,
            user,
            now,
            text_limit: self.rules.limits.text,
            edit_window_ms: self.rules.limits.edit_window_ms,
        };
        let kind = match judge.kind(body) {
            Ok(kind) => kind,
            Err(Unfit::Refused(code)) => return refused(code, 0),
            Err(Unfit::Later) => return Judged::Later,
            Err(Unfit::Page(number)) => return Judged::Wait(Load::Page(id.clone(), number)),
            Err(Unfit::Reacts(number)) => return Judged::Wait(Load::Reacts(id.clone(), number)),
        };
        if !submission.charged {
            let is_new = room.is_none() && draft.head(id).is_none();
            if let Err(retry_ms) = self.charges.charge(id, send, is_new, now) {
                return refused(Code::RateLimited, retry_ms);
            }
            submission.charged = true;
        }
        let placing = Placing {
            kind,
            body_tag,
            unix_ms: now.unix_ms,
        };
        let rng = &mut self.rng;
        let room = present(self.rooms.get(&submission.room));
        let (seq, ts_ms) = draft.place(submission, room, placing, || draw_gen(rng));
        Judged::Verdict(Verdict::Placed(Acked {
            seq,
            ts_ms,
            dup: false,
        }))
    }

    /// Whether a room that is not in memory has no event, for sure.
    pub(super) fn is_certainly_new(&self, room: &RoomId) -> bool {
        self.is_complete && !self.known.contains_key(room) && !self.tails.contains_key(room)
    }
}

fn present(held: Option<&Held>) -> Option<&Room> {
    match held {
        Some(Held::Present(room)) => Some(room),
        _ => None,
    }
}

/// What a cid that was seen before comes to; `None` for one that was not, for sure.
fn repeated(
    id: &RoomId,
    room: &mut Room,
    send: &Send,
    user: &str,
    body_tag: u64,
) -> Option<Judged> {
    if let Some(seen) = room.dedupe.get(user, &send.cid) {
        if !seen.is_of(body_tag) {
            return Some(refused(Code::CidReused, 0));
        }
        let acked = Acked {
            seq: seen.seq,
            ts_ms: seen.ts_ms,
            dup: true,
        };
        let acked = reply::Result::Acked(acked);
        return Some(Judged::Verdict(Verdict::Decided(acked)));
    }
    let since = send.since.unwrap_or(room.summary.head);
    if since >= room.dedupe.from() {
        return None;
    }
    if since + DEDUPE_EVENTS < room.summary.head || since + 1 < room.oldest() {
        return Some(refused(Code::CidExpired, 0));
    }
    match room.remember(since) {
        Some(number) => Some(Judged::Wait(Load::Page(id.clone(), number))),
        // The map reaches further back now: ask it again.
        None => room
            .dedupe
            .get(user, &send.cid)
            .and_then(|_| repeated(id, room, send, user, body_tag)),
    }
}

/// What a body is judged by.
struct Judge<'a> {
    id: &'a RoomId,
    room: Option<&'a Room>,
    draft: &'a Draft,
    user: &'a str,
    now: Now,
    text_limit: u32,
    edit_window_ms: u64,
}

impl Judge<'_> {
    /// What the body says as an event.
    fn kind(&self, body: &Body) -> Result<Kind, Unfit> {
        match body {
            Body::Message(message) => {
                text::check(&message.text, self.text_limit)?;
                if message.reply_to > self.head() {
                    return Err(Code::TargetUnknown.into());
                }
                Ok(Kind::Message(message.clone()))
            }
            Body::Edit(edit) => {
                text::check(&edit.text, self.text_limit)?;
                let message = self.own_message(edit.target)?;
                let until_ms = message.ts_ms.saturating_add(self.edit_window_ms);
                if self.now.unix_ms > until_ms || message.edits.len() >= MAX_EDITS {
                    return Err(Code::EditTooLate.into());
                }
                Ok(Kind::Edit(edit.clone()))
            }
            Body::Delete(delete) => {
                let message = if delete.redact {
                    self.message(delete.target)?
                } else {
                    self.own_message(delete.target)?
                };
                Ok(Kind::Delete(Delete {
                    edits: message.edits.clone(),
                    ..delete.clone()
                }))
            }
            Body::Reaction(reaction) => self.reaction(reaction),
        }
    }

    fn reaction(&self, reaction: &Reaction) -> Result<Kind, Unfit> {
        if !is_emoji(&reaction.emoji) {
            return Err(Code::TextInvalid.into());
        }
        let message = self.living_message(reaction.target)?;
        let room = self.room.ok_or(Code::TargetUnknown)?;
        let (given, has_given) = room
            .reaction(reaction.target, &reaction.emoji, self.user)
            .ok_or(Unfit::Reacts(crate::domain::page::page_of(reaction.target)))?;
        let is_full = (given == 0 && message.reactions.len() >= MAX_EMOJI)
            || (!has_given && room.is_full_of_reactions(reaction.target));
        if reaction.on && is_full {
            return Err(Code::TextInvalid.into());
        }
        let count = match (reaction.on, has_given) {
            (true, false) => given + 1,
            (false, true) => given - 1,
            _ => given,
        };
        Ok(Kind::Reaction(Reaction {
            count,
            ..reaction.clone()
        }))
    }

    fn head(&self) -> u64 {
        let head = self.room.map_or(0, |room| room.summary.head);
        self.draft.head(self.id).unwrap_or(head)
    }

    /// A message that was not deleted, of the user's own.
    fn own_message(&self, target: u64) -> Result<&Event, Unfit> {
        let message = self.living_message(target)?;
        let author = message.from.as_ref().map_or("", |from| from.id.as_str());
        if author == self.user {
            Ok(message)
        } else {
            Err(Code::NotYours.into())
        }
    }

    fn living_message(&self, target: u64) -> Result<&Event, Unfit> {
        let message = self.message(target)?;
        if message.deleted {
            return Err(Code::TargetUnknown.into());
        }
        Ok(message)
    }

    fn message(&self, target: u64) -> Result<&Event, Unfit> {
        if self.draft.touches(self.id, target) {
            return Err(Unfit::Later);
        }
        let room = self.room.ok_or(Code::TargetUnknown)?;
        match room.look(target) {
            Look::Here(event) if matches!(event.kind, Some(Kind::Message(_))) => Ok(event),
            Look::Here(_) | Look::Nowhere => Err(Code::TargetUnknown.into()),
            Look::InPage(number) => Err(Unfit::Page(number)),
        }
    }
}

/// One symbol, or a short word of them: nothing that hides or spreads out.
fn is_emoji(emoji: &str) -> bool {
    (1..=MAX_EMOJI_CHARS).contains(&emoji.chars().count())
        && emoji.chars().any(text::is_visible)
        && !emoji.chars().any(|c| c.is_control() || c.is_whitespace())
}

pub(super) fn refusal(code: Code, retry_after_ms: u64) -> reply::Result {
    reply::Result::Refused(Refused {
        code: code.as_str().to_owned(),
        retry_after_ms,
    })
}

fn refused(code: Code, retry_after_ms: u64) -> Judged {
    Judged::Verdict(Verdict::Decided(refusal(code, retry_after_ms)))
}

/// Eight characters of `[a-z0-9]`, never the `0` of a room without events.
pub(crate) fn draw_gen(rng: &mut impl rand::Rng) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..8)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}
