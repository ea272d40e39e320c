//! The embedded adapter: an in-process bus, and redb for log and store.
