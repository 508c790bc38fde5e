//! A client's connection, on which a send that makes no progress ends.

use super::heads::Heads;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What every HTTP/2 connection begins with, as far as it needs to be looked at.
const HTTP2_PREFACE: &[u8; 14] = b"PRI * HTTP/2.0";

/// How long a client may take nothing of what is sent to it.
pub(super) const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// A connection whose first bytes were looked at.
pub(super) struct Patient {
    stream: TcpStream,
    /// What was read to look at it, and what of that has not been read again.
    seen: [u8; HTTP2_PREFACE.len()],
    unread: std::ops::Range<usize>,
    /// Runs while a send makes no progress.
    stall: Pin<Box<Sleep>>,
    is_stalled: bool,
    /// What is told of everything that is read.
    heads: Option<Arc<Heads>>,
}

impl Patient {
    /// Waits for a connection's first bytes, and whether it speaks HTTP/2. The library can find this out as well,
    /// but waits without a bound.
    pub(super) async fn greet(mut stream: TcpStream) -> io::Result<(Self, bool)> {
        let mut seen = [0; HTTP2_PREFACE.len()];
        let mut length = 0;
        while length < seen.len() && HTTP2_PREFACE.starts_with(&seen[..length]) {
            match stream.read(&mut seen[length..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => length += more,
            }
        }
        let stall = Box::pin(sleep(SEND_PATIENCE));
        let patient =
            Self { stream, seen, unread: 0..length, stall, is_stalled: false, heads: None };
        Ok((patient, seen[..length] == *HTTP2_PREFACE))
    }

    /// The same connection, whose requests' heads are counted.
    pub(super) fn counted(self, heads: &Arc<Heads>) -> Self {
        Self { heads: Some(Arc::clone(heads)), ..self }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let end = self.unread.end.min(self.unread.start + buf.remaining());
        buf.put_slice(&self.seen[self.unread.start..end]);
        self.unread.start = end;
        Poll::Ready(Ok(()))
    }

    /// Whether somebody takes what is sent.
    fn watch<T>(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.is_stalled = false;
            return sent;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stall.as_mut().reset(Instant::now() + SEND_PATIENCE);
        }
        ready!(self.stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.poll_bytes(cx, buf))?;
        let fits =
            self.heads.as_ref().is_none_or(|heads| heads.received(&mut buf.filled_mut()[before..]));
        // Nobody could be told why: there is no request yet to answer.
        Poll::Ready(if fits { Ok(()) } else { Err(io::ErrorKind::OutOfMemory.into()) })
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
