//! What a room looks like once its events are applied, by the shortest code that says so.

use std::collections::{BTreeMap, BTreeSet};

use proto::log::v1::{Event, event::Kind};

/// A room's events as they should be read.
#[derive(Default)]
pub(crate) struct Folded(BTreeMap<u64, Shown>);

/// What is to be seen of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    /// Of a message its present text, of an edit its own; empty when it is gone.
    text: String,
    deleted: bool,
    edited: bool,
    /// How many gave each emoji.
    reactions: BTreeMap<String, usize>,
}

impl Folded {
    /// Applies the events of a log, in order.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut folded = Self::default();
        let mut reactors: BTreeMap<(u64, &str), BTreeSet<&str>> = BTreeMap::new();
        let mut edits: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for event in events {
            let mut shown = Shown::default();
            match &event.kind {
                Some(Kind::Message(message)) => shown.text.clone_from(&message.text),
                Some(Kind::Edit(edit)) => {
                    shown.text.clone_from(&edit.text);
                    edits.entry(edit.target).or_default().push(event.seq);
                    let target = folded.0.entry(edit.target).or_default();
                    target.text.clone_from(&edit.text);
                    target.edited = true;
                }
                Some(Kind::Delete(delete)) => {
                    let edits = edits.remove(&delete.target).unwrap_or_default();
                    for gone in edits.into_iter().chain([delete.target]) {
                        let gone = folded.0.entry(gone).or_default();
                        gone.text.clear();
                        gone.deleted = true;
                        gone.reactions.clear();
                    }
                }
                Some(Kind::Reaction(reaction)) => {
                    let key = (reaction.target, reaction.emoji.as_str());
                    let user = event.from.as_ref().map_or("", |from| from.id.as_str());
                    let by = reactors.entry(key).or_default();
                    if reaction.on {
                        by.insert(user);
                    } else {
                        by.remove(user);
                    }
                    let target = folded.0.entry(reaction.target).or_default();
                    target.reactions.insert(reaction.emoji.clone(), by.len());
                    target.reactions.retain(|_, count| *count > 0);
                }
                None => {}
            }
            folded.0.insert(event.seq, shown);
        }
        folded
    }

    /// What was read.
    pub(crate) fn as_read(events: &[Event]) -> Self {
        let shown = |event: &Event| {
            let text = match &event.kind {
                Some(Kind::Message(message)) => message.text.clone(),
                Some(Kind::Edit(edit)) => edit.text.clone(),
                _ => String::new(),
            };
            let reactions = event.reactions.iter().map(|reaction| {
                let count = usize::try_from(reaction.count).unwrap_or(usize::MAX);
                (reaction.emoji.clone(), count)
            });
            Shown {
                text,
                deleted: event.deleted,
                edited: event.edited_ms > 0,
                reactions: reactions.collect(),
            }
        };
        Self(
            events
                .iter()
                .map(|event| (event.seq, shown(event)))
                .collect(),
        )
    }

    /// Where `read` is not this.
    pub(crate) fn differences(&self, read: &Self, room: &str) -> Vec<String> {
        let seqs: BTreeSet<_> = self.0.keys().chain(read.0.keys()).collect();
        let differs = seqs
            .into_iter()
            .filter(|seq| self.0.get(seq) != read.0.get(seq));
        let tell = |seq: &u64| {
            format!(
                "REBUILD: {room}:{seq} is read as {:?} and should be {:?}",
                read.0.get(seq),
                self.0.get(seq)
            )
        };
        differs.map(tell).collect()
    }
}
