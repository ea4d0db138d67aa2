//! The exporter from the outside: what is served when a simulated Tradernet answers like this or that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test ends where something is not as it should be"
)]

mod answers;
mod harness;
mod page;
