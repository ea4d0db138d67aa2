//! Bounds the time in which a client takes its answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Sleep, sleep};

/// For an answer to be written, from its first delay on, however slowly the client reads.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes to a client. hyper flushes after each answer.
pub(super) struct AnswerWriter {
    pub(super) stream: OwnedWriteHalf,
    /// Set while an answer is delayed.
    pub(super) deadline: Option<Pin<Box<Sleep>>>,
}

impl AsyncWrite for AnswerWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if written.is_ready() {
            return written;
        }
        let deadline = (self.deadline).get_or_insert_with(|| Box::pin(sleep(ANSWER_TIMEOUT)));
        let passed = deadline.as_mut().poll(cx);
        passed.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.deadline = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
