//! What was deleted and what was redacted, and whether it is gone.

use std::collections::{BTreeMap, BTreeSet};

use proto::{bus::v1::send::Body, log::v1::event::Kind};

use super::{Kept, Rooms};
use crate::seen::Sent;

/// Messages whose text is gone, or must go.
#[derive(Default)]
pub(super) struct Gone {
    deleted: BTreeSet<(String, u64)>,
    pub(super) redacted: BTreeSet<(String, u64)>,
}

impl Gone {
    /// What the logs say.
    pub(super) fn of(rooms: &Rooms) -> Self {
        let mut gone = Self::default();
        for (room, events) in rooms {
            for event in events {
                if let Some(Kind::Delete(delete)) = &event.kind {
                    let target = (room.clone(), delete.target);
                    if delete.redact {
                        gone.redacted.insert(target.clone());
                    }
                    gone.deleted.insert(target);
                }
            }
        }
        gone
    }

    /// Whether what an operation refers to is deleted, by now.
    pub(super) fn is(&self, sent: &Sent) -> bool {
        let target = match &sent.body {
            Body::Edit(edit) => edit.target,
            Body::Delete(delete) => delete.target,
            Body::Reaction(reaction) => reaction.target,
            Body::Message(_) => return false,
        };
        self.deleted.contains(&(sent.room.to_string(), target))
    }

    /// GONE: where redacted text is still to be found.
    pub(super) fn traces(&self, rooms: &Rooms, kept: &Kept) -> Vec<String> {
        let mut texts = BTreeMap::new();
        for (room, events) in rooms {
            for event in events {
                let (target, text) = match &event.kind {
                    Some(Kind::Message(message)) => (event.seq, &message.text),
                    Some(Kind::Edit(edit)) => (edit.target, &edit.text),
                    _ => continue,
                };
                if self.redacted.contains(&(room.clone(), target)) {
                    texts.insert(text.as_bytes(), format!("{room}:{}", event.seq));
                }
            }
        }
        let mut traces = Vec::new();
        for (pp, log) in &kept.logs {
            let trimmed = kept.trimmed.get(pp).copied().unwrap_or(0);
            for (log_seq, record) in log.iter().filter(|(log_seq, _)| *log_seq > trimmed) {
                for seq in found(&texts, record) {
                    traces.push(format!("GONE: {seq} is in record {log_seq} of {pp}"));
                }
            }
        }
        for (pp, store) in &kept.stores {
            for (key, value) in store {
                for seq in found(&texts, &value.bytes) {
                    traces.push(format!("GONE: {seq} is in {key} of {pp}"));
                }
            }
        }
        traces
    }
}

/// Which of the texts are in these bytes.
fn found<'a>(
    texts: &'a BTreeMap<&[u8], String>,
    bytes: &'a [u8],
) -> impl Iterator<Item = &'a String> {
    let is_in = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    texts
        .iter()
        .filter(move |(text, _)| is_in(text))
        .map(|(_, seq)| seq)
}
