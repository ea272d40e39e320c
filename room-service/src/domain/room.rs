//! One room in memory: its record, its open page, such full pages as are in use, and what is known of
//! each of these values in the store.

mod putting;
mod reactors;
mod reading;
mod slot;

use std::collections::BTreeMap;

use proto::{
    RoomId,
    bus::v1::RoomSummary,
    log::v1::{Event, RoomEvents, RoomValue, event::Kind},
};

use super::{
    body_tag::ANY_BODY,
    dedupe::Dedupe,
    ledger::{Ledger, Part},
    page::{Page, first_of, page_of, targets},
    value::Stored,
};
pub(super) use putting::Next;
use reactors::Reactors;
pub(super) use reading::view_of_none;
use slot::Slot;

/// Reactions to the 64 messages of a page: with user ids of 128 bytes they stay under the mebibyte that a
/// value may have.
const MAX_REACTIONS: usize = 4_096;
/// `gen` of a room without events (PROTOCOL section 2).
pub(super) const NO_GEN: &str = "0";

/// What an operator sees of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The numbering of its events.
    pub generation: String,
    /// The form in which the sender of its first event had asked for it.
    pub display_name: String,
    /// The seq of the last event.
    pub head: u64,
    /// Messages ever sent.
    pub messages: u64,
    /// Bytes of text ever sent, UTF-8.
    pub bytes: u64,
    /// Time of the first event, milliseconds since 1970-01-01 UTC.
    pub create_ms: u64,
    /// Time of the last message, milliseconds since 1970-01-01 UTC.
    pub last_message_ms: u64,
}

impl Summary {
    /// What a room's own value says of it.
    pub(crate) fn of(value: &RoomValue) -> Self {
        Self {
            generation: value.r#gen.clone(),
            display_name: value.display_name.clone(),
            head: value.head,
            messages: value.messages,
            bytes: value.bytes,
            create_ms: value.create_ms,
            last_message_ms: value.last_message_ms,
        }
    }

    /// As it is told to another replica; `online` is left to whoever knows.
    pub(crate) fn told_of(&self, room: &RoomId) -> RoomSummary {
        RoomSummary {
            room: room.to_string(),
            r#gen: self.generation.clone(),
            display_name: self.display_name.clone(),
            head: self.head,
            messages: self.messages,
            bytes: self.bytes,
            create_ms: self.create_ms,
            last_message_ms: self.last_message_ms,
            online: 0,
        }
    }

    /// Before the first of these events.
    fn before(events: &RoomEvents) -> Self {
        Self {
            generation: events.r#gen.clone(),
            display_name: events.display_name.clone(),
            create_ms: events.events.first().map_or(0, |event| event.ts_ms),
            ..Self::default()
        }
    }

    /// With the event that comes next.
    fn push(&mut self, event: &Event) {
        self.head = event.seq;
        if let Some(Kind::Message(message)) = &event.kind {
            self.messages += 1;
            self.bytes += message.text.len() as u64;
            self.last_message_ms = event.ts_ms;
        }
    }

    /// With what of a commit it lacks; `known` is the room before it, if it was there.
    pub(super) fn with(known: Option<Self>, events: &RoomEvents) -> Self {
        let mut summary = known.unwrap_or_else(|| Self::before(events));
        for event in &events.events {
            if event.seq > summary.head {
                summary.push(event);
            }
        }
        summary
    }
}

/// A room that has events.
pub(super) struct Room {
    pub(super) summary: Summary,
    pub(super) dedupe: Dedupe,
    /// Time of the last event: no later one is stamped earlier.
    pub(super) last_ts_ms: u64,
    /// Lowest seq kept.
    oldest: u64,
    record: Stored,
    /// The events after the last full page; stored with the record.
    open: Page,
    pages: BTreeMap<u64, Slot<Page>>,
    reacts: BTreeMap<u64, Slot<Reactors>>,
    /// When somebody last wanted something of it.
    used_us: u64,
}

/// An event that does not continue its room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Discontinuous {
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// A commit on its way into a room.
pub(super) struct Folding<'a> {
    pub(super) room: &'a RoomId,
    pub(super) log_seq: u64,
    pub(super) ledger: &'a mut Ledger,
    pub(super) now_us: u64,
}

