//! Events in the forms in which members get them: encoded once each, and only in the forms wanted.

use std::sync::{Arc, OnceLock};

use proto::{
    RoomId,
    frame::event::Event as EventFrame,
    log::v1::{Event, event::Kind},
};

use super::amend;
use crate::session::{classic, socket::Text};

/// What an entry takes besides its texts, about.
const FIXED_BYTES: usize = 640;

/// The way of talking of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Frames of protocol 1.
    V1,
    /// The classic protocol.
    Classic,
}

/// What encoding an event needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'a> {
    pub(crate) room: &'a RoomId,
    pub(crate) generation: &'a str,
    pub(crate) time_zone: chrono_tz::Tz,
}

/// An event, and its texts once somebody wanted them.
#[derive(Debug)]
pub(super) struct Entry {
    event: Event,
    v1: OnceLock<Text>,
    /// Of what the classic protocol shows.
    classic: OnceLock<Option<Text>>,
}

impl Encoder<'_> {
    fn v1(&self, event: &Event) -> Text {
        let frame = EventFrame::frame(self.room.as_str(), self.generation, event);
        Text::from(frame.encode())
    }

    fn classic(&self, event: &Event) -> Option<Text> {
        match &event.kind {
            Some(Kind::Message(message)) if !event.deleted => {
                let line = classic::line(&message.text, event.ts_ms, self.time_zone);
                Some(Text::from(line))
            }
            _ => None,
        }
    }
}

impl Entry {
    pub(super) fn new(event: Event) -> Arc<Self> {
        Arc::new(Self {
            event,
            v1: OnceLock::new(),
            classic: OnceLock::new(),
        })
    }

    pub(super) fn event(&self) -> &Event {
        &self.event
    }

    pub(super) fn seq(&self) -> u64 {
        self.event.seq
    }

    /// What it takes in memory, about: the event and one text.
    pub(super) fn bytes(&self) -> usize {
        let text = match &self.event.kind {
            Some(Kind::Message(message)) => message.text.len(),
            Some(Kind::Edit(edit)) => edit.text.len(),
            _ => 0,
        };
        FIXED_BYTES + 2 * text
    }

    /// The frame that shows it; `None` where the form does not show it.
    pub(super) fn text(&self, form: Form, encoder: &Encoder<'_>) -> Option<&Text> {
        match form {
            Form::V1 => Some(self.v1.get_or_init(|| encoder.v1(&self.event))),
            Form::Classic => {
                let line = || encoder.classic(&self.event);
                self.classic.get_or_init(line).as_ref()
            }
        }
    }

    /// The fields of an element of `joined.events`, with its end.
    pub(super) fn element(&self, encoder: &Encoder<'_>) -> &str {
        let frame = self.v1.get_or_init(|| encoder.v1(&self.event)).json();
        // A frame is the same with `op` and `room` before it, and no room's id has to be escaped.
        let before = r#"{"op":"event","room":"","#.len() + encoder.room.as_str().len();
        frame.get(before..).unwrap_or("}")
    }

    /// As a later event has changed it.
    pub(super) fn amended(&self, by: &Event) -> Arc<Self> {
        let mut event = self.event.clone();
        amend::amend(&mut event, by);
        Self::new(event)
    }
}
