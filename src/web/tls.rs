//! TLS of an accepted connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::listener::Stream;

/// For the whole handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are encrypted ahead for a client that reads slowly.
const MAX_BUFFERED_BYTES: usize = 16 * 1024;
/// The first byte of a handshake.
const HANDSHAKE: u8 = 22;
/// The words of Go's servers.
const PLAIN_HTTP: &[u8] = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n\
                            Client sent an HTTP request to an HTTPS server.\n";

/// Completes the handshake. Plain HTTP is answered with 400. Of a flood of handshakes one is signed at a
/// time, by the permit `signing`, so that it leaves other threads to open connections.
pub(super) async fn accept(
    mut stream: Stream,
    config: Arc<ServerConfig>,
    signing: &Semaphore,
) -> io::Result<Box<TlsStream<Stream>>> {
    let handshake = async {
        if let Either::Left(stream) = &mut stream {
            let mut first = [HANDSHAKE];
            if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE] {
                return Err(refuse_plain(stream).await);
            }
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let turn = signing.acquire().await.map_err(io::Error::other)?;
        let handshake = start.into_stream(config);
        drop(turn);
        handshake.await
    };
    let mut stream = timeout(HANDSHAKE_TIMEOUT, handshake).await??;
    let (_, connection) = stream.get_mut();
    connection.set_buffer_limit(Some(MAX_BUFFERED_BYTES));
    Ok(Box::new(stream))
}

async fn refuse_plain(stream: &mut TcpStream) -> io::Error {
    // Unread bytes would reset the connection, and the client might not see the answer.
    let _ = stream.try_read(&mut [0; 4096]);
    let written = stream.write_all(PLAIN_HTTP).await;
    written
        .err()
        .unwrap_or_else(|| io::Error::other("plain HTTP on a port with TLS"))
}