/// Where an event is.
pub(super) enum Look<'a> {
    Here(&'a Event),
    /// In a page that has to be loaded.
    InPage(u64),
    /// Not there, or not any more.
    Nowhere,
}

impl Room {
    /// A room before its first event.
    pub(super) fn new(events: &RoomEvents) -> Self {
        Self {
            summary: Summary::before(events),
            dedupe: Dedupe::after(0),
            last_ts_ms: 0,
            oldest: 1,
            record: Stored::default(),
            open: Page::default(),
            pages: BTreeMap::new(),
            reacts: BTreeMap::new(),
            used_us: 0,
        }
    }

    /// A room as it was stored; `None` when the value contradicts itself.
    pub(super) fn load(value: RoomValue, revision: u64) -> Option<Self> {
        let number = value.head / super::page::PAGE_EVENTS;
        let before_open = first_of(number) - 1;
        let summary = Summary::of(&value);
        let open = Page::of(number, value.open)?;
        if before_open + open.events().len() as u64 != value.head {
            return None;
        }
        let mut dedupe = Dedupe::after(before_open);
        for event in open.events() {
            dedupe.push(event);
        }
        Some(Self {
            summary,
            dedupe,
            last_ts_ms: value.last_ts_ms,
            oldest: value.oldest.max(1),
            record: Stored::read(revision, value.applied, value.erase),
            open,
            pages: BTreeMap::new(),
            reacts: BTreeMap::new(),
            used_us: 0,
        })
    }

    /// Takes the durable events of a commit in. What a value holds already it does not take again.
    pub(super) fn fold(
        &mut self,
        mut cx: Folding<'_>,
        events: Vec<Event>,
    ) -> Result<(), Discontinuous> {
        self.used_us = self.used_us.max(cx.now_us);
        for event in events {
            let expected = self.summary.head + 1;
            if event.seq > expected {
                return Err(Discontinuous {
                    expected,
                    found: event.seq,
                });
            }
            let is_new = event.seq == expected;
            self.amend(&mut cx, &event, is_new);
            if is_new {
                self.push(&mut cx, event);
            }
        }
        Ok(())
    }

    fn push(&mut self, cx: &mut Folding<'_>, event: Event) {
        self.summary.push(&event);
        self.last_ts_ms = self.last_ts_ms.max(event.ts_ms);
        self.dedupe.push(&event);
        self.touch_record(cx);
        self.open.push(event);
        if self.open.is_full() {
            self.fill(cx);
        }
    }

    /// The open page is full: it gets a key of its own, and goes there before the record is put again.
    fn fill(&mut self, cx: &mut Folding<'_>) {
        let number = self.open.number;
        let page = std::mem::replace(&mut self.open, Page::new(number + 1));
        let dirty = self.record.dirty().unwrap_or(cx.log_seq);
        cx.ledger.mark(cx.room, Part::Page(number), dirty);
        cx.ledger.hurry(cx.room, Part::Page(number));
        let mut stored = Stored::split_off(cx.log_seq, dirty);
        if self.record.holds_redaction() {
            stored.redact();
        }
        self.pages
            .insert(number, Slot::loaded(page, stored, cx.now_us));
    }

    /// Begins what whoever put the record may not have come to: the erasure of the version before.
    /// `cx.log_seq` is the first commit that the log is kept for, 0 for none.
    pub(super) fn resume_erasure(&mut self, cx: &mut Folding<'_>) {
        if let Some(before) = self.record.erasing() {
            cx.ledger.erase(cx.room, Part::Record, before);
            if cx.log_seq > 0 && self.record.needs(cx.log_seq) {
                cx.ledger.mark(cx.room, Part::Record, cx.log_seq);
            }
        }
    }

