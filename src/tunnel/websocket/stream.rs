//! The client's side of a WebSocket as a stream of bytes. Bytes travel in binary frames; a Close frame ends the stream; a violation of the protocol is an
//! error, and the peer is sent its code. Holds at most one piece. Reads and writes what it is given.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames;
use super::frames::{BINARY, CLOSE, FrameEvent, FrameReader, FrameViolation, PONG};
use crate::error::{Error, Phase, Status};
use crate::h1::Role;

/// A peer's frame may be this long; none of it is held.
const MAX_FRAME: u64 = 16 << 20;
/// What is read at a time, and put in one frame.
const PIECE: usize = 16 << 10;

pub struct TunnelStream<S> {
    io: S,
    frames: FrameReader,
    input: Vec<u8>,
    /// The part of the input that is still to be read as frames, and, before it, the payload that has not been taken.
    unread: std::ops::Range<usize>,
    payload: std::ops::Range<usize>,
    /// What is to be written, and how much of it has been.
    out: Vec<u8>,
    gone: usize,
    /// The answer to the last ping, which goes out between frames.
    pong: Option<Vec<u8>>,
    /// The waker of a waiting write. A socket wakes only the last task that polled it for writing, so a read that writes polls with this one.
    writer: Option<Waker>,
    /// The server will send nothing more.
    ended: bool,
    /// At least one byte has come through.
    used: bool,
    /// A Close frame was put into `out`.
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TunnelStream<S> {
    /// `io` has been upgraded; `received` came after the response. Errors: WebSocket, if that is too much.
    pub fn new(io: S, received: &[u8]) -> Result<TunnelStream<S>, Error> {
        let mut input = vec![0; PIECE];
        let place = input.get_mut(..received.len());
        let place = place.ok_or_else(|| broken("bytes right behind the answer".into()))?;
        place.copy_from_slice(received);
        Ok(TunnelStream {
            io,
            frames: FrameReader::new(Role::Client, MAX_FRAME),
            input,
            unread: 0..received.len(),
            payload: 0..0,
            out: Vec::new(),
            gone: 0,
            pong: None,
            writer: None,
            ended: false,
            used: false,
            closed: false,
        })
    }

    pub fn inner(&self) -> &S {
        &self.io
    }

    /// Handles one event of the input.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let at = self.unread.start;
        let (taken, event) = match self.frames.next(&mut self.input[self.unread.clone()]) {
            Ok(found) => found,
            Err(FrameViolation { code, why }) => {
                self.say_goodbye(cx, code, why);
                return Err(broken(format!("the peer sent {why} (Close code {code})")));
            }
        };
        self.unread.start += taken;
        match event {
            FrameEvent::More | FrameEvent::Pong => {}
            FrameEvent::Data(range) => {
                self.used = true;
                self.payload = at + range.start..at + range.end;
            }
            FrameEvent::Ping => self.pong = Some(self.frames.control().to_vec()),
            FrameEvent::Close(code) => {
                let reason = self.frames.control().get(2..).unwrap_or_default();
                let reason = String::from_utf8_lossy(reason).escape_debug().to_string();
                self.say_goodbye(cx, code, "");
                if !matches!(code, 1000 | 1005) {
                    return Err(broken(format!("the peer closed with code {code}: {reason}")));
                }
                self.end(code, &reason)?;
            }
        }
        Ok(())
    }

    /// The stream has ended. If nothing came through, the tunnel failed: this is not the end of the server's stream.
    fn end(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        self.ended = true;
        match self.used {
            true => Ok(()),
            false => Err(broken(format!("the peer closed before anything came through, with code {code}: {reason}"))),
        }
    }

    /// Sends a Close frame, or as much of it as the peer takes now: a peer that violates the protocol is not waited for.
    fn say_goodbye(&mut self, cx: &mut Context<'_>, code: u16, why: &str) {
        self.pong = None;
        if !std::mem::replace(&mut self.closed, true)
            && let Ok(key) = fresh_key()
        {
            frames::put(&mut self.out, CLOSE, &frames::close_payload(code, why), Some(key));
        }
        self.send_beside(cx);
    }

    /// Writes as much as possible during a read; a write that waits is still woken.
    fn send_beside(&mut self, cx: &mut Context<'_>) {
        let waker = self.writer.clone();
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
        if let Poll::Ready(Ok(())) = self.poll_out(&mut cx) {
            let _ = Pin::new(&mut self.io).poll_flush(&mut cx);
        }
    }

