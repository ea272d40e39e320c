//! Events in the forms in which members get them: encoded once each, and only in the forms wanted.

use proto::{
    RoomId,
    frame::server::Event as EventFrame,
    log::v1::{Event, event::Kind},
};

use crate::session::{classic, socket::Text};

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

/// An event with its texts.
pub(super) struct Encoded {
    pub(super) seq: u64,
    v1: Option<Text>,
    classic: Option<Text>,
}

impl Encoder<'_> {
    /// The event in one form; `None` where the form does not show it.
    pub(crate) fn encode(&self, event: &Event, form: Form) -> Option<Text> {
        match form {
            Form::V1 => {
                let frame = EventFrame::frame(self.room.as_str(), self.generation, event);
                Some(Text::from(frame.encode()))
            }
            Form::Classic => match &event.kind {
                Some(Kind::Message(message)) if !event.deleted => {
                    let line = classic::line(&message.text, event.ts_ms, self.time_zone);
                    Some(Text::from(line))
                }
                _ => None,
            },
        }
    }

    /// The event in the forms that are wanted.
    pub(super) fn encode_for(&self, event: &Event, wants: impl Fn(Form) -> bool) -> Encoded {
        let encode = |form| wants(form).then(|| self.encode(event, form)).flatten();
        Encoded {
            seq: event.seq,
            v1: encode(Form::V1),
            classic: encode(Form::Classic),
        }
    }
}

impl Encoded {
    pub(super) fn text(&self, form: Form) -> Option<&Text> {
        match form {
            Form::V1 => self.v1.as_ref(),
            Form::Classic => self.classic.as_ref(),
        }
    }
}
