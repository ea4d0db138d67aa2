//! A line that a conversation is held over, and the WebSocket as one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::attendance::Disconnect;
use super::ping::Pings;

/// Small, since there are thousands of connections and a client says little.
const READ_BUFFER: usize = 1024;

/// No client says more at once.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// How long the other side may take to answer a close.
const CLOSING: Duration = Duration::from_secs(5);

/// The other side has gone.
#[derive(Debug)]
pub(super) struct Gone;

/// Where texts come from and go to.
pub(super) trait Line: Send {
    /// The next text; `None` when the other side has gone. May be dropped half-way without loss.
    fn hear(&mut self) -> impl Future<Output = Option<String>> + Send;

    /// Says a text, to the end.
    fn say(&mut self, text: String) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Says one text in pieces, as they are made.
    fn say_in_pieces(
        &mut self,
        pieces: impl Stream<Item = Bytes> + Send,
    ) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Begins a text, and leaves it at that.
    fn say_half(&mut self, text: String) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Says nothing and understands nothing, until the other side has gone.
    fn endure(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends the line in this way.
    fn end(self, cut: Disconnect) -> impl Future<Output = ()> + Send;
}

/// A WebSocket on the server's side.
pub(super) struct WebSocketLine<S> {
    socket: WebSocketStream<Pings<S>>,
    reset: Arc<AtomicBool>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocketLine<S> {
    /// A line over a connection whose handshake is done. The switch makes its end a reset.
    pub(super) async fn new(
        io: S,
        pings_heard: impl Fn() -> bool + Send + 'static,
        reset: Arc<AtomicBool>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let io = Pings::new(io, pings_heard);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Self { socket, reset }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        self.socket.send(message).await.map_err(|_| Gone)
    }

    async fn send_piece(&mut self, piece: Bytes, at: Data, last: bool) -> Result<(), Gone> {
        let frame = Frame::message(piece, OpCode::Data(at), last);
        self.send(Message::Frame(frame)).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line for WebSocketLine<S> {
    async fn hear(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                // Pings are answered with the next read, and a close as well.
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    async fn say(&mut self, text: String) -> Result<(), Gone> {
        self.send(Message::text(text)).await
    }

    async fn say_in_pieces(
        &mut self,
        pieces: impl Stream<Item = Bytes> + Send,
    ) -> Result<(), Gone> {
        let mut pieces = std::pin::pin!(pieces);
        let mut at = Data::Text;
        while let Some(piece) = pieces.next().await {
            self.send_piece(piece, at, false).await?;
            at = Data::Continue;
        }
        self.send_piece(Bytes::new(), at, true).await
    }

    async fn say_half(&mut self, text: String) -> Result<(), Gone> {
        self.send_piece(Bytes::from(text), Data::Text, false).await
    }

    async fn endure(&mut self) {
        let io = self.socket.get_mut();
        let mut ignored = [0; 512];
        // Not through the socket: that would answer.
        while io.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
    }

    async fn end(mut self, cut: Disconnect) {
        match cut {
            Disconnect::Close(code) => {
                let frame = CloseFrame {
                    code: code.into(),
                    reason: "".into(),
                };
                let closing = async {
                    self.socket.close(Some(frame)).await.ok();
                    while let Some(Ok(_)) = self.socket.next().await {}
                };
                tokio::time::timeout(CLOSING, closing).await.ok();
            }
            Disconnect::Reset => self.reset.store(true, Ordering::Relaxed),
            Disconnect::Eof | Disconnect::Stall => {}
        }
    }
}
