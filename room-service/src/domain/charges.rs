//! What a send costs its sender: the rates that apply are charged together or not at all.

use std::{sync::Arc, time::Duration};

use proto::{Limits, RoomId, bus::v1::Send, log::v1::Author};

use super::{
    Now,
    rate::{Meter, NewRooms, Rate},
};

/// The role of operators, who act through the admin API; browsers cannot have it.
pub(crate) const OPERATOR: &str = "operator";

/// The meters of a partition, and that of new rooms, which all partitions share.
pub(super) struct Charges {
    /// With `--limits off` only new rooms are charged.
    rates: bool,
    user_rate: Rate,
    guest_rate: Rate,
    users: Meter<(RoomId, Box<str>)>,
    guests: Meter<(RoomId, u64)>,
    new_rooms: Arc<NewRooms>,
}

/// Keys of the rates that a send falls under.
struct Keys {
    user: Option<(RoomId, Box<str>)>,
    guests: Option<(RoomId, u64)>,
}

impl Charges {
    pub(super) fn new(limits: &Limits, new_rooms: Arc<NewRooms>) -> Self {
        let second = Duration::from_secs(1);
        Self {
            rates: limits.rates,
            user_rate: Rate::new(limits.sends_per_second, second, limits.sends_burst),
            guest_rate: Rate::new(
                limits.guest_sends_per_second,
                second,
                limits.guest_sends_burst,
            ),
            users: Meter::default(),
            guests: Meter::default(),
            new_rooms,
        }
    }

    /// Charges all rates that apply, or none: then the milliseconds until it is worth trying again.
    pub(super) fn charge(
        &mut self,
        room: &RoomId,
        send: &Send,
        is_new: bool,
        now: Now,
    ) -> Result<(), u64> {
        let Keys { user, guests } = self.keys(room, send);
        if let Some(user) = &user {
            self.users.check(user, self.user_rate, now)?;
        }
        if let Some(guests) = &guests {
            self.guests.check(guests, self.guest_rate, now)?;
        }
        if is_new {
            self.new_rooms.check(send.address, now)?;
            self.new_rooms.charge(send.address, now);
        }
        if let Some(user) = user {
            self.users.charge(user, self.user_rate, now);
        }
        if let Some(guests) = guests {
            self.guests.charge(guests, self.guest_rate, now);
        }
        Ok(())
    }

    /// Takes a send's charge back. A new room's is kept: it bounds attempts as well.
    pub(super) fn refund(&mut self, room: &RoomId, send: &Send) {
        let Keys { user, guests } = self.keys(room, send);
        if let Some(user) = user {
            self.users.refund(&user, self.user_rate);
        }
        if let Some(guests) = guests {
            self.guests.refund(&guests, self.guest_rate);
        }
    }

    fn keys(&self, room: &RoomId, send: &Send) -> Keys {
        let is_limited = |from: &&Author| self.rates && from.role != OPERATOR;
        let from = send.from.as_ref().filter(is_limited);
        Keys {
            user: from.map(|from| (room.clone(), from.id.as_str().into())),
            guests: from
                .filter(|from| from.guest && send.address != 0)
                .map(|_| (room.clone(), send.address)),
        }
    }
}
