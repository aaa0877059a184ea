//! The first bytes of a connection have a time limit: until they tell HTTP/1 from HTTP/2 no other limit runs yet, and
//! whoever sends nothing would hold a connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How every HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose reads fail when it is not known in time which protocol it speaks.
pub struct Opening<S> {
    stream: S,
    /// How much of the preface came.
    matched: usize,
    /// Gone once the protocol is known.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Opening<S> {
    pub fn new(stream: S, limit: Duration) -> Opening<S> {
        Opening { stream, matched: 0, timer: Some(Box::pin(tokio::time::sleep(limit))) }
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

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
        let mut opening = Opening::new(server, Duration::from_millis(20));
        let mut buffer = [0; 256];
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            assert_eq!(opening.read(&mut buffer).await.unwrap(), piece.len());
        }
        let silence = tokio::time::timeout(Duration::from_millis(60), opening.read(&mut buffer));
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
}
