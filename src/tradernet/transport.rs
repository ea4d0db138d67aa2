//! How a list is read: by polling, or over a connection that pushes it.

use url::Url;

labels! {
    /// How an account's list of sessions is read: a label, and the value of `TRADERNET_TRANSPORT`.
    #[derive(Default)]
    pub enum Transport {
        /// Polling the JSON API.
        #[default]
        Http = "http",
        /// Pushed over a WebSocket.
        Websocket = "websocket",
        /// Pushed over the legacy socket.io.
        Socketio = "socketio",
    }
}

/// Where an account's list is pushed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEndpoint {
    /// `TRADERNET_WS_URL` or `TRADERNET_SOCKETIO_URL`: scheme, host and port only.
    pub origin: Url,
    /// The protocol of the server.
    pub protocol: StreamProtocol,
}

/// The format of a stream's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamProtocol {
    /// JSON arrays `[event, data, …]`.
    Websocket,
    /// socket.io 2.x.
    Socketio {
        /// The name to subscribe with.
        login: String,
    },
}
