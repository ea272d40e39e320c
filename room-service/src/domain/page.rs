//! Pages: 64 events of a room each, in their present state.

use proto::log::v1::{Event, PageValue, ReactionCount, VALUE_FORMAT, event::Kind};

/// Events of a page (DESIGN section 5, Values in the store).
pub(crate) const PAGE_EVENTS: u64 = 64;
/// Different emoji on one message.
pub(super) const MAX_EMOJI: usize = 20;

/// The page that an event lies in.
pub(super) fn page_of(seq: u64) -> u64 {
    seq.saturating_sub(1) / PAGE_EVENTS
}

/// The seq of a page's first event.
pub(super) fn first_of(page: u64) -> u64 {
    page * PAGE_EVENTS + 1
}

/// Events of a room from the first of a page on, without holes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) number: u64,
    events: Vec<Event>,
    bytes: usize,
}

impl Page {
    /// A page before its first event.
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// A page as it was stored; `None` when the events are not those of this page.
    pub(super) fn of(number: u64, mut events: Vec<Event>) -> Option<Self> {
        events.shrink_to_fit();
        let is_run = events.len() as u64 <= PAGE_EVENTS
            && (first_of(number)..)
                .zip(&events)
                .all(|(seq, event)| event.seq == seq);
        is_run.then(|| Self {
            number,
            bytes: events.iter().map(size).sum(),
            events,
        })
    }

    pub(super) fn value(&self, generation: &str, applied: u64, erase: u64) -> PageValue {
        PageValue {
            format: VALUE_FORMAT,
            applied,
            r#gen: generation.to_owned(),
            number: self.number,
            events: self.events.clone(),
            erase,
        }
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.events.capacity() * size_of::<Event>() + self.bytes
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() as u64 >= PAGE_EVENTS
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Event> {
        self.events.get(self.index(seq)?)
    }

    /// Adds the event that comes next.
    pub(super) fn push(&mut self, event: Event) {
        self.bytes += size(&event);
        if self.events.len() == self.events.capacity() {
            // Most rooms are small, and there are many of them: no more than half of it is spare.
            self.events.reserve_exact(self.events.len().max(1));
        }
        self.events.push(event);
    }

    /// Makes a later event's change to an event here. What it changes is absolute, so that making it
    /// again changes nothing.
    pub(super) fn amend(&mut self, seq: u64, by: &Event) {
        let Some(event) = self.index(seq).and_then(|at| self.events.get_mut(at)) else {
            return;
        };
        self.bytes -= size(event);
        amend(event, by);
        self.bytes += size(event);
    }

    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(first_of(self.number))?).ok()
    }
}

fn amend(event: &mut Event, by: &Event) {
    match &by.kind {
        Some(Kind::Edit(edit)) => {
            if let (Some(Kind::Message(message)), false) = (&mut event.kind, event.deleted) {
                message.text.clone_from(&edit.text);
                event.edited_ms = by.ts_ms;
                if event.edits.last() < Some(&by.seq) {
                    event.edits.push(by.seq);
                }
            }
        }
        Some(Kind::Delete(delete)) => blank(event, delete.redact),
        Some(Kind::Reaction(reaction)) if !event.deleted => {
            let held = event
                .reactions
                .iter_mut()
                .find(|held| held.emoji == reaction.emoji);
            match held {
                Some(held) => held.count = reaction.count,
                None => event.reactions.push(ReactionCount {
                    emoji: reaction.emoji.clone(),
                    count: reaction.count,
                }),
            }
            event.reactions.retain(|held| held.count > 0);
        }
        _ => {}
    }
}

/// Takes the text out of a message or an edit.
fn blank(event: &mut Event, redact: bool) {
    match &mut event.kind {
        Some(Kind::Message(message)) => message.text = String::new(),
        Some(Kind::Edit(edit)) => edit.text = String::new(),
        _ => return,
    }
    event.deleted = true;
    event.reactions = Vec::new();
    if redact {
        // A repeat of the send is answered as one, whatever its body.
        event.body_tag = super::body_tag::ANY_BODY;
    }
}

/// The events that an event changes.
pub(super) fn targets(event: &Event) -> impl Iterator<Item = u64> {
    let (target, edits) = match &event.kind {
        Some(Kind::Edit(edit)) => (Some(edit.target), &[][..]),
        Some(Kind::Delete(delete)) => (Some(delete.target), delete.edits.as_slice()),
        Some(Kind::Reaction(reaction)) => (Some(reaction.target), &[][..]),
        Some(Kind::Message(_)) | None => (None, &[][..]),
    };
    target.into_iter().chain(edits.iter().copied())
}

/// What an event takes in a record or an answer, at most; JSON makes it larger by escaping, and the
/// protocol counts that.
pub(super) fn size(event: &Event) -> usize {
    const FIXED: usize = 192;
    let body = match &event.kind {
        Some(Kind::Message(message)) => message.text.len(),
        Some(Kind::Edit(edit)) => edit.text.len(),
        Some(Kind::Delete(delete)) => delete.edits.len() * 4,
        Some(Kind::Reaction(reaction)) => reaction.emoji.len(),
        None => 0,
    };
    let author = event
        .from
        .as_ref()
        .map_or(0, |from| from.id.len() + from.nick.len());
    let reactions: usize = event
        .reactions
        .iter()
        .map(|reaction| reaction.emoji.len() + 12)
        .sum();
    FIXED + body + author + event.cid.len() + reactions + event.edits.len() * 4
}

#[cfg(test)]
mod tests;
