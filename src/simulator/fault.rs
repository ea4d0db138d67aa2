//! How a server fails: the faults, which of them applies to a request, and what an HTTP fault sends.
//!
//! Large bodies are made while they are sent: none is held whole, and no more is made once the client has left.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::options::ErrorEnvelope;
use super::response::{RequestSecrets, Response};
use super::session::saturating_add;

/// What happens to an HTTP request instead of, or before, its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Any status with any body. `{SID}` and the like in a text are replaced as in an [`ErrorEnvelope`].
    Status {
        /// The status.
        code: u16,
        /// The body.
        body: Bytes,
        /// The body's type.
        content_type: &'static str,
        /// More headers.
        headers: Vec<(&'static str, String)>,
    },
    /// 429 and a page of HTML. Rate limits come as an envelope too: [`Fault::rate_limit_envelope`].
    RateLimited {
        /// The `Retry-After` header.
        retry_after: RetryAfter,
    },
    /// 403 and a page of HTML, as the CDN in front of the API sends.
    HtmlForbidden,
    /// An error in the API's own form.
    ErrorEnvelope {
        /// The HTTP status; the API sends 200 as often as 4xx.
        status: u16,
        /// The error.
        envelope: ErrorEnvelope,
    },
    /// The request is read and never answered.
    NoResponse,
    /// Headers, then nothing.
    StallBody,
    /// The connection is reset without an answer.
    Reset,
    /// A body that ends before its `Content-Length`.
    Truncated,
    /// 200 and bytes that are not JSON.
    InvalidJson,
    /// 200 and a page of HTML.
    HtmlPage,
    /// 200 and an empty body.
    EmptyBody,
    /// A valid list of sessions of this length.
    OversizedList {
        /// The length of the body.
        bytes: u64,
        /// Whether a header gives the length.
        with_content_length: bool,
    },
    /// A compressed body that decodes to far more than is sent.
    GzipBomb {
        /// The decoded length.
        decoded_bytes: u64,
    },
    /// This many nested brackets.
    NestedBrackets(usize),
    /// A redirect.
    Redirect {
        /// 301, 302, 307, 308
        status: u16,
        /// The `Location` header.
        location: String,
    },
    /// The usual answer, late.
    Slow {
        /// By how much.
        delay: Duration,
    },
}

impl Fault {
    /// A status with a short text.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            body: Bytes::from_static(b"upstream is not well"),
            content_type: "text/plain",
            headers: Vec::new(),
        }
    }

    /// An error envelope with status 200.
    #[must_use]
    pub fn envelope(envelope: ErrorEnvelope) -> Self {
        Self::ErrorEnvelope {
            status: 200,
            envelope,
        }
    }

    /// A rate limit in the API's own form: status 200, code 429.
    #[must_use]
    pub fn rate_limit_envelope() -> Self {
        Self::envelope(ErrorEnvelope::error(429, "Request limit exceeded"))
    }
}

/// The `Retry-After` header of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// A number of seconds.
    Seconds(u64),
    /// A date, this long after the simulator's time of the answer.
    Date(Duration),
}

/// What happens to a stream. The first two apply to a handshake, the others to a request for the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The handshake is refused with this status.
    RefuseHandshake {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u64>,
    },
    /// The stream is in demo mode although its credential is valid.
    DemoMode,
    /// An error in the API's own form, in an event.
    ErrorEvent(ErrorEnvelope),
    /// These texts, as they are: a frame each.
    RawFrames(Vec<String>),
    /// The request is ignored, as are changes of the list.
    NoResponse,
    /// The connection ends.
    Disconnect(Disconnect),
}

impl StreamFault {
    pub(super) fn is_for_handshake(&self) -> bool {
        matches!(self, Self::RefuseHandshake { .. } | Self::DemoMode)
    }
}

/// How a stream's connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// A close frame with this code (1001: the server goes away).
    Close(u16),
    /// The end of the TCP connection, without a close frame.
    Eof,
    /// A reset of the TCP connection.
    Reset,
}

/// The HTTP requests that a fault applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultTarget {
    /// Requests for the list.
    SessionList,
    /// Logins.
    Login,
    /// All requests.
    Any,
}

/// How often a fault applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// To this many requests.
    Count(u32),
    /// Until the account's faults are cleared.
    Forever,
}

/// The faults of an account, the oldest first.
#[derive(Debug, Default)]
pub(super) struct FaultQueue {
    http: VecDeque<(FaultTarget, Repeat, Fault)>,
    streams: VecDeque<(Repeat, StreamFault)>,
}

impl FaultQueue {
    pub(super) fn enqueue(&mut self, target: FaultTarget, repeat: Repeat, fault: Fault) {
        self.http.push_back((target, repeat, fault));
    }

