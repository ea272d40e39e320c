//! What HTTP says and gets.

pub(crate) mod origin;
