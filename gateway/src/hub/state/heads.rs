//! What an owner says of where the room is at, once a second: the only way to notice the loss of a
//! room's last event.

use proto::bus::v1::RoomHead;

use super::{Effects, State, is_blank};

/// What a head means.
pub(in crate::hub) enum Told {
    /// Nothing new.
    Nothing,
    /// Events are on their way, or lost: to be looked at again in a moment.
    Ahead,
    /// The room is not what it was thought to be: the owner is asked.
    Doubt(Effects),
}

impl State {
    /// Takes a head that an owner told under `epoch`.
    pub(in crate::hub) fn told(&mut self, head: &RoomHead, epoch: u64) -> Told {
        let Some(last) = self.last else {
            return Told::Nothing;
        };
        if epoch < self.epoch || is_blank(&head.r#gen) {
            return Told::Nothing;
        }
        if !self.fits(&head.r#gen) {
            return Told::Doubt(self.lost());
        }
        if head.head >= last {
            self.below = None;
            return if head.head > last {
                Told::Ahead
            } else {
                Told::Nothing
            };
        }
        // The present owner's heads are from before its last events.
        if epoch == self.epoch || self.below.replace(epoch) != Some(epoch) {
            return Told::Nothing;
        }
        self.below = None;
        Told::Doubt(self.lost())
    }

    /// A moment later: has what a head told of still not arrived?
    pub(in crate::hub) fn is_ahead(&mut self, head: &RoomHead) -> Effects {
        let is_behind = self.last.is_some_and(|last| last < head.head);
        if is_behind && self.fits(&head.r#gen) {
            self.lost()
        } else {
            Effects::default()
        }
    }
}
