//! The exporter and its simulator with programs of other projects: browser, Prometheus, stream servers and
//! clients, the vendor's SDK. Needs what scripts/setup-tests.sh installs; runs with `--features e2e`.
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

mod browser;
mod external;
mod servers;
mod stream_server;

mod completions;
mod demo;
mod hash_password;
mod monitoring_stack;
mod reverse_proxy;
mod simulator_clients;
mod socketio;
mod status_page;
mod vendor_sdk;
mod web_config;
mod websocket;
