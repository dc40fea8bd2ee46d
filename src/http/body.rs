//! Request bodies: none, bytes at hand, or a stream that the host writes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::error::Error;
use crate::flow::Outgoing;

pub enum RequestBody {
    Full(Option<Bytes>),
    Stream {
        pieces: Arc<Outgoing>,
        /// Length that the host announced; `None` sends chunks.
        length: Option<u64>,
        sent: u64,
    },
}

impl RequestBody {
    pub fn full(bytes: Bytes) -> RequestBody {
        RequestBody::Full(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    pub fn stream(pieces: Arc<Outgoing>, length: Option<u64>) -> RequestBody {
        RequestBody::Stream { pieces, length, sent: 0 }
    }

    pub fn length(&self) -> Option<u64> {
        match self {
            RequestBody::Full(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            RequestBody::Stream { length, .. } => *length,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            RequestBody::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            RequestBody::Stream { pieces, length, sent } => {
                let piece = ready!(pieces.poll_next(cx));
                *sent += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                let wrong = match (&piece, *length) {
                    (Some(_), Some(length)) => *sent > length,
                    (None, Some(length)) => *sent < length,
                    (_, None) => false,
                };
                if wrong {
                    let message = format!("the body has {sent} bytes, Content-Length says {}", length.unwrap_or(0));
                    return Poll::Ready(Some(Err(Error::new(crate::error::Status::InvalidState, message))));
                }
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, RequestBody::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self.length() {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}
