//! How a list is read: by asking again and again, or over a connection that pushes it.

use url::Url;

/// How an account's list of sessions is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Polling the JSON API.
    Http,
    /// Pushed over a WebSocket.
    Websocket,
    /// Pushed over the legacy socket.io.
    Socketio,
}

impl Transport {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Transport; 3] = [Self::Http, Self::Websocket, Self::Socketio];

    /// The label value, and the value of `TRADERNET_TRANSPORT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Websocket => "websocket",
            Self::Socketio => "socketio",
        }
    }
}

/// Where an account's list is pushed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEndpoint {
    /// `TRADERNET_WS_URL` or `TRADERNET_SOCKETIO_URL`: scheme, host and port alone.
    pub origin: Url,
    /// What is spoken there.
    pub dialect: StreamProtocol,
}

/// What a stream's frames look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamProtocol {
    /// JSON arrays `[event, data]`.
    Websocket,
    /// socket.io 2.x.
    Socketio {
        /// The name to subscribe with.
        login: String,
    },
}

impl StreamProtocol {
    /// The transport that it makes.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Websocket => Transport::Websocket,
            Self::Socketio { .. } => Transport::Socketio,
        }
    }
}
