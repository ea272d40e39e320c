//! What a room looks like once its events are applied, by the shortest code that says so.

use std::collections::{BTreeMap, BTreeSet};

use proto::{
    log::v1::{Event, event},
    time::rfc3339,
};

use crate::seen::{Kind, Shown, View};

/// Applies the events of a log, in order.
#[derive(Default)]
pub(crate) struct Fold {
    pub(crate) view: View,
    reactors: BTreeMap<(u64, String), BTreeSet<String>>,
    edits: BTreeMap<u64, Vec<u64>>,
}

impl Fold {
    /// The next event.
    pub(crate) fn push(&mut self, event: &Event) {
        let mut shown = plain(event);
        let target = self.view.get_mut(&shown.target);
        match shown.kind {
            Kind::Edit => {
                self.edits.entry(shown.target).or_default().push(event.seq);
                if let Some(target) = target {
                    target.text.clone_from(&shown.text);
                    target.edited = true;
                }
            }
            Kind::Delete => {
                let edits = self.edits.remove(&shown.target).unwrap_or_default();
                for gone in edits.into_iter().chain([shown.target]) {
                    if let Some(gone) = self.view.get_mut(&gone) {
                        gone.blank();
                    }
                }
            }
            Kind::Reaction => {
                let key = (shown.target, shown.text.clone());
                let by = self.reactors.entry(key).or_default();
                if is_on(event) {
                    by.insert(shown.user.clone());
                } else {
                    by.remove(&shown.user);
                }
                shown.count = by.len() as u64;
                if let Some(target) = target {
                    target.reactions.insert(shown.text.clone(), shown.count);
                    target.reactions.retain(|_, count| *count > 0);
                }
            }
            Kind::Message | Kind::Unknown => {}
        }
        self.view.insert(event.seq, shown);
    }
}

/// What was read.
pub(crate) fn as_read(events: &[Event]) -> View {
    let shown = |event: &Event| {
        let mut shown = plain(event);
        shown.deleted = event.deleted;
        shown.edited = event.edited_ms > 0 && !event.deleted;
        let reactions = event.reactions.iter();
        shown.reactions = reactions
            .map(|reaction| (reaction.emoji.clone(), u64::from(reaction.count)))
            .collect();
        (event.seq, shown)
    };
    events.iter().map(shown).collect()
}

/// An event as it was sent.
fn plain(event: &Event) -> Shown {
    let (kind, target, text, count) = match &event.kind {
        Some(event::Kind::Message(message)) => (Kind::Message, 0, message.text.as_str(), 0),
        Some(event::Kind::Edit(edit)) => (Kind::Edit, edit.target, edit.text.as_str(), 0),
        Some(event::Kind::Delete(delete)) => (Kind::Delete, delete.target, "", 0),
        Some(event::Kind::Reaction(reaction)) => (
            Kind::Reaction,
            reaction.target,
            reaction.emoji.as_str(),
            u64::from(reaction.count),
        ),
        None => (Kind::Unknown, 0, "", 0),
    };
    Shown {
        ts: rfc3339(event.ts_ms),
        user: super::author(event).to_owned(),
        cid: event.cid.clone(),
        kind,
        target,
        text: text.to_owned(),
        count,
        ..Shown::default()
    }
}

fn is_on(event: &Event) -> bool {
    matches!(&event.kind, Some(event::Kind::Reaction(reaction)) if reaction.on)
}

/// Where `found` is not as it should be.
pub(crate) fn differences(what: &str, expected: &View, found: &View) -> Vec<String> {
    let seqs: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differs = seqs
        .into_iter()
        .filter(|seq| expected.get(seq) != found.get(seq));
    let tell = |seq: &u64| {
        let (found, expected) = (found.get(seq), expected.get(seq));
        format!("{what}: {seq} is {found:?} and should be {expected:?}")
    };
    // One difference seldom comes alone.
    differs.take(3).map(tell).collect()
}