    /// Makes the changes of a later event to earlier ones, in whatever values they lie.
    fn amend(&mut self, cx: &mut Folding<'_>, event: &Event, is_new: bool) {
        let redacts = matches!(&event.kind, Some(Kind::Delete(delete)) if delete.redact);
        if redacts && is_new {
            // Whatever page the text is in by now, the stored record may be from before that was full.
            self.record.redact();
            cx.ledger.hurry(cx.room, Part::Record);
        }
        let mut pages: Vec<u64> = Vec::new();
        for seq in targets(event) {
            let number = page_of(seq);
            if redacts {
                self.dedupe.redact(seq);
            }
            if number >= self.open.number {
                if is_new {
                    self.open.amend(seq, event);
                    self.touch_record(cx);
                }
            } else if !pages.contains(&number) {
                pages.push(number);
            }
        }
        for number in pages {
            let page = self.pages.entry(number).or_default();
            if page.fold(cx, Part::Page(number), event) && redacts {
                page.redact();
                cx.ledger.hurry(cx.room, Part::Page(number));
            }
        }
        if let Some(Kind::Reaction(_) | Kind::Delete(_)) = &event.kind
            && let Some(target) = targets(event).next()
        {
            let number = page_of(target);
            let reacts = self.reacts.entry(number).or_default();
            reacts.fold(cx, Part::Reacts(number), event);
        }
    }

    fn touch_record(&mut self, cx: &mut Folding<'_>) {
        if self.record.touch(cx.log_seq) {
            cx.ledger.mark(cx.room, Part::Record, cx.log_seq);
        }
    }

    /// Lowest seq kept; head + 1 if none.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Where an event is.
    pub(super) fn look(&self, seq: u64) -> Look<'_> {
        if seq < self.oldest || seq > self.summary.head {
            return Look::Nowhere;
        }
        let page = if page_of(seq) >= self.open.number {
            &self.open
        } else {
            match self.pages.get(&page_of(seq)).and_then(Slot::get) {
                Some(page) => page,
                None => return Look::InPage(page_of(seq)),
            }
        };
        page.get(seq).map_or(Look::Nowhere, Look::Here)
    }

    /// How many have given this reaction, and whether the user has; `None` while that has to be loaded.
    pub(super) fn reaction(&self, target: u64, emoji: &str, user: &str) -> Option<(u32, bool)> {
        let reactors = self.reacts.get(&page_of(target)).and_then(Slot::get)?;
        Some(reactors.of_user(target, emoji, user))
    }

    /// Whether the messages around this one have as many reactions as a value of the store may hold.
    pub(super) fn is_full_of_reactions(&self, target: u64) -> bool {
        let reactors = self.reacts.get(&page_of(target)).and_then(Slot::get);
        reactors.is_some_and(|reactors| reactors.count() >= MAX_REACTIONS)
    }

    /// Lets the dedupe map reach back to `since`; the page that has to be loaded for it, if any.
    pub(super) fn remember(&mut self, since: u64) -> Option<u64> {
        while self.dedupe.from() > since {
            let number = page_of(self.dedupe.from());
            let Some(page) = self.pages.get(&number).and_then(Slot::get) else {
                return Some(number);
            };
            for event in page.events().iter().rev() {
                if event.seq == self.dedupe.from() {
                    self.dedupe.push_back_in_time(event);
                }
            }
            if self.dedupe.from() > first_of(number) - 1 {
                // The page does not hold what it should; its load would have failed.
                return Some(number);
            }
        }
        None
    }

    /// Takes a page that was loaded.
    pub(super) fn loaded_page(&mut self, cx: &mut Folding<'_>, page: Page, stored: Stored) {
        let number = page.number;
        let slot = self.pages.entry(number).or_default();
        slot.load(cx, Part::Page(number), page, stored);
        let page = slot.get();
        // A redaction that was folded from the log meanwhile is one for the map as well.
        for event in page.into_iter().flat_map(Page::events) {
            if event.body_tag == ANY_BODY {
                self.dedupe.redact(event.seq);
            }
        }
    }

    /// Takes reactors that were loaded.
    pub(super) fn loaded_reacts(
        &mut self,
        cx: &mut Folding<'_>,
        number: u64,
        value: Vec<proto::log::v1::Reactors>,
        stored: Stored,
    ) {
        let slot = self.reacts.entry(number).or_default();
        slot.load(cx, Part::Reacts(number), Reactors::of(value), stored);
    }
}
