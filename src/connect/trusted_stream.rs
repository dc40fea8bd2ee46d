//! The stream of a connection that carries a host's own bytes: it fails as soon as the trust in the other side has ended. Touches the stream that it is given,
//! the clock, and through the verifier the network.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Error, Result};
use crate::io::Liveness;
use crate::io::sync::lock;
use crate::verifier::Standing;

/// While the evidence is judged again, and once the trust has ended, nothing is read, written, flushed or ended in an orderly way. On a connection without a policy it is the stream and
/// nothing else.
pub struct TrustedStream<S> {
    io: S,
    guard: Option<Guard>,
}

struct Guard {
    trust: Arc<Standing>,
    /// The evidence is being judged again.
    look: Option<BoxFuture<'static, Result<()>>>,
    /// The wait for a reason to do that.
    pause: Option<BoxFuture<'static, ()>>,
    ended: Option<Error>,
    tasks: Arc<Tasks>,
}

/// Who reads and who writes: they may be two tasks, and both wait for the judgement.
#[derive(Default)]
struct Tasks(Mutex<[Option<Waker>; 2]>);

const READER: usize = 0;
const WRITER: usize = 1;

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        let tasks = std::mem::take(&mut *lock(&self.0));
        tasks.into_iter().flatten().for_each(Waker::wake);
    }
}

impl<S> TrustedStream<S> {
    pub fn new(io: S, trust: Option<Arc<Standing>>) -> TrustedStream<S> {
        let guard = trust.map(|trust| Guard { trust, look: None, pause: None, ended: None, tasks: Arc::default() });
        TrustedStream { io, guard }
    }

    pub fn inner(&self) -> &S {
        &self.io
    }

    fn poll_trust(&mut self, cx: &Context<'_>, who: usize) -> Poll<io::Result<()>> {
        let Some(guard) = &mut self.guard else { return Poll::Ready(Ok(())) };
        guard.poll(cx, who).map_err(Error::into_io)
    }
}

impl Guard {
    fn poll(&mut self, cx: &Context<'_>, who: usize) -> Poll<Result<()>> {
        lock(&self.tasks.0)[who] = Some(cx.waker().clone());
        let waker = Waker::from(self.tasks.clone());
        let cx = &mut Context::from_waker(&waker);
        loop {
            if let Some(error) = &self.ended {
                return Poll::Ready(Err(error.clone()));
            }
            if let Some(look) = &mut self.look {
                let done = ready!(look.as_mut().poll(cx));
                (self.look, self.pause, self.ended) = (None, None, done.err());
                continue;
            }
            if self.trust.is_due() || self.trust.is_too_old() {
                let trust = self.trust.clone();
                self.look = Some(async move { trust.check_without_exchange().await }.boxed());
                continue;
            }
            let trust = &self.trust;
            let pause = self.pause.get_or_insert_with(|| {
                let trust = trust.clone();
                async move { trust.pause().await }.boxed()
            });
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Ready(Ok(()));
            }
            self.pause = None;
        }
    }
}

impl<S: Liveness> Liveness for TrustedStream<S> {
    fn check(&self) -> io::Result<()> {
        self.io.check()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrustedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_trust(cx, READER))?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrustedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_trust(cx, WRITER))?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_trust(cx, WRITER))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_trust(cx, WRITER))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_trust(cx, WRITER))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
