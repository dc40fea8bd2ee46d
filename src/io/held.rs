//! A stream on which what is written waits for more, so that both go out in one segment: the last message of a handshake with the first request. Touches
//! the stream that it has.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait at most before a writer has to.
const MOST: usize = 64 << 10;

/// Invariant: nothing is read before everything that was written is on its way, so that no side waits for the other.
pub struct Held<IO> {
    io: IO,
    waiting: Vec<u8>,
    /// Flushing sends nothing.
    holds: bool,
}

impl<IO> Held<IO> {
    pub fn new(io: IO) -> Held<IO> {
        Held { io, waiting: Vec::new(), holds: true }
    }

    /// From now on what waits goes with whatever is written next, or with the next flush; and after that nothing waits any more.
    pub fn let_go(&mut self) {
        self.holds = false;
    }

    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    fn passes(&self) -> bool {
        !self.holds && self.waiting.is_empty()
    }
}

impl<IO: AsyncWrite + Unpin> Held<IO> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let done = loop {
            let rest = &self.waiting[sent..];
            if rest.is_empty() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        match sent == self.waiting.len() {
            true => self.waiting = Vec::new(),
            false => _ = self.waiting.drain(..sent),
        }
        done
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Held<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Held<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.passes() {
            return Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        }
        if this.waiting.len() >= MOST {
            ready!(this.poll_send(cx))?;
        }
        let before = this.waiting.len();
        bufs.iter().for_each(|buf| this.waiting.extend_from_slice(buf));
        let taken = this.waiting.len() - before;
        if !this.holds
            && let Poll::Ready(Err(error)) = this.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.holds {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// What the other end has got so far, in one read.
    async fn got(peer: &mut DuplexStream) -> Vec<u8> {
        let mut buf = [0; 4096];
        match tokio::time::timeout(std::time::Duration::from_secs(1), peer.read(&mut buf)).await {
            Ok(count) => buf[..count.unwrap()].to_vec(),
            Err(_) => Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_handshake_goes_with_what_follows() {
        let (io, mut peer) = duplex(1 << 16);
        let mut held = Held::new(io);
        held.write_all(b"hello").await.unwrap();
        held.flush().await.unwrap();
        assert_eq!(got(&mut peer).await, b"");
        // Whoever waits for an answer has asked.
        peer.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        held.read_exact(&mut answer).await.unwrap();
        assert_eq!(got(&mut peer).await, b"hello");
        held.write_all(b"finished ").await.unwrap();
        held.flush().await.unwrap();
        held.let_go();
        assert_eq!(got(&mut peer).await, b"");
        held.write_all(b"request").await.unwrap();
        assert_eq!(got(&mut peer).await, b"finished request");
        assert!(held.passes() && held.waiting.capacity() == 0);
        held.write_all(b"more").await.unwrap();
        assert_eq!(got(&mut peer).await, b"more");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_request_a_flush_or_the_end_sends_it() {
        for ends in [false, true] {
            let (io, mut peer) = duplex(1 << 16);
            let mut held = Held::new(io);
            held.write_all(b"finished").await.unwrap();
            match ends {
                true => held.shutdown().await.unwrap(),
                false => {
                    held.let_go();
                    held.flush().await.unwrap();
                }
            }
            assert_eq!(got(&mut peer).await, b"finished");
        }
    }

    /// A peer that takes little at a time slows the writer down, and loses nothing.
    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded() {
        let (io, mut peer) = duplex(100);
        let mut held = Held::new(io);
        let whole: Vec<u8> = (0..3 * MOST as u32).map(|at| at as u8).collect();
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await.unwrap();
            all
        });
        for (index, piece) in whole.chunks(999).enumerate() {
            if index == 3 {
                held.let_go();
            }
            held.write_all(piece).await.unwrap();
            assert!(held.waiting.len() <= MOST + 999);
        }
        held.shutdown().await.unwrap();
        assert_eq!(reader.await.unwrap(), whole);
    }
}
