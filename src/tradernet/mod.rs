//! The only code that knows the Tradernet API: what is sent, what comes back, what it means.
//!
//! It makes one request at a time, or holds one connection, and never decides whether to make
//! another, but for the one that a dying connection swallowed. `stream` is a connection that pushes
//! the list, over `connect` and `upgrade`, in the words of `websocket` or `socketio`. `request` knows
//! the paths and forms, `sign` the signatures, `http` the transfer, `unanswered` why nothing came of
//! it, `wire` the answer's shapes, `judge` and `login` what they mean, `scrub` keeps a server from
//! quoting our secrets, and `error` is everything that can go wrong.

mod classify;
mod client;
mod connect;
mod error;
mod frame;
mod handshake;
mod login;
mod redact;
mod request;
pub mod response;
mod signature;
mod socketio;
mod stream;
mod transport;
mod transport_error;
mod websocket;

pub use client::{
    Client, ClientConfig, ListResponse, RequestObserver, SetupError, USER_AGENT, is_loopback,
    system_roots,
};
pub use error::{AuthError, Error, Reason, ServerMessage};
pub use redact::Redactor;
pub use request::{Credentials, Endpoint, KeyVersion};
pub use stream::{Stream, StreamEvent};
pub use transport::{StreamEndpoint, StreamProtocol, Transport};
