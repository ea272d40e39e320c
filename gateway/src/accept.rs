//! Connections as they come in.

pub(crate) mod listener;
