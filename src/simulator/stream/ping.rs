//! A wire on which a client's pings can be made to go unheard.
//!
//! The WebSocket library answers every ping by itself. What it never reads it does not answer: a ping's
//! opcode is turned into a pong's on the way in, which nobody answers. Only the first bytes of each frame
//! are looked at (RFC 6455, section 5.2); nothing is held back or changed in length.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const OPCODE: u8 = 0x0f;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const MASK_BYTES: u64 = 4;

/// A wire, and the question whether pings are to be heard.
pub(super) struct Pings<S> {
    io: S,
    heard: Box<dyn Fn() -> bool + Send>,
    place: Place,
}

/// Where in a frame the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Opcode,
    Length,
    /// So many bytes of a longer length are missing, and its value so far.
    LongLength(u8, u64),
    /// So many bytes of mask and payload are left.
    Rest(u64),
}

impl<S> Pings<S> {
    pub(super) fn new(io: S, heard: impl Fn() -> bool + Send + 'static) -> Self {
        Self {
            io,
            heard: Box::new(heard),
            place: Place::Opcode,
        }
    }

    fn look(&mut self, bytes: &mut [u8]) {
        let mut bytes = bytes;
        while let Some((byte, after)) = bytes.split_first_mut() {
            self.place = match self.place {
                Place::Opcode => {
                    if *byte & OPCODE == PING && !(self.heard)() {
                        *byte = (*byte & !OPCODE) | PONG;
                    }
                    Place::Length
                }
                // A client's frame has a mask; one without ends the connection anyway.
                Place::Length => match *byte & 0x7f {
                    126 => Place::LongLength(2, 0),
                    127 => Place::LongLength(8, 0),
                    length => Place::Rest(MASK_BYTES + u64::from(length)),
                },
                Place::LongLength(missing, value) => {
                    let value = (value << 8) | u64::from(*byte);
                    match missing {
                        1 => Place::Rest(MASK_BYTES.saturating_add(value)),
                        _ => Place::LongLength(missing - 1, value),
                    }
                }
                Place::Rest(left) => {
                    // This byte is the first of them.
                    let here = left.min(after.len() as u64 + 1);
                    let skipped = usize::try_from(here - 1).unwrap_or(after.len());
                    bytes = after.get_mut(skipped..).unwrap_or_default();
                    self.place = match left - here {
                        0 => Place::Opcode,
                        left => Place::Rest(left),
                    };
                    continue;
                }
            };
            bytes = after;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Pings<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(new) = buf.filled_mut().get_mut(before..) {
            self.look(new);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pings<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame, masked with zeroes.
    fn frame(opcode: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(length) {
            Ok(short @ ..126) => frame.push(0x80 | u8::try_from(short).unwrap_or_default()),
            Ok(middle) => {
                frame.push(0x80 | 126);
                frame.extend(middle.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        // A payload that looks like pings.
        frame.resize(frame.len() + length, 0x89);
        frame
    }

    #[test]
    fn pings_alone_become_pongs_however_the_bytes_arrive() {
        let lengths = [0, 1, 125, 126, 65_535, 65_536];
        let frames = |ping| {
            let pairs = lengths.map(|length| [frame(1, length), frame(ping, 5)].concat());
            pairs.concat()
        };
        for step in [1, 2, 3, 7, 1000, 1_000_000] {
            let mut bytes = frames(PING);
            let mut pings = Pings::new((), || false);
            for piece in bytes.chunks_mut(step) {
                pings.look(piece);
            }
            assert!(bytes == frames(PONG), "in steps of {step}");
        }
    }

    #[test]
    fn pings_that_are_to_be_heard_stay() {
        let mut bytes = frame(PING, 3);
        Pings::new((), || true).look(&mut bytes);
        assert_eq!(bytes, frame(PING, 3));
    }
}
