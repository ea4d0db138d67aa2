//! The only code that knows the Tradernet API: what is sent, what comes back, what it means.
//!
//! It makes one request at a time, or holds one connection, and never decides whether to make
//! another, but for the one that a dying connection swallowed. `stream` is a connection that pushes
//! the list, over `connect` and `upgrade`, in the words of `websocket` or `socketio`. `request` knows
//! the paths and forms, `sign` the signatures, `http` the transfer, `unanswered` why nothing came of
//! it, `wire` the answer's shapes, `judge` and `login` what they mean, `scrub` keeps a server from
//! quoting our secrets, and `error` is everything that can go wrong.

mod connect;
mod error;
mod http;
mod judge;
mod login;
mod request;
mod scrub;
mod sign;
mod socketio;
mod stream;
mod transport;
mod unanswered;
mod upgrade;
mod websocket;
pub mod wire;

pub use error::{AuthError, Error, Reason};
pub use http::{Http, Observe, Outbound, SetupError, USER_AGENT, is_loopback, system_roots};
pub use request::{Identity, KeyVersion, Target};
pub use scrub::Scrubber;
pub use stream::{News, Stream};
pub use transport::{Dialect, StreamTarget, Transport};
