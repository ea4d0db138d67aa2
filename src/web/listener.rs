//! The sockets that are served: TCP and Unix, bound here or by systemd.

use std::fmt;
use std::fs::{Permissions, remove_file, set_permissions, symlink_metadata};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio_util::either::Either;

/// Linux's `EAFNOSUPPORT`: the machine has no IPv6.
const NO_SUCH_FAMILY: i32 = 97;
/// Of a Unix socket: a reverse proxy of the same group may connect.
const SOCKET_MODE: u32 = 0o660;
/// Bytes of an answer that the system takes before the client is ready for them; of a Unix socket twice as
/// many. Without a limit it keeps megabytes for a client that does not read.
const MAX_UNSENT_BYTES: u32 = 16 * 1024;
/// Half of the memory for what a TCP client has not acknowledged. Without a limit one client keeps its thread
/// busy with megabytes at a time; a much smaller one would wait for delayed acknowledgements.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted, as tokio has it for TCP.
const BACKLOG: u32 = 1024;

/// A connection as accepted.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// An address of the network.
    Tcp(TcpListener),
    /// A file with its inode, which is removed at the end, except where systemd owns it.
    Unix(UnixListener, Option<(PathBuf, u64)>),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Listener {
    /// Binds `host:port` or `unix:/path`.
    ///
    /// # Errors
    ///
    /// Those of the system, such as an address in use.
    pub async fn bind(address: &str) -> io::Result<Self> {
        if let Some(path) = address.strip_prefix("unix:") {
            return bind_unix(Path::new(path)).await;
        }
        let bound = TcpListener::bind(address).await;
        let bound = match (bound, address.strip_prefix("[::]:")) {
            // All addresses: without IPv6 those of IPv4.
            (Err(error), Some(port)) if error.raw_os_error() == Some(NO_SUCH_FAMILY) => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            (bound, _) => bound,
        };
        bound.map(Self::Tcp)
    }

    /// The sockets that systemd has bound for this process.
    ///
    /// # Errors
    ///
    /// There is none, or one is neither a TCP nor a Unix socket that listens.
    pub fn from_systemd() -> io::Result<Vec<Self>> {
        let mut sockets = ListenFd::from_env();
        let count = sockets.len();
        if count == 0 {
            return Err(io::Error::other("no socket was passed"));
        }
        let take = |index| {
            if let Ok(Some(socket)) = sockets.take_unix_listener(index) {
                check_listens(SockRef::from(&socket))?;
                socket.set_nonblocking(true)?;
                return Ok(Self::Unix(UnixListener::from_std(socket)?, None));
            }
            let socket = sockets.take_tcp_listener(index)?;
            let socket = socket.ok_or(io::ErrorKind::InvalidInput)?;
            check_listens(SockRef::from(&socket))?;
            socket.set_nonblocking(true)?;
            Ok(Self::Tcp(TcpListener::from_std(socket)?))
        };
        (0..count).map(take).collect()
    }

    /// The address of a TCP socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let socket = SockRef::from(&stream);
                // Answers are written whole: waiting to fill a segment would only delay them.
                report(socket.set_tcp_nodelay(true));
                report(socket.set_send_buffer_size(SEND_BUFFER_BYTES));
                #[cfg(target_os = "linux")]
                report(socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES));
                Ok(Either::Left(stream))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                report(SockRef::from(&stream).set_send_buffer_size(MAX_UNSENT_BYTES as usize));
                Ok(Either::Right(stream))
            }
        }
    }
}

/// A connection is passed where the socket unit has `Accept=yes`.
fn check_listens(socket: SockRef<'_>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if !socket.is_listener()? {
        return Err(io::Error::other(
            "a socket does not listen; the socket unit needs Accept=no",
        ));
    }
    Ok(())
}

fn report(set: io::Result<()>) {
    if let Err(error) = set {
        tracing::debug!(%error, "an option of a connection cannot be set");
    }
}

/// A socket without a listener, left behind by a process that was killed, is replaced.
async fn bind_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        let connected = UnixStream::connect(path).await;
        if connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            remove_file(path)?;
        }
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = Some((path.to_owned(), symlink_metadata(path)?.ino()));
    // No client can connect before the mode is set.
    set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok(Listener::Unix(socket.listen(BACKLOG)?, file))
}

/// As in `--web.listen-address`.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("unknown"),
            },
            Self::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                write!(f, "unix:{}", path.unwrap_or(Path::new("")).display())
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another process may have bound the path meanwhile.
        if let Self::Unix(_, Some((path, inode))) = self
            && symlink_metadata(&*path).is_ok_and(|file| file.ino() == *inode)
        {
            let _ = remove_file(path);
        }
    }
}
