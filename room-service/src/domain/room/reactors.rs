//! Who reacted to the events of a page: what makes a reaction given twice count once.

use std::collections::{BTreeMap, BTreeSet};

use proto::log::v1::{Event, ReactValue, Reactors as Entry, VALUE_FORMAT, event::Kind};

/// User ids by target and emoji.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reactors(BTreeMap<(u64, String), BTreeSet<String>>);

impl Reactors {
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        let reactors = entries.into_iter().map(|entry| {
            let users = entry.users.into_iter().collect();
            ((entry.target, entry.emoji), users)
        });
        Self(reactors.collect())
    }

    pub(super) fn value(&self, generation: &str, number: u64, applied: u64) -> ReactValue {
        let reactors = self.0.iter().map(|((target, emoji), users)| Entry {
            target: *target,
            emoji: emoji.clone(),
            users: users.iter().cloned().collect(),
        });
        ReactValue {
            format: VALUE_FORMAT,
            applied,
            r#gen: generation.to_owned(),
            number,
            reactors: reactors.collect(),
        }
    }

    /// How many have given a reaction, and whether the user has.
    pub(super) fn of_user(&self, target: u64, emoji: &str, user: &str) -> (u32, bool) {
        match self.0.get(&(target, emoji.to_owned())) {
            Some(users) => (
                u32::try_from(users.len()).unwrap_or(u32::MAX),
                users.contains(user),
            ),
            None => (0, false),
        }
    }

    pub(super) fn fold(&mut self, event: &Event) {
        match &event.kind {
            Some(Kind::Reaction(reaction)) => {
                let user = event.from.as_ref().map_or("", |from| from.id.as_str());
                let key = (reaction.target, reaction.emoji.clone());
                let users = self.0.entry(key).or_default();
                if reaction.on {
                    users.insert(user.to_owned());
                } else {
                    users.remove(user);
                }
                self.0.retain(|_, users| !users.is_empty());
            }
            Some(Kind::Delete(delete)) => {
                self.0.retain(|(target, _), _| *target != delete.target);
            }
            _ => {}
        }
    }

    /// Reactions given, each user's to each message.
    pub(super) fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(|users| 128 + users.len() * 64).sum()
    }
}
