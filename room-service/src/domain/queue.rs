//! Requests that wait for the next commit: rooms in turn, so that a loud room delays itself only.

use std::collections::{HashMap, VecDeque};

use proto::{RoomId, bus::v1::send::Body};

use super::partition::Submission;

/// Waiting submissions, in order within a room.
pub(super) struct Queue<T> {
    rooms: HashMap<RoomId, VecDeque<Submission<T>>>,
    /// Every room of `rooms` once; the front one is next.
    turns: VecDeque<RoomId>,
    bytes: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            rooms: HashMap::new(),
            turns: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// What waits here, about, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push_back(&mut self, submission: Submission<T>) {
        self.bytes += size(&submission);
        self.room(&submission.room.clone()).push_back(submission);
    }

    /// Puts submissions back before all that wait; the first of them is next of its room.
    pub(super) fn push_front(&mut self, submissions: Vec<Submission<T>>) {
        for submission in submissions.into_iter().rev() {
            self.bytes += size(&submission);
            self.room(&submission.room.clone()).push_front(submission);
        }
    }

    /// The room whose turn it is, with all that waits of it.
    pub(super) fn take_turn(&mut self) -> Option<VecDeque<Submission<T>>> {
        let room = self.turns.pop_front()?;
        let turn = self.rooms.remove(&room)?;
        self.bytes -= turn.iter().map(size).sum::<usize>();
        Some(turn)
    }

    /// Ends a turn with what was not taken; the room goes to the end of the line.
    pub(super) fn end_turn(&mut self, rest: VecDeque<Submission<T>>) {
        if let Some(first) = rest.front() {
            self.bytes += rest.iter().map(size).sum::<usize>();
            self.turns.push_back(first.room.clone());
            self.rooms.insert(first.room.clone(), rest);
        }
    }

    /// Everything, in no order between rooms.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Submission<T>> {
        self.turns.clear();
        self.bytes = 0;
        self.rooms.drain().flat_map(|(_, waiting)| waiting)
    }

    /// Drops what `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Submission<T>) -> bool) {
        let bytes = &mut self.bytes;
        self.rooms.retain(|_, waiting| {
            waiting.retain(|submission| {
                let keeps = keep(submission);
                if !keeps {
                    *bytes -= size(submission);
                }
                keeps
            });
            !waiting.is_empty()
        });
        self.turns.retain(|room| self.rooms.contains_key(room));
    }

    fn room(&mut self, room: &RoomId) -> &mut VecDeque<Submission<T>> {
        if !self.rooms.contains_key(room) {
            self.turns.push_back(room.clone());
        }
        self.rooms.entry(room.clone()).or_default()
    }
}

/// What a submission takes, about.
fn size<T>(submission: &Submission<T>) -> usize {
    const FIXED: usize = 384;
    let body = match &submission.send.body {
        Some(Body::Message(message)) => message.text.len(),
        Some(Body::Edit(edit)) => edit.text.len(),
        Some(Body::Delete(_) | Body::Reaction(_)) | None => 0,
    };
    FIXED + body
}
