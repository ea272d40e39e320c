//! A screen: what a client makes of the frames it gets, as PROTOCOL.md says that it may.

use proto::{RoomId, frame::Cursor};
use serde_json::Value;

use crate::seen::{Kind, Shown, View};

/// A client's view of one room, and how far it has come.
pub(crate) struct Screen {
    pub(crate) room: RoomId,
    pub(crate) events: View,
    generation: Option<String>,
    /// The last seq that came, or that was told not to come.
    pub(crate) last: u64,
    /// Events below this may be missing or out of date, and are to be read again from `reread` on.
    unsure_below: u64,
    reread: u64,
}

impl Screen {
    pub(crate) fn new(room: RoomId) -> Self {
        Self {
            room,
            events: View::new(),
            generation: None,
            last: 0,
            unsure_below: 0,
            reread: 0,
        }
    }

    /// What a join goes on from.
    pub(crate) fn cursor(&self) -> Value {
        let cursor = self.generation.as_ref().map(|generation| Cursor {
            generation: generation.clone(),
            seq: self.last,
        });
        cursor.map_or(Value::Null, |Cursor { generation, seq }| {
            format!("{generation}.{seq}").into()
        })
    }

    /// Where to read again, when something may be missing or out of date.
    pub(crate) fn lacks_after(&self) -> Option<u64> {
        (self.reread + 1 < self.unsure_below).then_some(self.reread)
    }

    /// Takes the `joined` of a join that went on from `last`. An error is what no client may be told.
    pub(crate) fn joined(&mut self, frame: &Value, last: u64) -> Result<(), String> {
        self.last = last;
        let generation = frame["gen"].as_str().unwrap_or_default();
        let events = frame["events"].as_array().map_or(&[][..], Vec::as_slice);
        let is_first = self.generation.is_none();
        if generation != "0" {
            if self
                .generation
                .as_deref()
                .is_some_and(|had| had != generation)
            {
                return Err(format!("another numbering: {frame}"));
            }
            self.generation = Some(generation.to_owned());
        }
        if frame["gap"]["reset"].is_boolean() {
            return Err(format!("a cursor at {} was reset: {frame}", self.last));
        }
        if frame["gap"].is_object() {
            self.gap(&frame["gap"])?;
        } else if is_first {
            let before = frame["head"].as_u64().unwrap_or(0) - events.len() as u64;
            let first = events.first().and_then(|event| event["seq"].as_u64());
            self.last = first.map_or(before, |first| first - 1);
            self.is_unsure();
        }
        for event in events {
            self.event(event)?;
        }
        Ok(())
    }

    /// Takes an event: each is the one after the last.
    pub(crate) fn event(&mut self, frame: &Value) -> Result<(), String> {
        let (seq, shown) = shown(frame);
        if seq != self.last + 1 {
            return Err(format!("ORDER: after {}: {frame}", self.last));
        }
        if let Some(generation) = frame["gen"].as_str() {
            self.generation = Some(generation.to_owned());
        }
        self.last = seq;
        self.events.insert(seq, shown);
        self.apply(seq);
        Ok(())
    }

    /// Takes a `gap`: events that will not come.
    pub(crate) fn gap(&mut self, frame: &Value) -> Result<(), String> {
        if frame["from"].as_u64() != Some(self.last + 1) {
            return Err(format!("ORDER: after {}: {frame}", self.last));
        }
        self.last = frame["to"].as_u64().unwrap_or(self.last);
        self.is_unsure();
        Ok(())
    }

    /// What lies below may have been changed by what did not come.
    fn is_unsure(&mut self) {
        self.unsure_below = self.last + 1;
        self.reread = 0;
    }

    /// Takes a `history`, and again what came after it was made.
    pub(crate) fn history(&mut self, head: u64, events: &View) {
        let follows = events.keys().next() == Some(&(self.reread + 1));
        if let Some(last) = events.keys().last()
            && follows
        {
            self.reread = *last;
        }
        self.events.extend(events.clone());
        let later: Vec<u64> = self.events.range(head + 1..).map(|(seq, _)| *seq).collect();
        for seq in later {
            self.apply(seq);
        }
    }

    /// Makes an event's changes to others.
    fn apply(&mut self, seq: u64) {
        let Some(event) = self.events.get(&seq).cloned() else {
            return;
        };
        let target = self.events.get_mut(&event.target);
        match event.kind {
            Kind::Edit if !event.deleted => {
                if let Some(target) = target.filter(|target| !target.deleted) {
                    target.text = event.text;
                    target.edited = true;
                }
            }
            Kind::Reaction => {
                if let Some(target) = target.filter(|target| !target.deleted) {
                    target.reactions.insert(event.text, event.count);
                    target.reactions.retain(|_, count| *count > 0);
                }
            }
            Kind::Delete => {
                let is_of_it = |(_, other): &(&u64, &mut Shown)| {
                    other.kind == Kind::Edit && other.target == event.target
                };
                for (_, edit) in self.events.iter_mut().filter(is_of_it) {
                    edit.blank();
                }
                if let Some(target) = self.events.get_mut(&event.target) {
                    target.blank();
                }
            }
            Kind::Message | Kind::Edit | Kind::Unknown => {}
        }
    }
}

/// The events of a frame.
pub(crate) fn view(events: &Value) -> View {
    let events = events.as_array().map_or(&[][..], Vec::as_slice);
    events.iter().map(shown).collect()
}

fn shown(event: &Value) -> (u64, Shown) {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| event[name].as_u64().unwrap_or_default();
    let kind = match event["kind"].as_str() {
        Some("message") => Kind::Message,
        Some("edit") => Kind::Edit,
        Some("delete") => Kind::Delete,
        Some("reaction") => Kind::Reaction,
        _ => Kind::Unknown,
    };
    let deleted = event["deleted"] == true;
    let reactions = event["reactions"].as_object().into_iter().flatten();
    let shown = Shown {
        ts: text("ts"),
        user: event["from"]["id"].as_str().unwrap_or_default().to_owned(),
        cid: text("cid"),
        kind,
        target: number("target"),
        text: text(if kind == Kind::Reaction {
            "emoji"
        } else {
            "text"
        }),
        deleted,
        edited: !deleted && event["edited_at"].is_string(),
        count: number("count"),
        reactions: reactions
            .map(|(emoji, count)| (emoji.clone(), count.as_u64().unwrap_or_default()))
            .collect(),
    };
    (number("seq"), shown)
}