    /// For writes: waits until everything is sent.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = self.poll_out(cx);
        self.writer = done.is_pending().then(|| cx.waker().clone());
        done
    }

    /// Writes what waits, also the pong.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.gone < self.out.len() {
                match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.gone..])).map_err(named)? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.gone += count,
                }
            }
            self.out.clear();
            self.gone = 0;
            let Some(pong) = self.pong.take() else { return Poll::Ready(Ok(())) };
            frames::put(&mut self.out, PONG, &pong, Some(fresh_key()?));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TunnelStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.payload.is_empty() {
                let count = this.payload.len().min(buf.remaining());
                buf.put_slice(&this.input[this.payload.start..this.payload.start + count]);
                this.payload.start += count;
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            if !this.unread.is_empty() {
                this.advance(cx).map_err(Error::into_io)?;
                continue;
            }
            // Reading does not wait until the pong is written.
            if this.pong.is_some() {
                this.send_beside(cx);
            }
            let mut room = ReadBuf::new(&mut this.input);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut room)).map_err(named)?;
            this.unread = 0..room.filled().len();
            if this.unread.is_empty() {
                this.ended = true;
                return Poll::Ready(Err(broken("the connection ended without a Close frame".into()).into_io()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TunnelStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Waits until the frame before is written: at most one waits here, which is the back-pressure.
        ready!(self.poll_own(cx))?;
        if self.closed {
            return Poll::Ready(Err(broken("it is closed".into()).into_io()));
        }
        let count = buf.len().min(PIECE);
        let key = fresh_key()?;
        frames::put(&mut self.out, BINARY, &buf[..count], Some(key));
        match self.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_own(cx))?;
        let done = Pin::new(&mut self.io).poll_flush(cx).map_err(named);
        self.writer = done.is_pending().then(|| cx.waker().clone());
        done
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A WebSocket cannot be half closed: TLS has sent its close_notify, and what the server still sends must arrive. So this only flushes; the
        // socket closes when it is dropped.
        self.poll_flush(cx)
    }
}

/// Unpredictable, so that intermediaries never see bytes of the host's choice (section 10.3).
fn fresh_key() -> io::Result<[u8; 4]> {
    let mut key = [0; 4];
    match aws_lc_rs::rand::fill(&mut key) {
        Ok(()) => Ok(key),
        Err(_) => Err(Error::new(Status::Internal, "the system gave no random numbers").into_io()),
    }
}

fn named(error: io::Error) -> io::Error {
    Error::from_io(error, Phase::Tunnel).context("tunnel").into_io()
}

fn broken(why: String) -> Error {
    Error::new(Status::WebSocket, format!("tunnel: {why}")).phase(Phase::Tunnel)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// A write waits for its peer; what comes meanwhile has an answer, which the peer has no room for either.
    async fn a_write_waits_while(comes: &[u8]) {
        let (near, mut far) = tokio::io::duplex(256);
        let mut tunnel = TunnelStream::new(near, b"").unwrap();
        let (writing, reading) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let (writer, reader) = (Waker::from(writing.clone()), Waker::from(reading));
        let write = |tunnel: &mut TunnelStream<_>| {
            Pin::new(tunnel).poll_write(&mut Context::from_waker(&writer), &[7; 1024]).map(|done| done.ok())
        };
        assert_eq!(write(&mut tunnel), Poll::Ready(Some(1024)));
        assert!(write(&mut tunnel).is_pending());
        far.write_all(comes).await.unwrap();
        let mut room = [0; 16];
        let mut room = ReadBuf::new(&mut room);
        let _ = Pin::new(&mut tunnel).poll_read(&mut Context::from_waker(&reader), &mut room);
        writing.0.store(false, Ordering::Release);
        far.read_exact(&mut [0; 200]).await.unwrap();
        assert!(writing.0.load(Ordering::Acquire), "the write is not told that there is room");
    }

    #[tokio::test]
    async fn who_reads_takes_no_wake_up_from_who_writes() {
        let frame = |opcode, payload: &[u8]| {
            let mut frame = Vec::new();
            frames::put(&mut frame, opcode, payload, None);
            frame
        };
        a_write_waits_while(&frame(frames::PING, b"are you there?")).await;
        a_write_waits_while(&frame(CLOSE, &[])).await;
        a_write_waits_while(&frame(BINARY, b"data")).await;
    }
}
