//! A connection whose peer must go on: send its requests, and read its answers.
//!
//! Without bounds, clients that send half a request, or ask for a large page and never read it,
//! would hold every connection that the server allows, for ever.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a connection is at. Flags, no times: one that serves thousands of requests a second should
/// neither set a timer nor read a clock for each of them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// A request is being answered: the client waits for us.
    answering: AtomicBool,
    /// The client does not read; [`WriteStall`] bounds that.
    stalled: AtomicBool,
    /// Something was answered or written since the last look.
    moved: AtomicBool,
}

/// A request is being answered until this is dropped.
pub(super) struct Answering<'a>(&'a Progress);

impl Progress {
    /// A request has come.
    pub(super) fn answering(&self) -> Answering<'_> {
        self.answering.store(true, Relaxed);
        Answering(self)
    }

    /// Waits until the client owed a whole request's head for `limit`; for up to twice as long
    /// on a connection that was used.
    pub(super) async fn head_overdue(&self, limit: Duration) {
        loop {
            sleep(limit).await;
            let moved = self.moved.swap(false, Relaxed);
            if !moved && !self.answering.load(Relaxed) && !self.stalled.load(Relaxed) {
                return;
            }
        }
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.moved.store(true, Relaxed);
        self.0.answering.store(false, Relaxed);
    }
}

/// Fails a write that makes no progress for so long.
pub(super) struct WriteStall<'a, S> {
    stream: S,
    limit: Duration,
    progress: &'a Progress,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<'a, S> WriteStall<'a, S> {
    pub(super) fn new(stream: S, limit: Duration, progress: &'a Progress) -> Self {
        Self {
            stream,
            limit,
            progress,
            waiting: None,
        }
    }

    /// Flushing is no movement: it is done, and succeeds, whenever the connection is looked at.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.progress.moved.store(true, Relaxed);
        }
        self.bound(cx, outcome)
    }

    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.progress.stalled.store(false, Relaxed);
            self.waiting = None;
            return outcome;
        }
        self.progress.stalled.store(true, Relaxed);
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteStall<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteStall<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bound(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (near, _far) = duplex(8);
        let start = Instant::now();
        let error = WriteStall::new(near, LIMIT, &Progress::default())
            .write_all(&[0; 64])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_not() {
        let (near, mut far) = duplex(8);
        let reader = tokio::spawn(async move {
            let mut piece = [0; 8];
            for _ in 0..8 {
                sleep(LIMIT - Duration::from_secs(1)).await;
                far.read_exact(&mut piece).await.unwrap();
            }
        });
        WriteStall::new(near, LIMIT, &Progress::default())
            .write_all(&[0; 64])
            .await
            .unwrap();
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_due_from_the_start() {
        let start = Instant::now();
        Progress::default().head_overdue(LIMIT).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_not_due_while_the_client_waits_or_reads() {
        let progress = Progress::default();
        let start = Instant::now();
        let answering = progress.answering();
        let overdue = async {
            progress.head_overdue(LIMIT).await;
            start.elapsed()
        };
        let client = async {
            sleep(LIMIT * 3).await;
            drop(answering);
            let (near, mut far) = duplex(8);
            let mut near = WriteStall::new(near, LIMIT * 10, &progress);
            let writing = near.write_all(&[0; 16]);
            let reading = async {
                sleep(LIMIT * 3).await;
                far.read_exact(&mut [0; 16]).await.unwrap();
            };
            let (written, ()) = tokio::join!(writing, reading);
            written.unwrap();
        };
        let (overdue, ()) = tokio::join!(overdue, client);
        // The last write was at six times the limit.
        assert!(overdue > LIMIT * 6 && overdue <= LIMIT * 8, "{overdue:?}");
    }
}
