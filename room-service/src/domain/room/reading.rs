//! Reading a room: to its head from a cursor, or some events at any depth. Says which page is missing
//! when one is.

use proto::{
    bus::v1::{History, Read as Cursor, Room as View, history::Place},
    log::v1::Event,
};

use super::{NO_GEN, Room, Slot};
use crate::domain::page::{self, first_of, page_of};

/// Most encoded bytes of events in one answer (DESIGN section 6, Join).
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// Most events in one answer to a history question (DESIGN section 10).
const MAX_HISTORY: u64 = 100;

/// An answer, or the page that has to be loaded for it.
pub(in crate::domain) type Read = Result<View, u64>;

impl Room {
    /// The room with the events a reader lacks: above its cursor when that is near enough, else the
    /// last `limit` with `gap` or `reset` set.
    pub(in crate::domain) fn view(&mut self, read: &Cursor, now_us: u64) -> Read {
        let head = self.summary.head;
        let last_few = head.saturating_sub(u64::from(read.limit));
        let (after, gap, reset) = match read.after {
            None => (last_few, false, false),
            Some(after) if after > 0 && !self.is_numbering(&read.after_gen) => {
                (last_few, false, true)
            }
            Some(after) if after > head => (last_few, false, true),
            Some(after) if head - after > u64::from(read.catch_up) => (last_few, true, false),
            Some(after) if after + 1 < self.oldest => (self.oldest - 1, true, false),
            Some(after) => (after, false, false),
        };
        let mut view = self.frame(now_us);
        (view.gap, view.reset) = (gap, reset);
        let from = (after + 1).max(self.oldest);
        let mut bytes = 0;
        for number in page_of(from)..=self.open.number {
            for event in self.page(number, now_us)?.iter().filter(|e| e.seq >= from) {
                bytes += page::size(event);
                if bytes > MAX_ANSWER_BYTES && !view.events.is_empty() {
                    view.more = true;
                    return Ok(view);
                }
                view.events.push(event.clone());
            }
        }
        Ok(view)
    }

    /// Some events at any depth.
    pub(in crate::domain) fn history(&mut self, history: &History, now_us: u64) -> Read {
        let (oldest, end) = (self.oldest, self.summary.head + 1);
        let limit = u64::from(history.limit).clamp(1, MAX_HISTORY);
        // `from .. to`, and whether the end that is cut when there is too much is the lower one.
        let (from, to, from_above) = match history.place {
            Some(Place::Before(before)) => {
                let to = before.clamp(oldest, end);
                (to.saturating_sub(limit).max(oldest), to, true)
            }
            Some(Place::After(after)) => {
                let from = after.saturating_add(1).clamp(oldest, end);
                (from, from.saturating_add(limit).min(end), false)
            }
            Some(Place::Around(around)) => around_seq(around, limit, oldest, end),
            Some(Place::AtMs(at_ms)) => {
                let around = self.first_at(at_ms, now_us)?;
                around_seq(around, limit, oldest, end)
            }
            None => (end.saturating_sub(limit).max(oldest), end, true),
        };
        let mut view = self.frame(now_us);
        view.events = self.range(from, to, from_above, now_us)?;
        if let Some(Place::Around(around)) = history.place
            && view
                .events
                .last()
                .is_some_and(|last| last.seq < around.min(to - 1))
        {
            // What was asked for is in the answer, whatever else is cut.
            view.events = self.range(around.min(to - 1), to, false, now_us)?;
        }
        let first = view.events.first().map_or(from, |event| event.seq);
        let last = view.events.last().map_or(to - 1, |event| event.seq);
        let (below, above) = (first > oldest, last + 1 < end);
        view.more = match history.place {
            Some(Place::Before(_)) | None => below,
            Some(Place::After(_)) => above,
            Some(Place::Around(_) | Place::AtMs(_)) => below || above,
        };
        Ok(view)
    }

    /// The events `from .. to`, as many as one answer holds.
    fn range(
        &mut self,
        from: u64,
        to: u64,
        from_above: bool,
        now_us: u64,
    ) -> Result<Vec<Event>, u64> {
        let mut events = Vec::new();
        if from >= to {
            return Ok(events);
        }
        for number in page_of(from)..=page_of(to - 1) {
            let page = self.page(number, now_us)?.iter();
            events.extend(page.filter(|e| (from..to).contains(&e.seq)).cloned());
        }
        let mut bytes = 0;
        let mut fits = |event: &Event| {
            bytes += page::size(event);
            bytes <= MAX_ANSWER_BYTES
        };
        if from_above {
            let kept = events.iter().rev().take_while(|event| fits(event)).count();
            events.drain(..events.len() - kept);
        } else {
            let kept = events.iter().take_while(|event| fits(event)).count();
            events.truncate(kept);
        }
        Ok(events)
    }

    /// The seq of the first event at or after a time; head + 1 if none.
    fn first_at(&mut self, at_ms: u64, now_us: u64) -> Result<u64, u64> {
        // Times never fall within a room, so pages are in their order as well.
        let (mut low, mut high) = (page_of(self.oldest), self.open.number);
        while low < high {
            let middle = low + (high - low) / 2;
            let last = self.page(middle, now_us)?.last();
            if last.is_none_or(|event| event.ts_ms < at_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let page = self.page(low, now_us)?;
        let before = page.partition_point(|event| event.ts_ms < at_ms) as u64;
        Ok((first_of(low) + before).max(self.oldest))
    }

    /// The events of a page; an error when it has to be loaded.
    fn page(&mut self, number: u64, now_us: u64) -> Result<&[Event], u64> {
        if number >= self.open.number {
            return Ok(self.open.events());
        }
        let slot = self.pages.get_mut(&number).ok_or(number)?;
        slot.use_at(now_us);
        Slot::get(slot).map(page::Page::events).ok_or(number)
    }

    fn frame(&mut self, now_us: u64) -> View {
        self.used_us = self.used_us.max(now_us);
        View {
            r#gen: self.summary.generation.clone(),
            head: self.summary.head,
            oldest: self.oldest,
            name: self.summary.display_name.clone(),
            ..View::default()
        }
    }

    fn is_numbering(&self, named: &str) -> bool {
        named.is_empty() || named == self.summary.generation
    }
}

fn around_seq(around: u64, limit: u64, oldest: u64, end: u64) -> (u64, u64, bool) {
    let around = around.clamp(oldest, end.saturating_sub(1).max(oldest));
    // As many as there are on the shorter side, and the rest on the other.
    let from = around.saturating_sub(limit / 2).max(oldest);
    let to = from.saturating_add(limit).min(end);
    (to.saturating_sub(limit).max(oldest), to, false)
}

/// A room that has no event yet, as a reader sees it.
pub(in crate::domain) fn view_of_none(after: Option<u64>) -> View {
    View {
        r#gen: NO_GEN.to_owned(),
        oldest: 1,
        reset: after.is_some_and(|after| after > 0),
        ..View::default()
    }
}
