//! The queues of an outbox, without the lock and the wake-ups.

use std::collections::VecDeque;

use super::{
    BATCH_BYTES, BUSY_CONTROL, Fed, LOW_BYTES, LOW_EVENTS, MAX_CONTROL, MAX_CONTROL_BYTES,
    MAX_EVENT_BYTES, MAX_EVENTS,
    feeds::{FeedId, Feeds},
};
use crate::{
    close::Close,
    session::socket::{Outgoing, Text},
};

/// Queues that grew beyond this are given back when they are empty.
const KEEP_CAPACITY: usize = 16;

#[derive(Default)]
pub(super) struct State {
    control: VecDeque<Outgoing>,
    control_bytes: usize,
    data: VecDeque<Data>,
    live_events: usize,
    live_bytes: usize,
    backlog_bytes: usize,
    pub(super) feeds: Feeds,
    /// Events were dropped, and the socket has taken nothing since: it is not filled up before it does.
    is_stalled: bool,
    pub(super) close: Option<Close>,
}

struct Data {
    text: Text,
    feed: Option<FeedId>,
    /// The seq of a live event. History is fetched as the queue drains, so it is not counted against it.
    live: Option<u64>,
}

impl State {
    /// `true` when that is one frame too many.
    pub(super) fn control(&mut self, frame: Outgoing) -> bool {
        if self.close.is_some() {
            return false;
        }
        self.control_bytes += frame.len();
        self.control.push_back(frame);
        let is_over = self.control.len() > MAX_CONTROL || self.control_bytes > MAX_CONTROL_BYTES;
        if is_over {
            self.close(Close::TOO_SLOW);
        }
        is_over
    }

    pub(super) fn backlog(&mut self, feed: Option<FeedId>, text: Text) {
        if self.close.is_some() {
            return;
        }
        self.backlog_bytes += text.len();
        self.data.push_back(Data {
            text,
            feed,
            live: None,
        });
    }

    pub(super) fn events(
        &mut self,
        id: FeedId,
        events: impl Iterator<Item = (u64, Option<Text>)>,
    ) -> Fed {
        let mut fed = Fed::default();
        let Some(feed) = self.feeds.get(id).filter(|feed| feed.is_live) else {
            return fed;
        };
        if self.close.is_some() {
            return fed;
        }
        let had_events = self.live_events > 0;
        let at = feed.at;
        for (seq, text) in events.skip_while(|(seq, _)| *seq <= at) {
            if seq > feed.at + 1 {
                // The room has moved on past what could be had.
                feed.is_live = false;
                break;
            }
            feed.at = seq;
            let Some(text) = text else { continue };
            fed.queued += 1;
            self.live_events += 1;
            self.live_bytes += text.len();
            self.data.push_back(Data {
                text,
                feed: Some(id),
                live: Some(seq),
            });
        }
        let is_behind = !feed.is_live;
        // However many came at once, a socket that had taken all before is not slow.
        let are_too_many = self.live_events > MAX_EVENTS && had_events;
        fed.has_overflown = are_too_many || self.live_bytes > MAX_EVENT_BYTES;
        if fed.has_overflown {
            fed.queued = 0;
            self.drop_events();
        }
        fed.is_behind = fed.has_overflown || is_behind;
        if fed.is_behind {
            fed.starts_refill = self.feeds.starts_refill();
        }
        fed
    }

    /// `false` when the feed is not where it was thought to be.
    pub(super) fn fill(
        &mut self,
        id: FeedId,
        from: u64,
        texts: impl IntoIterator<Item = Text>,
        at: u64,
        is_all: bool,
    ) -> bool {
        if self.behind(id) != Some(from) {
            return false;
        }
        for text in texts {
            self.backlog(Some(id), text);
        }
        if let Some(feed) = self.feeds.get(id) {
            feed.at = at;
            feed.is_live = is_all;
        }
        true
    }

    pub(super) fn behind(&mut self, id: FeedId) -> Option<u64> {
        if self.close.is_some() {
            return None;
        }
        let feed = self.feeds.get(id).filter(|feed| !feed.is_live)?;
        Some(feed.at)
    }

    pub(super) fn shut(&mut self, id: FeedId) {
        self.feeds.shut(id);
        let (mut live_events, mut live_bytes, mut backlog_bytes) = (0, 0, 0);
        self.data.retain(|data| {
            let is_kept = data.feed != Some(id);
            match data.live {
                _ if is_kept => {}
                Some(_) => {
                    live_events += 1;
                    live_bytes += data.text.len();
                }
                None => backlog_bytes += data.text.len(),
            }
            is_kept
        });
        self.live_events -= live_events;
        self.live_bytes -= live_bytes;
        self.backlog_bytes -= backlog_bytes;
    }

    pub(super) fn close(&mut self, close: Close) {
        if self.close.is_some() {
            return;
        }
        self.close = Some(close);
        if close == Close::TOO_SLOW {
            // Nobody reads them; the client asks for them again.
            self.data = VecDeque::new();
            self.live_events = 0;
            self.live_bytes = 0;
            self.backlog_bytes = 0;
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.control.len() >= BUSY_CONTROL
    }

    pub(super) fn is_low(&self) -> bool {
        let is_low = self.live_events <= LOW_EVENTS
            && self.backlog_bytes <= LOW_BYTES
            && self.control_bytes <= LOW_BYTES;
        self.close.is_some() || (is_low && !self.is_stalled)
    }

    /// Moves frames out in order; `true` when none is left.
    pub(super) fn take(&mut self, batch: &mut VecDeque<Outgoing>) -> bool {
        self.is_stalled = false;
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            if let Some(control) = self.control.pop_front() {
                self.control_bytes -= control.len();
                bytes += control.len();
                batch.push_back(control);
                continue;
            }
            let Some(data) = self.data.pop_front() else {
                self.release();
                return true;
            };
            if data.live.is_some() {
                self.live_events -= 1;
                self.live_bytes -= data.text.len();
            } else {
                self.backlog_bytes -= data.text.len();
            }
            bytes += data.text.len();
            batch.push_back(data.text.into());
        }
        false
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.control_bytes + self.live_bytes + self.backlog_bytes
    }

    /// Drops the events that wait, of all rooms, and what was queued after them to fill their feeds up.
    /// What was queued before them stays; it is bounded by itself.
    fn drop_events(&mut self) {
        let (feeds, backlog_bytes) = (&mut self.feeds, &mut self.backlog_bytes);
        self.data.retain(|data| match (data.feed, data.live) {
            (Some(feed), Some(seq)) => {
                feeds.dropped(feed, seq);
                false
            }
            (Some(feed), None) if feeds.is_cut(feed) => {
                *backlog_bytes -= data.text.len();
                false
            }
            (_, live) => live.is_none(),
        });
        feeds.heal();
        self.data.shrink_to(KEEP_CAPACITY);
        self.live_events = 0;
        self.live_bytes = 0;
        self.is_stalled = true;
    }

    fn release(&mut self) {
        if self.control.capacity() > KEEP_CAPACITY {
            self.control = VecDeque::new();
        }
        if self.data.capacity() > KEEP_CAPACITY {
            self.data = VecDeque::new();
        }
    }
}
