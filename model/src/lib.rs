//! A model of the owner's protocol: one partition, one room, two owners, two messages and a reaction,
//! pages of two events. `stateright` walks through every order in which things can happen, within bounds.
//!
//! It shares no code with the product: it says what the protocol is, and what each of its rules is for.
//! When the protocol changes, the model changes first.

pub mod explore;
pub mod fold;
pub mod log;
pub mod owner;
pub mod properties;
pub mod protocol;
pub mod state;
pub mod steps;
pub mod store;
pub mod variants;
