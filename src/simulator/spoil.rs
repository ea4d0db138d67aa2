//! Turns a fault into what goes over the wire.
//!
//! Large bodies are made as they are sent: nothing here is ever held whole, and nothing more is made once
//! the client has gone.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::fault::{Fault, RetryAfter};
use super::handles::Simulator;
use super::response::{Reply, Sent};
use super::session::later;

/// A body of the simulator's answers.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Filler is made in pieces of about this length.
const PIECE: u64 = 64 * 1024;

/// What becomes of a request that a fault befalls.
pub(super) enum Spoilt {
    /// An answer, with the body that it says.
    Reply(Reply),
    /// The answer's head, and the body apart.
    Streamed(Reply, Body),
    /// No answer for as long as the client waits.
    Hang,
    /// No answer, and the connection is reset.
    Reset,
    /// No answer, and the connection is closed.
    Drop,
}

/// Does what the fault says, time included; `None` where the usual answer follows.
pub(super) async fn spoil(
    world: &Simulator,
    login: &str,
    fault: Fault,
    sent: &Sent,
) -> Option<Spoilt> {
    let json = |body: Bytes| Reply::new(200, "application/json", body);
    Some(match fault {
        Fault::Status {
            code,
            body,
            content_type,
            headers,
        } => {
            let body = match std::str::from_utf8(&body) {
                Ok(text) => Bytes::from(sent.echo(text)),
                Err(_) => body,
            };
            Spoilt::Reply(Reply {
                headers,
                ..Reply::new(code, content_type, body)
            })
        }
        Fault::RateLimited { retry_after } => {
            let reply = Reply::page(429, "429 Too Many Requests");
            Spoilt::Reply(match retry_after {
                RetryAfter::Absent => reply,
                RetryAfter::Seconds(seconds) => reply.header("retry-after", seconds.to_string()),
                RetryAfter::Date(wait) => reply.header(
                    "retry-after",
                    httpdate::fmt_http_date(later(world.now(), wait)),
                ),
            })
        }
        Fault::HtmlForbidden => Spoilt::Reply(Reply::page(403, "403 Forbidden")),
        Fault::ErrorEnvelope { status, envelope } => {
            Spoilt::Reply(Reply::envelope(status, &envelope, sent))
        }
        Fault::NoResponse => Spoilt::Hang,
        Fault::StallBody => Spoilt::Streamed(json(Bytes::new()), boxed(stream::pending())),
        Fault::Reset => Spoilt::Reset,
        Fault::Truncated => {
            let start = Bytes::from_static(b"[{\"id\": 7165011, \"safety_type_id\": 4, \"expi");
            let reply = json(Bytes::new()).header("content-length", "1000");
            Spoilt::Streamed(reply, boxed(broken_off(start)))
        }
        Fault::InvalidJson => {
            Spoilt::Reply(json(Bytes::from_static(b"\x00\xff\xfe{]not json\x1b[")))
        }
        Fault::HtmlPage => Spoilt::Reply(Reply::page(200, "Maintenance")),
        Fault::EmptyBody => Spoilt::Reply(json(Bytes::new())),
        Fault::OversizedList {
            bytes,
            with_content_length,
        } => {
            let reply = json(Bytes::new());
            let reply = if with_content_length {
                reply.header("content-length", bytes.to_string())
            } else {
                reply
            };
            Spoilt::Streamed(reply, boxed(sessions(bytes)))
        }
        Fault::GzipBomb { decoded_bytes } => {
            let reply = json(Bytes::new()).header("content-encoding", "gzip");
            Spoilt::Streamed(reply, boxed(compressed_blanks(decoded_bytes)))
        }
        Fault::NestedBrackets(depth) => Spoilt::Reply(json(Bytes::from(
            ["[".repeat(depth), "]".repeat(depth)].concat(),
        ))),
        Fault::Redirect { status, location } => {
            Spoilt::Reply(Reply::page(status, "Moved").header("location", location))
        }
        Fault::Slow { delay } => {
            tokio::time::sleep(delay).await;
            return None;
        }
        Fault::RevokeSid => {
            // An account that has gone since has no SIDs either.
            world.account(login).revoke_sids();
            return None;
        }
        Fault::DemoMode | Fault::RawFrames(_) | Fault::Disconnect(_) => return None,
    })
}

