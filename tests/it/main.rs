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
mod credentials;
mod failures;
mod fleet;
mod harness;
