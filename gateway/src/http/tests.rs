//! What the edge says to requests, right and wrong.

mod pages;
mod sockets;
