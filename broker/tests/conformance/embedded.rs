//! What only the embedded broker can show.
