//! A Tradernet of our own, for the demo and for tests: accounts whose sessions open, renew and expire, and
//! whose server misbehaves on request.
//!
//! ```text
//! spec, session, fault   what a world is told: accounts, their oddities, sessions, failures
//! world, state, log      the state behind one lock, by one clock, and who waits for a change of it
//! answer, sign           pure: sessions to JSON, signatures to a verdict
//! access, login          who a request is, and the login form
//! api, reply             routes and envelopes: a request to an answer
//! spoil                  a fault to what goes over the wire
//! face, wire             the HTTP server, as thin as can be
//! stream                 the faces that push, over WebSocket and socket.io, on the same listener
//! demo                   the world of the `demo` command, and what goes on in it
//! ```
//!
//! It shares no code with the client in this crate: a wrong signature would verify itself. Where it says
//! what the platform does, the source is the vendor's page of `getSecuritySessions` and its public clients.
//!
//! ```
//! use std::time::Duration;
//! use tradernet_exporter::simulator::{AccountSpec, Fault, FaultTarget, SessionSpec, Repeat, Simulator};
//!
//! let simulator = Simulator::new();
//! let desk = simulator.add_account(AccountSpec::new("desk-1").sid("0123456789abcdef"));
//! let id = desk.open_session(SessionSpec::new(2, Duration::from_secs(3600)));
//! desk.inject_fault(FaultTarget::SessionList, Repeat::Count(1), Fault::status(502));
//! desk.close_session(id);
//! assert!(desk.open_sessions().is_empty());
//! ```

mod auth;
mod fault;
mod handles;
mod login;
mod options;
mod request_log;
mod resettable_stream;
mod response;
mod routes;
mod server;
mod session;
mod session_list;
mod signature;
mod spoil;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultTarget, Repeat, RetryAfter};
pub use handles::{Account, Simulator};
pub use options::{
    AccountSpec, DatetimeFormat, ErrorEnvelope, ErrorField, ExpireUnit, LoginBehaviour,
    LoginSession, ResponseOptions, ResponseShape,
};
pub use request_log::LoggedRequest;
pub use server::serve;
pub use session::{Session, SessionSpec};
pub use state::RequestCounters;
pub use stream::{Answered, DemoWords, Disconnect, HandshakeRecord, SocketIoForms, StreamOptions};
