//! How a server fails: the faults, which of them applies to a request, and what an HTTP fault sends.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::options::ErrorEnvelope;
use super::response::{self, RequestSecrets, Response};

/// A fault of an HTTP request, instead of or before its answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer. `{SID}` and the like in a text are replaced as in an [`ErrorEnvelope`].
    Answer(Response, BodyEnd),
    /// An error in the API's own form, with this status; the API sends 200 as often as 4xx.
    Error(u16, ErrorEnvelope),
    /// The request is read and never answered.
    NoResponse,
    /// The connection is reset without an answer.
    Reset,
    /// The usual answer, this much later.
    Slow(Duration),
}

/// The bytes or the fault that follow the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// Nothing: it is complete.
    Complete,
    /// Nothing, although it is not complete.
    Stalls,
    /// The connection ends before the body.
    BreaksOff,
    /// The same bytes again, without an end.
    Repeats,
}

impl Fault {
    /// This answer.
    pub fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::Answer(response::new(status, content_type, body), BodyEnd::Complete)
    }

    /// An answer in JSON.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::answer(status, "application/json", body)
    }

    /// A page of HTML, as the CDN in front of the API sends.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::Answer(response::html_page(status), BodyEnd::Complete)
    }

    /// A status with a short text.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::answer(status, "text/plain", "upstream is not well")
    }

    /// 429 with this `Retry-After`. Limits come as an envelope too: [`Fault::rate_limit_envelope`].
    pub fn rate_limited(retry_after: impl ToString) -> Self {
        Self::html(429).header("retry-after", retry_after)
    }

    /// A rate limit in the API's own form: status 200, code 429.
    #[must_use]
    pub fn rate_limit_envelope() -> Self {
        Self::envelope(ErrorEnvelope::error(429, "Request limit exceeded"))
    }

    /// An error envelope with status 200.
    #[must_use]
    pub fn envelope(envelope: ErrorEnvelope) -> Self {
        Self::Error(200, envelope)
    }

    /// The answer with one more header.
    #[must_use]
    pub fn header(self, name: &'static str, value: impl ToString) -> Self {
        match self {
            Self::Answer(response, end) => {
                Self::Answer(response::with_header(response, name, value), end)
            }
            other => other,
        }
    }

    /// The answer with another end.
    #[must_use]
    pub fn end(self, end: BodyEnd) -> Self {
        match self {
            Self::Answer(response, _) => Self::Answer(response, end),
            other => other,
        }
    }
}

/// A fault of a stream. The first two apply to a handshake, the others to a request for the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The handshake is refused with this status.
    RefuseHandshake(u16),
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
    fn is_for_handshake(&self) -> bool {
        matches!(self, Self::RefuseHandshake(_) | Self::DemoMode)
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
    /// To one request.
    Once,
    /// Until the account's faults are cleared.
    Forever,
}

/// The faults of an account, the oldest first.
#[derive(Debug, Default)]
pub(super) struct FaultQueue {
    pub(super) http: Vec<(Repeat, (FaultTarget, Fault))>,
    pub(super) streams: Vec<(Repeat, StreamFault)>,
}

impl FaultQueue {
    /// The fault of a login or of a request for the list.
    pub(super) fn next(&mut self, kind: FaultTarget) -> Option<Fault> {
        let (_, fault) = next(&mut self.http, |(target, _)| {
            *target == kind || *target == FaultTarget::Any
        })?;
        Some(fault)
    }

    /// The fault of a handshake or of a request over a stream.
    pub(super) fn next_stream(&mut self, handshake: bool) -> Option<StreamFault> {
        next(&mut self.streams, |fault| {
            fault.is_for_handshake() == handshake
        })
    }
}

fn next<T: Clone>(queue: &mut Vec<(Repeat, T)>, applies: impl Fn(&T) -> bool) -> Option<T> {
    let at = queue.iter().position(|(_, fault)| applies(fault))?;
    match queue.get(at)? {
        (Repeat::Once, _) => Some(queue.remove(at).1),
        (Repeat::Forever, fault) => Some(fault.clone()),
    }
}

/// A body of the simulator's answers.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Applies a fault, its delay included; `None` where the usual answer follows. `in_flight` is dropped with the
/// body.
///
/// # Errors
/// Where the connection is to be reset.
pub(super) async fn apply(
    fault: Fault,
    secrets: &RequestSecrets,
    in_flight: impl Send + 'static,
) -> io::Result<Option<hyper::Response<Body>>> {
    Ok(match fault {
        Fault::Answer(response, end) => Some(response.map(|body| {
            let text = std::str::from_utf8(&body).map(|text| secrets.substitute_placeholders(text));
            ending(text.map_or(body.clone(), Bytes::from), end, in_flight)
        })),
        Fault::Error(status, envelope) => {
            let body = secrets.envelope(&envelope).to_string();
            Some(response::json(status, body).map(complete))
        }
        Fault::NoResponse => std::future::pending().await,
        Fault::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
        Fault::Slow(delay) => {
            tokio::time::sleep(delay).await;
            None
        }
    })
}

pub(super) fn complete(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn ending(bytes: Bytes, end: BodyEnd, in_flight: impl Send + 'static) -> Body {
    let once = stream::iter([Ok(bytes.clone())]);
    let pieces = match end {
        BodyEnd::Complete => return complete(bytes),
        BodyEnd::Stalls => once.chain(stream::pending()).boxed(),
        BodyEnd::BreaksOff => {
            // Only once the piece was sent: hyper drops what it has not flushed.
            let end = async {
                tokio::task::yield_now().await;
                Err(io::ErrorKind::UnexpectedEof.into())
            };
            once.chain(stream::once(end)).boxed()
        }
        BodyEnd::Repeats => stream::repeat_with(move || Ok(bytes.clone())).boxed(),
    };
    let frames = pieces.map(move |piece| {
        let _ = &in_flight;
        piece.map(Frame::data)
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}
