//! What may stand in front of a peer: an end of TLS, and a proxy.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Ends TLS in front of a port of loopback; returns its own.
pub(crate) async fn tls_terminator(config: Arc<rustls::ServerConfig>, port: u16) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust it hangs up.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                    .await
                    .unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    own
}

/// An HTTP proxy that leads to one port of loopback, whatever it is asked for.
pub(crate) struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    refusal: Arc<Mutex<Option<String>>>,
}

impl Proxy {
    pub(crate) async fn start(leads_to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
            refusal: Arc::default(),
        };
        let (asked, refusal) = (Arc::clone(&proxy.asked), Arc::clone(&proxy.refusal));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                asked.lock().unwrap().push(String::from_utf8(head).unwrap());
                let refusal = refusal.lock().unwrap().clone();
                if let Some(refusal) = refusal {
                    let answer = format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n");
                    client.write_all(answer.as_bytes()).await.unwrap();
                    continue;
                }
                let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
                client.write_all(answer).await.unwrap();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, leads_to))
                        .await
                        .unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        proxy
    }

    /// For `HTTPS_PROXY`; `credential` ends with an `@` or is empty.
    pub(crate) fn url(&self, credential: &str) -> String {
        format!("http://{credential}127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Refuses everything from now on, with this status.
    pub(crate) fn refuse(&self, status: &str) {
        *self.refusal.lock().unwrap() = Some(status.to_owned());
    }
}
