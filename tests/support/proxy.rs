//! An HTTP proxy, and an end of TLS in front of a server.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap()
}

/// Ends TLS in front of a port of loopback; returns its own.
pub(crate) async fn tls_terminator(config: Arc<rustls::ServerConfig>, port: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate closes the connection.
                if let Ok(mut client) = acceptor.accept(client).await {
                    let _ = copy_bidirectional(&mut client, &mut connect(port).await).await;
                }
            });
        }
    });
    own
}

/// An HTTP proxy that connects each CONNECT request to one port of loopback.
pub(crate) struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    refusal: Arc<Mutex<Option<String>>>,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            heads: Arc::default(),
            refusal: Arc::default(),
        };
        let (heads, refusal) = (Arc::clone(&proxy.heads), Arc::clone(&proxy.refusal));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                let refusal = refusal.lock().unwrap().clone();
                let established = "HTTP/1.1 200 Connection established\r\n\r\n";
                let head = refusal.as_deref().unwrap_or(established);
                // A client that has left is the test's concern.
                let _ = client.write_all(head.as_bytes()).await;
                if refusal.is_none() {
                    tokio::spawn(async move {
                        let _ = copy_bidirectional(&mut client, &mut connect(target).await).await;
                    });
                }
            }
        });
        proxy
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The value of `HTTPS_PROXY`; `credential` ends with an `@` or is empty.
    pub(crate) fn url(&self, credential: &str) -> String {
        format!("http://{credential}{}", self.address())
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Answers all later requests with these bytes and closes the connection.
    pub(crate) fn answer(&self, bytes: &str) {
        *self.refusal.lock().unwrap() = Some(bytes.to_owned());
    }
}
