//! The ways in which a server fails, and the queue of those that an account has coming.
//!
//! Plain values: what a fault does to an answer is [`spoil`](super::spoil)'s affair.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::options::ErrorEnvelope;
use super::stream::Disconnect;

/// What happens to a request instead of, or before, its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Any status with any body. `{SID}` and the like in a body of text are replaced as in an [`ErrorEnvelope`].
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
    /// 429.
    RateLimited {
        /// The `Retry-After` header.
        retry_after: RetryAfter,
    },
    /// 403 and a page of HTML, as the network in front of the API sends.
    HtmlForbidden,
    /// An error in the API's own form.
    ErrorEnvelope {
        /// The status it comes with; the API sends 200 as often as 4xx.
        status: u16,
        /// The error.
        envelope: ErrorEnvelope,
    },
    /// The request is read and never answered.
    NoResponse,
    /// Headers, and then nothing.
    StallBody,
    /// The connection is reset without an answer.
    Reset,
    /// A body that ends before its `Content-Length`.
    Truncated,
    /// 200 and bytes that are nothing.
    InvalidJson,
    /// 200 and a page of HTML.
    HtmlPage,
    /// 200 and no byte.
    EmptyBody,
    /// A list of sessions, valid, and too long. Sent as it is made, until the client goes away.
    OversizedList {
        /// The length of the body.
        bytes: u64,
        /// Whether the header tells the length beforehand.
        with_content_length: bool,
    },
    /// A compressed body that is larger by far than what is sent.
    GzipBomb {
        /// The length once it is decoded.
        decoded_bytes: u64,
    },
    /// So many nested brackets.
    NestedBrackets(usize),
    /// A redirect.
    Redirect {
        /// 301, 302, 307, 308
        status: u16,
        /// Where to.
        location: String,
    },
    /// The usual answer, late.
    Slow {
        /// By how much.
        delay: Duration,
    },
    /// Every SID of the account is forgotten, that of the request too; then the usual answer, code 12.
    RevokeSid,
    /// A stream is in demo mode although its SID is good. Only streams know it.
    DemoMode,
    /// These texts over a stream, as they are. Only streams know it: over socket.io a text is an Engine.IO
    /// packet, `42["event",…]`. `{SID}` in a text becomes the SID of the connection.
    RawFrames(Vec<String>),
    /// A stream ends in this way, after its handshake. Only streams know it.
    Disconnect(Disconnect),
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

    /// Whether a handshake is answered as usual, and the fault comes after it.
    pub(super) fn is_of_streams(&self) -> bool {
        matches!(
            self,
            Self::DemoMode | Self::RawFrames(_) | Self::Disconnect(_)
        )
    }
}

/// The `Retry-After` header of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// A number of seconds.
    Seconds(u64),
    /// A date, so long after the world's time of the answer.
    Date(Duration),
}

/// Which requests a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultTarget {
    /// Requests for the list.
    SessionList,
    /// The login form.
    Login,
    /// Handshakes of streams. What HTTP has refuses them; what only streams have comes in the place of their
    /// greeting.
    StreamHandshake,
    /// Requests for the list over a stream. What has no meaning there ends the connection, with close code 1011;
    /// [`Fault::NoResponse`] leaves the request unanswered, [`Fault::StallBody`] silences the connection for good.
    StreamRequest,
    /// All of these.
    Any,
}

/// How often a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// For so many requests.
    Count(u32),
    /// Until the account is healed.
    Forever,
}

/// The kinds of request that faults and counters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Login,
    Connect,
    /// Whether it is the first of its connection.
    StreamRequest {
        first: bool,
    },
}

/// The faults that an account has coming, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(FaultTarget, Repeat, Fault)>);

impl Faults {
    pub(super) fn enqueue(&mut self, target: FaultTarget, times: Repeat, fault: Fault) {
        self.0.push_back((target, times, fault));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that befalls a request of this kind, used up once.
    pub(super) fn next(&mut self, kind: Kind) -> Option<Fault> {
        self.0.retain(|(_, times, _)| *times != Repeat::Count(0));
        let (_, times, fault) = self.0.iter_mut().find(|(target, ..)| {
            matches!(
                (target, kind),
                (FaultTarget::Any, _)
                    | (FaultTarget::SessionList, Kind::List)
                    | (FaultTarget::Login, Kind::Login)
                    | (FaultTarget::StreamHandshake, Kind::Connect)
                    | (FaultTarget::StreamRequest, Kind::StreamRequest { .. })
            )
        })?;
        if let Repeat::Count(left) = times {
            *left -= 1;
        }
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_their_order_to_the_kind_they_are_for() {
        let mut faults = Faults::default();
        faults.enqueue(
            FaultTarget::SessionList,
            Repeat::Count(2),
            Fault::InvalidJson,
        );
        faults.enqueue(FaultTarget::Login, Repeat::Count(1), Fault::NoResponse);
        faults.enqueue(FaultTarget::Any, Repeat::Forever, Fault::EmptyBody);

        let seen: Vec<_> = [Kind::List, Kind::Login, Kind::List, Kind::List, Kind::Login]
            .map(|kind| faults.next(kind))
            .into();
        let wanted = [
            Fault::InvalidJson,
            Fault::NoResponse,
            Fault::InvalidJson,
            Fault::EmptyBody,
            Fault::EmptyBody,
        ];
        assert_eq!(seen, wanted.map(Some));

        faults.clear();
        assert_eq!(faults.next(Kind::List), None);
    }

    #[test]
    fn a_fault_of_no_times_never_happens() {
        let mut faults = Faults::default();
        faults.enqueue(FaultTarget::Any, Repeat::Count(0), Fault::InvalidJson);
        assert_eq!(faults.next(Kind::List), None);
    }
}
