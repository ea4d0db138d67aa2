//! The simulator as a client sees it, over a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

mod auth;
mod client;
mod demo;
mod faults;
mod streams;