/// A body that is whole already.
pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn boxed(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures_util::StreamExt;
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

/// This piece, and an end only once it has been sent: hyper drops what it has not flushed when a body ends
/// before its length.
fn broken_off(piece: Bytes) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(Some(piece), |piece| async move {
        if piece.is_none() {
            tokio::task::yield_now().await;
        }
        piece.map(|piece| (piece, None))
    })
}

/// A valid list of sessions, every id once, of exactly this many bytes.
pub(super) fn sessions(bytes: u64) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut made = 0_u64;
    let mut id = 0_u64;
    let pieces = std::iter::from_fn(move || {
        let mut piece = String::new();
        while made < bytes && (piece.len() as u64) < PIECE {
            let left = bytes - made;
            let separator = if made == 0 { '[' } else { ',' };
            let next = format!(
                "{separator}{{\"id\":{id},\"safety_type_id\":4,\"expire\":3600000,\"ip_client\":\"203.0.113.10\"}}"
            );
            let text = if (next.len() as u64) < left {
                id += 1;
                next
            } else {
                // No room for another: close the list, and fill up with blanks after it.
                let end = if made == 0 { "[]" } else { "]" };
                let blanks = left.min(PIECE).saturating_sub(end.len() as u64);
                let blanks = " ".repeat(usize::try_from(blanks).unwrap_or_default());
                made = bytes;
                piece.push_str(end);
                piece.push_str(&blanks);
                break;
            };
            made += text.len() as u64;
            piece.push_str(&text);
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    });
    stream::iter(pieces)
}

/// `[`, blanks and `]`, compressed: about a thousandth of what they are decoded.
fn compressed_blanks(decoded_bytes: u64) -> impl Stream<Item = Bytes> + Send + 'static {
    let mut left = decoded_bytes.max(2);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut begun = false;
    let mut finished = false;
    let blanks = vec![b' '; 16 * 64 * 1024];
    let pieces = std::iter::from_fn(move || {
        // Writing into a vector does not fail; if it did, the body would end there.
        while !finished && encoder.get_ref().len() < 1024 {
            let (bracket, length) = match left {
                _ if !begun => (&b"["[..], 1),
                1 => (&b"]"[..], 1),
                _ => (&[][..], (left - 1).min(blanks.len() as u64)),
            };
            begun = true;
            let run = if bracket.is_empty() {
                blanks.get(..usize::try_from(length).ok()?)?
            } else {
                bracket
            };
            encoder.write_all(run).ok()?;
            left -= length;
            if left == 0 {
                encoder.try_finish().ok()?;
                finished = true;
            }
        }
        let piece = std::mem::take(encoder.get_mut());
        (!piece.is_empty()).then(|| Bytes::from(piece))
    });
    stream::iter(pieces)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::collections::HashSet;
    use std::io::Read;

    use flate2::read::GzDecoder;
    use futures_util::StreamExt;
    use serde_json::Value;

    use super::*;

    async fn whole(pieces: impl Stream<Item = Bytes>) -> Vec<u8> {
        pieces.collect::<Vec<_>>().await.concat()
    }

    #[tokio::test]
    async fn filler_is_a_valid_list_of_exactly_the_length() {
        for bytes in [2, 3, 50, 100, 1000, 65_536, 65_537, 300_001] {
            let body = whole(sessions(bytes)).await;
            assert_eq!(body.len() as u64, bytes);
            let list: Vec<Value> = serde_json::from_slice(&body).unwrap();
            let ids: HashSet<_> = list
                .iter()
                .map(|session| session["id"].as_u64().unwrap())
                .collect();
            assert_eq!(ids.len(), list.len(), "an id twice in {bytes} bytes");
        }
    }

    #[tokio::test]
    async fn a_bomb_is_small_until_it_is_decoded() {
        for bytes in [2, 3, 70_000, 30_000_000] {
            let body = whole(compressed_blanks(bytes)).await;
            assert!(
                body.len() as u64 <= bytes / 900 + 64,
                "{} for {bytes}",
                body.len()
            );
            let mut decoded = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut decoded).unwrap();
            assert_eq!(decoded.len() as u64, bytes);
            assert_eq!(
                serde_json::from_slice::<Vec<Value>>(&decoded)
                    .unwrap()
                    .len(),
                0
            );
        }
    }
}
