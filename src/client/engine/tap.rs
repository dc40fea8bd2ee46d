//! Between hyper and the connection: keeps header fields as they are spelled. hyper folds names to lower case and groups repeats;
//! so the head that it writes is replaced by ours (same framing), and what it reads is read by `h1` first. Here it also shows whether what was written
//! has left. Touches nothing but the connection that it is given.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire_state::{ExchangeWire, WireState};
use crate::error::{Error, Phase};
use crate::io::SocketWatch;

pub struct Tap<S> {
    io: S,
    wire: WireState,
    /// The end of the stream is authenticated: the other side has sent close_notify.
    true_end: bool,
    watch: Arc<SocketWatch>,
    /// Bytes written since the last check for an answer.
    burst: usize,
}

/// Most bytes of a request that are written before the next check for an answer, so that a fast writer does not miss one.
const BURST: usize = 64 << 10;
/// Most bytes that are offered to the socket at once: it might take megabytes.
const OFFER: usize = 256 << 10;

impl<S> Tap<S> {
    pub fn new(io: S, true_end: bool, watch: Arc<SocketWatch>) -> (Tap<S>, WireState) {
        let wire = WireState::default();
        (Tap { io, wire: wire.clone(), true_end, watch, burst: 0 }, wire)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(fault) = &self.wire.state().fault {
            return Poll::Ready(Err(fault.clone().into_io()));
        }
        let before = buf.filled().len();
        let done = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        self.burst = 0;
        let came = &buf.filled()[before..];
        if let Err(fault) = self.wire.receive(came) {
            return Poll::Ready(Err(fault.into_io()));
        }
        let state = self.wire.state();
        match &state.broken {
            // The error was seen when writing; what follows looks like a regular end.
            Some(error) if came.is_empty() && done.is_ok() && (state.head_is_due || !self.true_end) => {
                Poll::Ready(Err(error.clone().into_io()))
            }
            _ => Poll::Ready(done),
        }
    }
}

impl<S: AsyncWrite + Unpin> Tap<S> {
    /// Writes our head in place of hyper's; `Some(n)` once all of ours is written, with `n` the length of hyper's.
    fn poll_head(&mut self, cx: &mut Context<'_>, theirs: &[u8]) -> Poll<io::Result<Option<usize>>> {
        let mut state = self.wire.state();
        let Some((head, sent)) = &mut state.outgoing else { return Poll::Ready(Ok(None)) };
        let method = head.split_inclusive(|byte| *byte == b' ').next().unwrap_or_default();
        let end = theirs.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end.filter(|_| theirs.starts_with(method)) else {
            return Poll::Ready(Err(io::Error::other("something other than a request head was written")));
        };
        while *sent < head.len() {
            *sent += ready!(Pin::new(&mut self.io).poll_write(cx, &head[*sent..]))?;
        }
        state.outgoing = None;
        Poll::Ready(Ok(Some(end + 4)))
    }

    /// Notes the result of writing `length` bytes, 0 for a flush. A server that has closed may have answered before: so hyper does not learn that it has closed
    /// until it has read everything.
    fn written(&mut self, done: Poll<io::Result<usize>>, length: usize) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        let mut state = self.wire.state();
        let error = match done {
            Poll::Ready(Ok(count)) => {
                state.stuck = false;
                self.burst += count;
                return Poll::Ready(Ok(count));
            }
            Poll::Pending => {
                state.stuck = true;
                ExchangeWire::wake(state);
                return Poll::Pending;
            }
            Poll::Ready(Err(error)) => error,
        };
        if !matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted) {
            return Poll::Ready(Err(error));
        }
        state.broken = Some(Error::from_io(error, Phase::Transfer));
        let progress = state.progress.clone();
        ExchangeWire::wake(state);
        if let Some(progress) = progress {
            progress.stop();
        }
        Poll::Ready(Ok(length))
    }

    /// Whether something has arrived that hyper must read before it writes on. It will: until the final head is there it reads whatever arrives.
    fn must_read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.burst < BURST || self.wire.state().early.is_some() {
            return false;
        }
        if self.watch.is_quiet() {
            self.burst = 0;
            return false;
        }
        // Wakes the task once the runtime has polled the network.
        let _ = pin!(tokio::task::yield_now()).poll(cx);
        true
    }

    fn is_broken(&self) -> bool {
        self.wire.state().broken.is_some()
    }
}

/// The buffers, cut to what is offered at once.
fn offer<'a>(bufs: &'a [io::IoSlice<'a>]) -> Vec<io::IoSlice<'a>> {
    let mut left = OFFER;
    let cut = |buf: &'a io::IoSlice<'a>| {
        let length = buf.len().min(left);
        left -= length;
        (length > 0).then(|| io::IoSlice::new(&buf[..length]))
    };
    bufs.iter().filter(|buf| !buf.is_empty()).map_while(cut).collect()
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_broken() {
            return Poll::Ready(Ok(buf.len()));
        }
        let done = match self.poll_head(cx, buf) {
            Poll::Ready(Ok(None)) if self.must_read(cx) => Poll::Pending,
            Poll::Ready(Ok(None)) => Pin::new(&mut self.io).poll_write(cx, &buf[..buf.len().min(OFFER)]),
            Poll::Ready(Ok(Some(length))) => return self.written(Poll::Ready(Ok(length)), length),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.written(done, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if self.is_broken() {
            return Poll::Ready(Ok(length));
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        let done = match self.poll_head(cx, first) {
            Poll::Ready(Ok(None)) if self.must_read(cx) => Poll::Pending,
            Poll::Ready(Ok(None)) if length > OFFER => Pin::new(&mut self.io).poll_write_vectored(cx, &offer(bufs)),
            Poll::Ready(Ok(None)) => Pin::new(&mut self.io).poll_write_vectored(cx, bufs),
            Poll::Ready(Ok(Some(length))) => return self.written(Poll::Ready(Ok(length)), length),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.written(done, length)
    }

    /// Always true: otherwise hyper may put a head behind the rest of a body into one buffer, and its start cannot be found.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken() {
            return Poll::Ready(Ok(()));
        }
        let done = Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| 0);
        self.written(done, 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
