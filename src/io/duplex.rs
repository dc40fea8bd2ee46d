//! Reading and writing at the same time, by one task and without splitting the stream. Reads and writes what it is given.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What has happened.
pub enum Moved {
    /// So many bytes were written (0 after a flush alone), and whether everything has been flushed.
    Sent { count: usize, flushed: bool },
    /// So many bytes were read; 0 at the end of the stream.
    Received(usize),
}

/// Writes some of `outbox`, or flushes if that is empty and `flushes` is set, or reads into `room`: whichever is possible first. If the future is dropped
/// before that, nothing was done.
pub async fn advance<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut S,
    outbox: &[u8],
    flushes: bool,
    mut room: Option<&mut impl BufMut>,
) -> io::Result<Moved> {
    poll_fn(|cx| {
        if !outbox.is_empty() {
            if let Poll::Ready(sent) = Pin::new(&mut *wire).poll_write(cx, outbox) {
                let count = sent?;
                let flushed = count == outbox.len() && Pin::new(&mut *wire).poll_flush(cx)?.is_ready();
                return Poll::Ready(Ok(Moved::Sent { count, flushed }));
            }
        } else if flushes && let Poll::Ready(done) = Pin::new(&mut *wire).poll_flush(cx) {
            return Poll::Ready(done.map(|()| Moved::Sent { count: 0, flushed: true }));
        }
        let Some(room) = room.as_deref_mut() else { return Poll::Pending };
        pin!(wire.read_buf(room)).poll(cx).map_ok(Moved::Received)
    })
    .await
}

/// A stream, and what was read from it already.
pub struct Prefixed<S> {
    pub unread: Bytes,
    pub wire: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.wire).poll_read(cx, buf);
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
