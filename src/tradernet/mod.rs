//! The only code that knows the Tradernet API: what is sent, what comes back, what it means.
//!
//! It makes one request at a time, or holds one connection, and leaves it to its user whether to
//! make another; only a request that a dying kept connection swallowed is sent again.
//!
//! `client` transfers, `request` knows paths and forms, `signature` signs, `response` and `frame`
//! read (`value`: one JSON value), `classify` and `login` decide what was meant, `handshake` and
//! `stream` hold a connection that pushes the list (`socketio`: its packets), `transport_error` sorts
//! what was not answered, `ca` reads the certificates to trust, `redact` removes secrets from a
//! server's words, and `error` is everything that can go wrong.

mod ca;
mod classify;
mod client;
mod connections;
mod error;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handshake;
mod login;
mod redact;
mod request;
mod resolver;
pub mod response;
mod signature;
mod socketio;
mod stream;
mod transport;
mod transport_error;
mod value;

pub use client::{Client, RequestObserver};
pub use connections::{ClientConfig, USER_AGENT, is_loopback};
pub use error::{
    AuthError, Awaited, Error, MAX_RETRY_AFTER, Reason, ResponseHead, ServerMessage, Stage,
};
pub use login::Login;
pub use redact::Redactor;
pub use request::{Credentials, Endpoint, KeyVersion};
pub use resolver::prepare_lookups;
pub use stream::{Stream, StreamEvent};
pub use transport::{StreamEndpoint, StreamProtocol, Transport};
