//! Answering readers, and telling gateways where rooms are at.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use prost::Message as _;
use proto::{
    Code, RoomId,
    bus::v1::{Heads, RoomHead, reply},
};

use super::{Asked, Change, Held, Load, Now, Partition, Question, Waiting, propose::refusal};
use crate::domain::{
    record,
    room::{self, Summary},
};

/// For how long a changed head is told (DESIGN section 5, Heads).
const TOLD_FOR_US: u64 = 10_000_000;
/// Bytes of one message with heads.
const MAX_HEADS_BYTES: usize = 256 * 1024;

impl<T> Partition<T> {
    /// Whether a question waits that wants more than what is folded, as far as is known.
    pub fn lacks_what_is_asked(&self) -> bool {
        self.questions
            .iter()
            .any(|asked| asked.question.min_seq() > self.head(&asked.room))
    }

    /// Whether a question is to be answered now.
    pub fn has_questions(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Answers all questions that can be; the others wait for loads. Only for a state that the log has
    /// confirmed. `online` tells how many are in a room, without those of this gateway.
    pub fn answer(
        &mut self,
        now: Now,
        online: impl Fn(&RoomId, Option<&str>) -> u64,
    ) -> Vec<(T, reply::Result)> {
        let mut replies = Vec::new();
        for asked in std::mem::take(&mut self.questions) {
            match self.view(&asked, now) {
                Ok(mut answer) => {
                    match (&mut answer, &asked.question) {
                        (reply::Result::Room(view), Question::Read(read)) => {
                            view.online = online(&asked.room, Some(&read.gateway));
                        }
                        (reply::Result::Summary(summary), _) => {
                            summary.online = online(&asked.room, None);
                        }
                        _ => {}
                    }
                    replies.push((asked.asker, answer));
                }
                Err(load) => self.wait_for(load, Waiting::Question(asked)),
            }
        }
        replies
    }

    fn view(&mut self, asked: &Asked<T>, now: Now) -> Result<reply::Result, Load> {
        let id = &asked.room;
        let is_new = self.is_certainly_new(id);
        match self.rooms.get_mut(id) {
            _ if self.damaged.contains(id) => Ok(refusal(Code::Internal, 0)),
            Some(Held::Present(room)) => {
                let view = match &asked.question {
                    Question::Read(read) => room.view(read, now.mono_us),
                    Question::History(history) => room.history(history, now.mono_us),
                    Question::Describe => {
                        return Ok(reply::Result::Summary(room.summary.told_of(id)));
                    }
                };
                let view = view.map_err(|number| Load::Page(id.clone(), number))?;
                Ok(reply::Result::Room(view))
            }
            Some(Held::Broken) => Ok(refusal(Code::Internal, 0)),
            None if !is_new => Err(Load::Room(id.clone())),
            Some(Held::Absent) | None => Ok(match &asked.question {
                Question::Read(read) if self.rules.auto_create => {
                    reply::Result::Room(room::view_of_none(read.after))
                }
                Question::History(_) if self.rules.auto_create => {
                    reply::Result::Room(room::view_of_none(None))
                }
                _ => refusal(Code::RoomUnknown, 0),
            }),
        }
    }

    /// The end of the log's tail is reached. Its rooms count as changed now, since nobody may have told of
    /// their last events, and they are put in the round that begins.
    pub fn note_tail(&mut self, now: Now) {
        self.ledger.begin_round(now);
        let last_of = |id: &RoomId, (log_seq, part): &(u64, Bytes)| {
            record::open_part(*log_seq, id, part).ok()
        };
        let changes: Vec<_> = self
            .tails
            .iter()
            .filter_map(|(id, tail)| Some((id.clone(), last_of(id, tail.back()?)?)))
            .collect();
        for (id, events) in changes {
            if let Some(last) = events.events.last() {
                self.note_change(&id, &events.r#gen, last.seq, now);
            }
        }
    }
}

impl<T> Partition<T> {
    /// Rooms as they are with what of them is kept and not folded; `known` is what is known beside it.
    pub(crate) fn tail_summaries(
        &self,
        known: impl Fn(&RoomId) -> Option<Summary>,
    ) -> Vec<(RoomId, Summary)> {
        let summary = |id: &RoomId, tail: &VecDeque<(u64, Bytes)>| {
            tail.iter()
                .fold(known(id), |known, (log_seq, part)| match record::open_part(
                    *log_seq, id, part,
                ) {
                    Ok(events) => Some(Summary::with(known, &events)),
                    Err(_) => known,
                })
        };
        self.tails
            .iter()
            .filter_map(|(id, tail)| Some((id.clone(), summary(id, tail)?)))
            .collect()
    }
}

pub(super) fn heads(changed: &mut BTreeMap<RoomId, Change>, now: Now, epoch: u64) -> Vec<Bytes> {
    changed.retain(|_, change| now.mono_us.saturating_sub(change.at_us) <= TOLD_FOR_US);
    let mut messages = Vec::new();
    let mut heads = Heads {
        epoch,
        rooms: Vec::new(),
    };
    let mut bytes = 0;
    for (room, change) in changed {
        let head = RoomHead {
            room: room.to_string(),
            r#gen: change.generation.clone(),
            head: change.head,
        };
        bytes += head.encoded_len() + 4;
        if bytes > MAX_HEADS_BYTES {
            messages.push(heads.encode_to_vec().into());
            heads.rooms.clear();
            bytes = head.encoded_len() + 4;
        }
        heads.rooms.push(head);
    }
    messages.push(heads.encode_to_vec().into());
    messages
}
