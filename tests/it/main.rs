//! The exporter from the outside: what is served when a simulated Tradernet answers like this or that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test ends where something is not as it should be"
)]

mod accounts_file;
mod answers;
mod commands;
mod configuration;
mod credentials;
mod demo;
mod failures;
mod fleet;
mod front;
mod harness;
mod hidden;
mod image;
mod login;
mod memory;
mod observability;
mod outbound;
mod page;
mod peer;
mod probes;
mod process;
mod schedule;
mod sdk;
mod secrets;
mod simulator_streams;
mod socketio;
mod unit;
mod websocket;
