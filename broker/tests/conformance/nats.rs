//! What only NATS can show.
