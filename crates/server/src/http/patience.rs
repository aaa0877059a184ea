//! What a connection has patience for. Its first bytes have a time limit: until they tell HTTP/1 from HTTP/2 no other
//! limit runs yet, and whoever sends nothing would hold it for ever. So has a write that nobody takes: answers wait
//! in memory until then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Sleep;

/// How every HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Ends the connection that a request came by, whatever else is under way on it.
#[derive(Clone, Default)]
pub struct HangUp(Arc<Notify>);

impl HangUp {
    pub fn now(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody wants it.
    pub async fn wanted(&self) {
        self.0.notified().await;
    }
}

/// A stream whose reads fail when it is not known in time which protocol it speaks, and whose writes fail when they
/// are not taken in time.
pub struct Patient<S> {
    stream: S,
    stall: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    /// How much of the preface came.
    matched: usize,
    /// Gone once the protocol is known.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub fn new(stream: S, limit: Duration, stall: Duration) -> Patient<S> {
        let timer = Some(Box::pin(tokio::time::sleep(limit)));
        Patient { stream, stall, stalled: None, matched: 0, timer }
    }

    /// The outcome of a write, or that it waited too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn look(&mut self, bytes: &[u8]) {
        let expected = &PREFACE[self.matched..];
        let common = bytes.len().min(expected.len());
        self.matched += common;
        if bytes[..common] != expected[..common] || self.matched == PREFACE.len() {
            self.timer = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            if this.timer.is_some() {
                this.look(&buffer.filled()[before..]);
            }
            return Poll::Ready(read);
        }
        if let Some(timer) = &mut this.timer {
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a reader sees of a client that sends these pieces and then nothing more.
    async fn read(pieces: &[&[u8]]) -> Option<io::ErrorKind> {
        let (mut client, server) = tokio::io::duplex(256);
        let mut patient = Patient::new(server, Duration::from_millis(20), Duration::from_secs(60));
        let mut buffer = [0; 256];
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            assert_eq!(patient.read(&mut buffer).await.unwrap(), piece.len());
        }
        let silence = tokio::time::timeout(Duration::from_millis(60), patient.read(&mut buffer));
        silence.await.ok().map(|read| read.unwrap_err().kind())
    }

    #[tokio::test]
    async fn only_a_known_protocol_may_be_silent() {
        for unknown in [&[][..], &[&b"P"[..]], &[b"PRI", b" * HTTP/2.0\r\n"]] {
            assert_eq!(read(unknown).await, Some(io::ErrorKind::TimedOut), "{unknown:?}");
        }
        for known in [
            &[&b"G"[..]][..],
            &[&b"POST"[..]],
            &[b"P", b"RI ", b"x"],
            &[&PREFACE[..10], &PREFACE[10..]],
            &[PREFACE, b"more"],
        ] {
            assert_eq!(read(known).await, None, "{known:?}");
        }
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_ends() {
        let (client, server) = tokio::io::duplex(16);
        let mut patient = Patient::new(server, Duration::from_secs(60), Duration::from_millis(20));
        let refused = tokio::time::timeout(Duration::from_secs(20), patient.write_all(&[0; 64])).await;
        assert_eq!(refused.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
