//! What of a request waits to be sent on a wire: its head, and its body as `h1` frames it. No I/O of its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::Body;

use super::faults::refused;
use crate::client::request_body::RequestBody;
use crate::error::Result;
use crate::h1::{Connection, FieldFacts, Framing};
use crate::message::RequestHead;

/// Bytes of a body that are gathered behind a head, or behind each other, before they are sent.
const GATHERED: usize = 8 << 10;

#[derive(Default)]
pub struct RequestWriter {
    /// Until all of it has been sent; `ended` once all of it has been taken.
    body: Option<RequestBody>,
    ended: bool,
    /// Heads and the framing of chunks, and short pieces; `sent` of it has gone. Then `piece`, then `after`.
    outbox: Vec<u8>,
    sent: usize,
    piece: Bytes,
    after: &'static [u8],
}

impl RequestWriter {
    /// `head` is what is sent. Errors: those of a request that cannot be sent.
    pub fn begin(
        conn: &mut Connection,
        request: &RequestHead,
        head: Vec<u8>,
        body: RequestBody,
    ) -> Result<RequestWriter> {
        conn.note_request(request.method.as_bytes(), facts(request, &body)).map_err(|error| refused(&error))?;
        let mut writer = RequestWriter { outbox: head, ..RequestWriter::default() };
        match body.progress().is_complete() {
            true => writer.end_message(conn)?,
            false => writer.body = Some(body),
        }
        Ok(writer)
    }

    fn end_message(&mut self, conn: &mut Connection) -> Result<()> {
        let end = conn.send_end_of_message(std::iter::empty()).map_err(|error| refused(&error))?;
        self.outbox.extend_from_slice(end);
        Ok(())
    }

    /// Takes what there is of the body, as much as fits behind what waits to be sent. Errors: the body's.
    pub fn fill(&mut self, conn: &mut Connection, cx: &mut Context<'_>) -> Result<()> {
        if self.sent == self.outbox.len() {
            self.outbox.clear();
            self.sent = 0;
        }
        while self.piece.is_empty() && self.after.is_empty() && self.outbox.len() < GATHERED {
            let Some(body) = self.body.as_mut().filter(|_| !self.ended) else { break };
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else { return Ok(()) };
            let data = frame.transpose()?.and_then(|frame| frame.into_data().ok());
            self.ended = data.is_none() || (body.length().is_some() && body.progress().is_complete());
            if let Some(data) = data {
                self.put(conn, data)?;
            }
            if self.ended {
                self.end_message(conn)?;
            }
        }
        if self.ended && self.next().is_empty() {
            self.body = None;
        }
        Ok(())
    }

    /// As `RequestBody::poll_trust`, for what has been taken of the body and waits to be sent.
    pub fn poll_trust(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.body.as_mut().map_or(Poll::Ready(Ok(())), |body| body.poll_trust(cx))
    }

    fn put(&mut self, conn: &mut Connection, data: Bytes) -> Result<()> {
        let (before, after) = conn.send_data(data.len() as u64).map_err(|error| refused(&error))?;
        let after: &[u8] = if after.is_empty() { b"" } else { b"\r\n" };
        self.outbox.extend_from_slice(before);
        match self.outbox.len() + data.len() <= GATHERED {
            true => [&data[..], after].iter().for_each(|part| self.outbox.extend_from_slice(part)),
            false => (self.piece, self.after) = (data, after),
        }
        Ok(())
    }

    /// What is to be sent next; empty if nothing waits at present.
    pub fn next(&self) -> &[u8] {
        match () {
            () if self.sent < self.outbox.len() => &self.outbox[self.sent..],
            () if !self.piece.is_empty() => &self.piece,
            () => self.after,
        }
    }

    /// So many bytes of `next` have gone.
    pub fn wrote(&mut self, count: usize) {
        if self.sent < self.outbox.len() {
            self.sent += count;
        } else if !self.piece.is_empty() {
            self.piece.advance(count);
        } else {
            self.after = &self.after[count..];
        }
    }

    /// Whether some of the request has not gone.
    pub fn has_more(&self) -> bool {
        (self.body.is_some() && !self.ended) || !self.next().is_empty()
    }

    /// The server asks for the body.
    pub fn let_go(&self) {
        self.body.iter().for_each(|body| body.progress().let_go());
    }
}

/// What the machine must know of the request, whose head is written already.
fn facts(request: &RequestHead, body: &RequestBody) -> FieldFacts {
    let framing = body.length().map_or(Framing::Chunked, Framing::ContentLength);
    let given = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let mut options = given.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    let closes = options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
    // A switch of protocols is for the exchange to refuse.
    FieldFacts::of_request(framing, closes, true)
}
