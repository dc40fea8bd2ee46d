//! The client's side of a WebSocket as a stream of bytes. Bytes travel in binary frames; a Close frame ends the stream; a violation of the protocol is an
//! error, and the peer is sent its code. Has buffers only while there is something in them. Reads and writes what it is given.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::frames;
use super::frames::{BINARY, CLOSE, FrameEvent, FrameReader, FrameViolation, HEADER, PONG};
use crate::error::{Error, Phase, Status};
use crate::h1::Role;
use crate::io::buffers::LentBuffer;
use crate::io::{buffers, pieces};

/// A peer's frame may be this long; none of it is held.
const MAX_FRAME: u64 = 16 << 20;
/// What is read at a time: an idle tunnel holds none of it.
const INPUT: usize = 32 << 10;
/// What is written at a time, in one frame: all that TLS has ready.
const OUTPUT: usize = 64 << 10;

pub struct TunnelStream<S> {
    io: S,
    frames: FrameReader,
    input: Option<LentBuffer>,
    /// The part of the input that is still to be read as frames, and, before it, the payload that has not been taken.
    unread: std::ops::Range<usize>,
    payload: std::ops::Range<usize>,
    /// What is to be written, and how much of it has been.
    out: Option<LentBuffer>,
    gone: usize,
    /// The answer to the last ping, which goes out between frames.
    pong: Option<Vec<u8>>,
    /// The waker of a waiting write. A socket wakes only the last task that polled it for writing, so a read that writes polls with this one.
    writer: Option<Waker>,
    /// Met behind a payload: the next read reports it.
    failed: Option<Error>,
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
        if received.len() > INPUT {
            return Err(broken("bytes right behind the answer".into()));
        }
        let mut input = buffers::lend(INPUT);
        input.extend_from_slice(received);
        Ok(TunnelStream {
            io,
            frames: FrameReader::new(Role::Client, MAX_FRAME),
            input: Some(input),
            unread: 0..received.len(),
            payload: 0..0,
            out: None,
            gone: 0,
            pong: None,
            writer: None,
            failed: None,
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
        let unread = self.input.as_mut().and_then(|input| input.get_mut(self.unread.clone())).unwrap_or_default();
        let (taken, event) = match self.frames.next(unread) {
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
            frames::put(self.outgoing(), CLOSE, &frames::close_payload(code, why), Some(key));
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

    fn outgoing(&mut self) -> &mut LentBuffer {
        self.out.get_or_insert_with(|| buffers::lend(OUTPUT))
    }

    /// Writes what waits, also the pong.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(waits) =
                self.out.as_ref().and_then(|out| out.get(self.gone..)).filter(|rest| !rest.is_empty())
            {
                match ready!(Pin::new(&mut self.io).poll_write(cx, waits)).map_err(named)? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.gone += count,
                }
            }
            (self.out, self.gone) = (None, 0);
            let Some(pong) = self.pong.take() else { return Poll::Ready(Ok(())) };
            let key = fresh_key()?;
            frames::put(self.outgoing(), PONG, &pong, Some(key));
        }
    }

    /// Reads what comes; all that came before has been taken.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let input = self.input.get_or_insert_with(|| buffers::lend(INPUT));
        input.clear();
        let Poll::Ready(read) = pin!(self.io.read_buf(&mut **input)).poll(cx) else {
            self.input = None;
            return Poll::Pending;
        };
        self.unread = 0..read.map_err(named)?;
        if self.unread.is_empty() {
            self.ended = true;
            return Poll::Ready(Err(broken("the connection ended without a Close frame".into()).into_io()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TunnelStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        // Takes all that is there: TLS reads best if it has more than one record.
        loop {
            let payload = this.input.as_ref().and_then(|input| input.get(this.payload.clone())).unwrap_or_default();
            let count = payload.len().min(buf.remaining());
            pieces::put(buf, &payload[..count]);
            this.payload.start += count;
            let some = buf.filled().len() > before;
            match this.failed.take() {
                Some(error) if some => this.failed = Some(error),
                Some(error) => return Poll::Ready(Err(error.into_io())),
                None => {}
            }
            if this.ended || buf.remaining() == 0 || some && (this.failed.is_some() || this.unread.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            if !this.unread.is_empty() {
                this.failed = this.advance(cx).err();
                continue;
            }
            // Reading does not wait until the pong is written.
            if this.pong.is_some() {
                this.send_beside(cx);
            }
            ready!(this.poll_input(cx))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TunnelStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Waits until the frame before is written: at most one waits here, which is the back-pressure.
        ready!(self.poll_own(cx))?;
        if self.closed {
            return Poll::Ready(Err(broken("it is closed".into()).into_io()));
        }
        let count = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(OUTPUT - HEADER);
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        let key = fresh_key()?;
        let out = self.outgoing();
        frames::put_header(out, BINARY, count, Some(key));
        let (from, end) = (out.len(), out.len() + count);
        for buf in bufs {
            let room = end - out.len();
            pieces::append(out, &buf[..buf.len().min(room)]);
        }
        frames::mask(&mut out[from..], key, 0);
        match self.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
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
