//! What an event changes of earlier ones. The changes are absolute, so that making one twice, or to an
//! event that shows it already, changes nothing once the later ones have been made as well.

use proto::log::v1::{Event, ReactionCount, event::Kind};

/// The seq of the message that an event is about.
pub(super) fn target(event: &Event) -> Option<u64> {
    match &event.kind {
        Some(Kind::Edit(edit)) => Some(edit.target),
        Some(Kind::Delete(delete)) => Some(delete.target),
        Some(Kind::Reaction(reaction)) => Some(reaction.target),
        Some(Kind::Message(_)) | None => None,
    }
}

pub(super) fn is_deletion(event: &Event) -> bool {
    matches!(event.kind, Some(Kind::Delete(_)))
}

/// Whether `by` changes what `event` shows.
pub(super) fn changes(by: &Event, event: &Event) -> bool {
    let Some(target) = target(by) else {
        return false;
    };
    let is_edit_of_it = matches!(&event.kind, Some(Kind::Edit(edit)) if edit.target == target);
    match &by.kind {
        Some(Kind::Delete(_)) => event.seq == target || is_edit_of_it,
        _ => event.seq == target && !event.deleted && !by.deleted,
    }
}

/// Makes the change.
pub(super) fn amend(event: &mut Event, by: &Event) {
    match (&by.kind, &mut event.kind) {
        (Some(Kind::Edit(edit)), Some(Kind::Message(message))) => {
            message.text.clone_from(&edit.text);
            event.edited_ms = by.ts_ms;
        }
        (Some(Kind::Delete(_)), Some(Kind::Message(message))) => {
            message.text = String::new();
            event.deleted = true;
            event.reactions = Vec::new();
        }
        (Some(Kind::Delete(_)), Some(Kind::Edit(edit))) => {
            edit.text = String::new();
            event.deleted = true;
        }
        (Some(Kind::Reaction(reaction)), Some(Kind::Message(_))) => {
            let is_it = |held: &&mut ReactionCount| held.emoji == reaction.emoji;
            match event.reactions.iter_mut().find(is_it) {
                Some(held) => held.count = reaction.count,
                None => event.reactions.push(ReactionCount {
                    emoji: reaction.emoji.clone(),
                    count: reaction.count,
                }),
            }
            event.reactions.retain(|held| held.count > 0);
        }
        _ => {}
    }
}
