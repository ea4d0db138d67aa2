//! The faces that push: the list over a WebSocket, and over the legacy socket.io.
//!
//! ```text
//! spec            how an account's streams behave, as a world is told
//! attendance      who is connected, and the orders that reach them: part of the world's state
//! dialect         what is said over either, and how it is read: texts, nothing else
//! conversation    one connection's part of the talk: what to do on what is heard and on what changes
//! spoil           a fault to what becomes of a request for the list
//! talk            carries it out over a line: the only loop
//! line, ping      a WebSocket as a line
//! door            requests that ask for a stream: who they are, and the upgrade
//! engine, payload Engine.IO 3 beneath socket.io: its polling, and the change to a WebSocket
//! ```
//!
//! Sources: the vendor's page of `getSecuritySessions`, its public clients, and for the legacy one the
//! published protocols Engine.IO 3 and socket.io 2.

mod attendance;
mod conversation;
mod dialect;
mod door;
mod engine;
mod line;
mod payload;
mod ping;
mod spec;
mod spoil;
mod talk;

pub(super) use attendance::Streams;
pub use attendance::{Disconnect, HandshakeRecord};
pub(super) use door::{Doorway, Knock};
pub(super) use engine::Engine;
pub use spec::{Answered, DemoWords, SocketIoForms, StreamOptions};
