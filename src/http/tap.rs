//! Between hyper and the connection: keeps header lines as they are spelled. hyper folds names to lower case and groups repeats;
//! so the head that it writes is replaced by ours (same framing), and the heads that it reads are recorded as they pass.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::Head;
use crate::flow::lock;

/// More than hyper will accept as a head, so that what it accepts is always recorded whole.
const MAX_RECORD: usize = 512 << 10;

/// The state of one exchange, shared between the adapter and the exchange.
#[derive(Clone, Default)]
pub struct Spelling(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Head to send in place of hyper's, and how much of it has gone.
    outgoing: Option<(Vec<u8>, usize)>,
    recording: bool,
    incoming: Vec<u8>,
}

impl Spelling {
    /// An exchange begins: send `head`, record what comes back.
    pub fn begin(&self, head: Vec<u8>) {
        let mut state = lock(&self.0);
        *state = State { outgoing: Some((head, 0)), recording: true, incoming: Vec::new() };
    }

    /// What the record has, of a head that was not shown.
    pub fn received(&self) -> Vec<u8> {
        lock(&self.0).incoming.clone()
    }

    /// The next head in the record, once hyper has reported one: informational ones in their order, then the final one.
    pub fn next_head(&self) -> Option<Head> {
        let mut state = lock(&self.0);
        let (head, length) = parse(&state.incoming)?;
        state.incoming.drain(..length);
        if head.status >= 200 || head.status == 101 {
            state.recording = false;
            state.incoming = Vec::new();
        }
        Some(head)
    }
}

fn parse(bytes: &[u8]) -> Option<(Head, usize)> {
    // Most heads are short; the long table is set up only for those that are not.
    let mut few = [httparse::EMPTY_HEADER; 24];
    let mut response = httparse::Response::new(&mut few);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => return Some((head_of(&response)?, length)),
        Err(httparse::Error::TooManyHeaders) => {}
        _ => return None,
    }
    let mut many = vec![httparse::EMPTY_HEADER; super::connection::MAX_HEADERS];
    let mut response = httparse::Response::new(&mut many);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Some((head_of(&response)?, length)),
        _ => None,
    }
}

fn head_of(response: &httparse::Response<'_, '_>) -> Option<Head> {
    let mut head = Head::new(response.code?, response.version?, response.reason.unwrap_or_default().as_bytes());
    for line in response.headers.iter() {
        head.add(line.name.as_bytes(), line.value);
    }
    Some(head)
}

pub struct Tap<S> {
    io: S,
    spelling: Spelling,
}

impl<S> Tap<S> {
    pub fn new(io: S) -> (Tap<S>, Spelling) {
        let spelling = Spelling::default();
        (Tap { io, spelling: spelling.clone() }, spelling)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        let mut state = lock(&self.spelling.0);
        if state.recording && state.incoming.len() < MAX_RECORD {
            state.incoming.extend_from_slice(&buf.filled()[before..]);
        }
        Poll::Ready(done)
    }
}

impl<S: AsyncWrite + Unpin> Tap<S> {
    /// Writes our head where hyper writes its own; `Some(n)` once all of ours is out, where `n` is the length of hyper's.
    fn poll_head(&mut self, cx: &mut Context<'_>, theirs: &[u8]) -> Poll<io::Result<Option<usize>>> {
        let mut state = lock(&self.spelling.0);
        let Some((head, sent)) = &mut state.outgoing else { return Poll::Ready(Ok(None)) };
        let Some(end) = theirs.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Poll::Ready(Err(io::Error::other("a request head was written in pieces")));
        };
        while *sent < head.len() {
            *sent += ready!(Pin::new(&mut self.io).poll_write(cx, &head[*sent..]))?;
        }
        state.outgoing = None;
        Poll::Ready(Ok(Some(end + 4)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.poll_head(cx, buf))? {
            Some(length) => Poll::Ready(Ok(length)),
            None => Pin::new(&mut self.io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        match ready!(self.poll_head(cx, first))? {
            Some(length) => Poll::Ready(Ok(length)),
            None => Pin::new(&mut self.io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
