//! What HTTP says and gets.

pub(crate) mod client;
pub(crate) mod origin;
