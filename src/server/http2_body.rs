//! The body of a request over HTTP/2, as its frames arrive. The peer may send more once the host has what came before. Touches the stream that it is given.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;

use super::http2::http2_error;
use super::http2_head::received_trailers;
use crate::error::{Error, Result};
use crate::h1::{EventKind, Rules};
use crate::message::body_reader::{BodyReader, GatheredBody, too_large};

pub(super) struct Http2Body {
    stream: RecvStream,
    pub reader: BodyReader,
    /// Bytes that were received, and for which the peer's window has not been opened again.
    owed: usize,
    /// All data has come; trailers may follow.
    data_over: bool,
}

impl Http2Body {
    pub fn new(stream: RecvStream, reader: BodyReader) -> Http2Body {
        Http2Body { stream, reader, owed: 0, data_over: false }
    }

    /// Whether there is none, which the head has said.
    pub fn is_absent(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// Waits for more of the body, or its end, and gives it to the reader, from which all before must have been taken: up to `most` bytes, or a frame. If the
    /// future is dropped before that, nothing was done.
    pub async fn receive(&mut self, most: usize, rules: &Rules) -> Result<()> {
        let owed = std::mem::take(&mut self.owed);
        // It fails only for a stream that is over.
        let _ = self.stream.flow_control().release_capacity(owed);
        let gathered = poll_fn(|cx| self.poll_gather(cx, most, rules)).await?;
        self.owed = gathered.data.len();
        self.reader.take_in(gathered)
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, most: usize, rules: &Rules) -> Poll<Result<GatheredBody>> {
        let data = match self.poll_frames(cx, most) {
            Poll::Ready(data) => data?,
            Poll::Pending => return Poll::Pending,
        };
        if !data.is_empty() {
            return Poll::Ready(Ok(GatheredBody { kind: EventKind::Data, data, trailers: None }));
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(|error| http2_error(&error))?;
        let trailers = trailers.map(|trailers| received_trailers(&trailers, rules)).transpose()?.flatten();
        Poll::Ready(Ok(GatheredBody { kind: EventKind::EndOfMessage, data, trailers }))
    }

    /// The data that has come, joined if it came in several frames; nothing at its end.
    fn poll_frames(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Bytes>> {
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        while !self.data_over && first.len().max(joined.len()) < most {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) if first.is_empty() && joined.is_empty() => first = data,
                Poll::Ready(Some(Ok(data))) => {
                    joined.extend_from_slice(&std::mem::take(&mut first));
                    joined.extend_from_slice(&data);
                }
                Poll::Ready(None) => self.data_over = true,
                // It will be returned again; what came before it is delivered first.
                Poll::Ready(Some(Err(_))) if !first.is_empty() || !joined.is_empty() => break,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(http2_error(&error))),
                Poll::Pending if first.is_empty() && joined.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(if joined.is_empty() { first } else { joined.freeze() }))
    }

    /// Why the stream was reset, if not by the peer: it has broken HTTP/2, and `h2` has reset the stream.
    pub fn own_reset(stream: &mut RecvStream) -> Option<Error> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match stream.poll_data(&mut cx) {
                // It came before the reset, and nobody takes it any more.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return error.is_library().then(|| http2_error(&error)),
                Poll::Ready(None) | Poll::Pending => return None,
            }
        }
    }

    /// As `own_reset`.
    pub fn was_reset_by_us(&mut self) -> Option<Error> {
        Http2Body::own_reset(&mut self.stream)
    }

    /// The whole body, of at most `limit` bytes. Errors: BodyTooLarge.
    pub async fn whole(mut stream: RecvStream, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            let data = data.map_err(|error: h2::Error| -> Error { http2_error(&error) })?;
            if body.len() + data.len() > limit {
                return Err(too_large(limit as u64));
            }
            body.extend_from_slice(&data);
            let _ = stream.flow_control().release_capacity(data.len());
        }
        Ok(body)
    }
}