    pub(super) fn enqueue_stream(&mut self, repeat: Repeat, fault: StreamFault) {
        self.streams.push_back((repeat, fault));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault of a login or of a request for the list, used up once.
    pub(super) fn next(&mut self, kind: FaultTarget) -> Option<Fault> {
        self.http
            .retain(|(_, repeat, _)| *repeat != Repeat::Count(0));
        let mut faults = self.http.iter_mut();
        let (_, repeat, fault) =
            faults.find(|(target, ..)| *target == kind || *target == FaultTarget::Any)?;
        use_up(repeat);
        Some(fault.clone())
    }

    /// The fault of a handshake or of a request over a stream, used up once.
    pub(super) fn next_stream(&mut self, handshake: bool) -> Option<StreamFault> {
        self.streams
            .retain(|(repeat, _)| *repeat != Repeat::Count(0));
        let mut faults = self.streams.iter_mut();
        let (repeat, fault) = faults.find(|(_, fault)| fault.is_for_handshake() == handshake)?;
        use_up(repeat);
        Some(fault.clone())
    }
}

fn use_up(repeat: &mut Repeat) {
    if let Repeat::Count(left) = repeat {
        *left = left.saturating_sub(1);
    }
}

/// A body of the simulator's answers.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What becomes of an HTTP request.
pub(super) enum Outcome {
    /// An answer.
    Response(Response),
    /// An answer with a body that is made while it is sent.
    Streamed(Response, Body),
    /// No answer for as long as the client waits.
    NoResponse,
    /// No answer, and the connection is reset.
    Reset,
}

/// Applies a fault, its delay included; `None` where the usual answer follows.
pub(super) async fn apply(
    fault: Fault,
    secrets: &RequestSecrets,
    now: SystemTime,
) -> Option<Outcome> {
    let json = |body: Bytes| Response::json(200, body);
    let response = match fault {
        Fault::Status {
            code,
            body,
            content_type,
            headers,
        } => {
            let body = match std::str::from_utf8(&body) {
                Ok(text) => Bytes::from(secrets.substitute_placeholders(text)),
                Err(_) => body,
            };
            Response {
                headers,
                ..Response::new(code, content_type, body)
            }
        }
        Fault::RateLimited { retry_after } => {
            let response = Response::html_page(429, "429 Too Many Requests");
            match retry_after {
                RetryAfter::Absent => response,
                RetryAfter::Seconds(seconds) => response.header("retry-after", seconds.to_string()),
                RetryAfter::Date(wait) => {
                    let date = httpdate::fmt_http_date(saturating_add(now, wait));
                    response.header("retry-after", date)
                }
            }
        }
        Fault::HtmlForbidden => Response::html_page(403, "403 Forbidden"),
        Fault::ErrorEnvelope { status, envelope } => {
            Response::json(status, secrets.envelope(&envelope).to_string())
        }
        Fault::InvalidJson => json(Bytes::from_static(b"\x00\xff\xfe{]not json\x1b[")),
        Fault::HtmlPage => Response::html_page(200, "Maintenance"),
        Fault::EmptyBody => json(Bytes::new()),
        Fault::NestedBrackets(depth) => {
            json(Bytes::from(["[".repeat(depth), "]".repeat(depth)].concat()))
        }
        Fault::Redirect { status, location } => {
            Response::html_page(status, "Moved").header("location", location)
        }
        Fault::Slow { delay } => {
            tokio::time::sleep(delay).await;
            return None;
        }
        Fault::NoResponse => return Some(Outcome::NoResponse),
        Fault::Reset => return Some(Outcome::Reset),
        Fault::StallBody => return Some(streamed(json(Bytes::new()), stream::pending())),
        Fault::Truncated => {
            let start = Bytes::from_static(b"[{\"id\": 7165011, \"safety_type_id\": 4, \"expi");
            let response = json(Bytes::new()).header("content-length", "1000");
            return Some(streamed(response, truncated_body(start)));
        }
        Fault::OversizedList {
            bytes,
            with_content_length,
        } => {
            let mut response = json(Bytes::new());
            if with_content_length {
                response = response.header("content-length", bytes.to_string());
            }
            return Some(streamed(response, oversized_list(bytes)));
        }
        Fault::GzipBomb { decoded_bytes } => {
            let response = json(Bytes::new()).header("content-encoding", "gzip");
            return Some(streamed(response, gzip_bomb(decoded_bytes)));
        }
    };
    Some(Outcome::Response(response))
}

fn streamed(response: Response, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Outcome {
    let frames = pieces.map(|piece| Ok(Frame::data(piece)));
    Outcome::Streamed(response, StreamBody::new(frames).boxed_unsync())
}

/// This piece, and an end only once it was sent: hyper drops what it has not flushed when a body ends early.
fn truncated_body(piece: Bytes) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(Some(piece), |piece| async move {
        if piece.is_none() {
            tokio::task::yield_now().await;
        }
        piece.map(|piece| (piece, None))
    })
}

/// A valid list of sessions, each id once, of exactly this length.
fn oversized_list(bytes: u64) -> impl Stream<Item = Bytes> + Send + 'static {
    /// Pieces are about this long.
    const PIECE: usize = 64 * 1024;
    let mut left = bytes;
    let mut id = 0_u64;
    stream::iter(std::iter::from_fn(move || {
        let mut piece = String::new();
        while left > 0 && piece.len() < PIECE {
            let separator = if id == 0 { '[' } else { ',' };
            let entry = format!(
                "{separator}{{\"id\":{id},\"safety_type_id\":4,\"expire\":3600000,\"ip_client\":\"203.0.113.10\"}}"
            );
            if (entry.len() as u64) < left {
                id += 1;
                left -= entry.len() as u64;
                piece.push_str(&entry);
            } else {
                // No room for another: close the list, and fill with blanks.
                let end = if id == 0 { "[]" } else { "]" };
                let blanks = usize::try_from(left).unwrap_or_default();
                piece.push_str(end);
                piece.push_str(&" ".repeat(blanks.saturating_sub(end.len())));
                left = 0;
            }
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    }))
}

/// `[`, blanks and `]`, compressed to about a thousandth.
fn gzip_bomb(decoded_bytes: u64) -> impl Stream<Item = Bytes> + Send + 'static {
    let blanks = vec![b' '; 1024 * 1024];
    let mut left = decoded_bytes.saturating_sub(2);
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::best()));
    let mut at_start = true;
    stream::iter(std::iter::from_fn(move || {
        // Writing into a vector does not fail; if it did, the body would end there.
        loop {
            let open = encoder.as_mut()?;
            if std::mem::take(&mut at_start) {
                open.write_all(b"[").ok()?;
            }
            let run = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(blanks.len());
            open.write_all(blanks.get(..run)?).ok()?;
            left -= run as u64;
            let piece = if left == 0 {
                let mut last = encoder.take()?;
                last.write_all(b"]").ok()?;
                last.finish().ok()?
            } else {
                std::mem::take(open.get_mut())
            };
            if !piece.is_empty() {
                return Some(Bytes::from(piece));
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::collections::HashSet;
    use std::io::Read;

    use flate2::read::GzDecoder;
    use serde_json::Value;

    use super::*;

    async fn whole(pieces: impl Stream<Item = Bytes>) -> Vec<u8> {
        pieces.collect::<Vec<_>>().await.concat()
    }

    #[test]
    fn faults_apply_in_order_per_target() {
        use FaultTarget::{Any, Login, SessionList};
        let mut faults = FaultQueue::default();
        faults.enqueue(SessionList, Repeat::Count(2), Fault::InvalidJson);
        faults.enqueue(Login, Repeat::Count(1), Fault::NoResponse);
        faults.enqueue(Login, Repeat::Count(0), Fault::Reset);
        faults.enqueue(Any, Repeat::Forever, Fault::EmptyBody);
        faults.enqueue_stream(Repeat::Count(1), StreamFault::NoResponse);

        let applied = [SessionList, Login, SessionList, SessionList, Login];
        let applied = applied.map(|kind| faults.next(kind).unwrap());
        let expected = [
            Fault::InvalidJson,
            Fault::NoResponse,
            Fault::InvalidJson,
            Fault::EmptyBody,
            Fault::EmptyBody,
        ];
        assert_eq!(applied, expected);
        assert_eq!(faults.next_stream(true), None);
        assert_eq!(faults.next_stream(false), Some(StreamFault::NoResponse));
        assert_eq!(faults.next_stream(false), None);
        faults.clear();
        assert_eq!(faults.next(SessionList), None);
    }

    #[tokio::test]
    async fn oversized_list_is_valid_and_exact() {
        for bytes in [2, 3, 50, 100, 1000, 65_536, 65_537, 300_001] {
            let body = whole(oversized_list(bytes)).await;
            assert_eq!(body.len() as u64, bytes);
            let list: Vec<Value> = serde_json::from_slice(&body).unwrap();
            let ids: HashSet<_> = list.iter().map(|entry| entry["id"].as_u64()).collect();
            assert_eq!(ids.len(), list.len(), "an id twice in {bytes} bytes");
        }
    }

    #[tokio::test]
    async fn gzip_bomb_ratio() {
        for bytes in [2, 3, 70_000, 30_000_000] {
            let body = whole(gzip_bomb(bytes)).await;
            assert!(body.len() as u64 <= bytes / 900 + 64, "{}", body.len());
            let mut decoded = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut decoded).unwrap();
            assert_eq!(decoded.len() as u64, bytes);
            let list: Vec<Value> = serde_json::from_slice(&decoded).unwrap();
            assert!(list.is_empty());
        }
    }
}
