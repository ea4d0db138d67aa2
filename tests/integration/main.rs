//! The exporter from the outside, against a simulated Tradernet. Hermetic: needs Rust only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test ends where something is not as it should be"
)]

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared by two test binaries, and each uses a part"
)]
mod support;

mod accounts_file;
mod audit_log;
mod cli;
mod config_errors;
mod credentials;
mod expire_unit;
mod failures;
mod fault_matrix;
mod listeners;
mod login;
mod poll_schedule;
mod probes;
mod redaction;
mod reload;
mod response_size_limits;
mod session_lists;
mod signals_and_logging;
mod simulated_streams;
mod soak;
mod tls_and_proxy;
mod web_config;
mod web_tls;
