//! Request bodies: none, bytes, a stream that the host writes, or a source that is called. How far one has come is in `progress`. Each piece waits for the trust in the server, if there must be some: through that it may touch the clock and the network.

mod progress;

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};

pub use progress::BodyProgress;

use super::HttpConnection;
use crate::error::{Error, Result, Status};
use crate::operation::SendQueue;
use crate::verifier::Standing;

/// Most bytes of a body that are sent without a look at the trust in the server, however large the pieces are in which it comes.
const PIECE: usize = 256 << 10;

/// Makes a body piece by piece, as it is sent.
pub trait BodySource: Send + Sync {
    /// The next bytes; `None` at the end. Called by whichever thread drives the connection.
    fn next(&self) -> Result<Option<Bytes>>;
    /// Starts again from the beginning; false if that is impossible.
    fn rewind(&self) -> bool;
}

pub struct RequestBody {
    kind: Kind,
    /// The announced length; `None` for chunks.
    length: Option<u64>,
    /// Bytes that have come, and those of them that wait for a look of their own.
    came: u64,
    rest: Bytes,
    /// Some of it has been asked for.
    begun: bool,
    progress: Arc<BodyProgress>,
    /// In the server; `None` without a policy.
    trust: Option<BodyTrust>,
    /// Its evidence is being judged again.
    look: Option<BoxFuture<'static, Result<()>>>,
}

/// What the body must not outlive.
pub struct BodyTrust {
    pub standing: Arc<Standing>,
    /// It holds the body, and ends with the trust.
    pub connection: Weak<HttpConnection>,
}

enum Kind {
    Full(Option<Bytes>),
    Stream(Arc<SendQueue>, u32),
    Source(Arc<dyn BodySource>),
}

impl RequestBody {
    fn new(kind: Kind, length: Option<u64>) -> RequestBody {
        let outgoing = match &kind {
            Kind::Stream(pieces, reader) => Some((pieces.clone(), *reader)),
            _ => None,
        };
        let progress = BodyProgress::new(length == Some(0), outgoing);
        let rest = Bytes::new();
        RequestBody { kind, length, came: 0, rest, begun: false, progress: Arc::new(progress), trust: None, look: None }
    }

    pub fn full(bytes: Bytes) -> RequestBody {
        let length = bytes.len() as u64;
        RequestBody::new(Kind::Full(Some(bytes).filter(|bytes| !bytes.is_empty())), Some(length))
    }

    pub fn stream(pieces: Arc<SendQueue>, length: Option<u64>) -> RequestBody {
        let reader = pieces.is_read();
        RequestBody::new(Kind::Stream(pieces, reader), length)
    }

    pub fn source(source: Arc<dyn BodySource>, length: Option<u64>) -> RequestBody {
        RequestBody::new(Kind::Source(source), length)
    }

    /// Nothing of it is sent once this trust has ended.
    pub fn depend_on(&mut self, trust: Option<BodyTrust>) {
        self.trust = trust;
    }

    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether all bytes are known, so that the engine finds the framing itself.
    pub fn is_full(&self) -> bool {
        matches!(self.kind, Kind::Full(_))
    }

    pub fn progress(&self) -> Arc<BodyProgress> {
        self.progress.clone()
    }

    /// Ready if what the server is trusted for holds at this moment. How old its evidence is does not matter: no other can come in the middle of an exchange.
    pub fn poll_trust(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(trust) = &self.trust else { return Poll::Ready(Ok(())) };
        if self.look.is_none() && !trust.standing.is_due() {
            return Poll::Ready(Ok(()));
        }
        let standing = trust.standing.clone();
        let look = self.look.get_or_insert_with(|| async move { standing.check().await }.boxed());
        let done = ready!(look.as_mut().poll(cx));
        if let (Err(error), Some(connection)) = (&done, trust.connection.upgrade()) {
            connection.distrust(error.clone());
        }
        self.look = None;
        Poll::Ready(done)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.begun = true;
        match &mut self.kind {
            Kind::Full(bytes) => Poll::Ready(Ok(bytes.take())),
            Kind::Source(source) => self.progress.unless_stopped(cx, || Poll::Ready(source.next())),
            Kind::Stream(pieces, reader) => match ready!(pieces.poll_read(*reader, cx)) {
                Some(piece) => Poll::Ready(Ok(Some(piece))),
                // An upload that was given up must not look complete.
                None => Poll::Ready(pieces.given_up().map_or(Ok(None), Err)),
            },
        }
    }

    /// Whether what is left of a piece may go, as the next piece might.
    fn poll_rest(&self, cx: &Context<'_>) -> Poll<()> {
        match &self.kind {
            Kind::Full(_) => Poll::Ready(()),
            Kind::Source(_) => self.progress.unless_stopped(cx, || Poll::Ready(())),
            Kind::Stream(pieces, reader) if pieces.reads(*reader) => Poll::Ready(()),
            Kind::Stream(..) => Poll::Pending,
        }
    }

    /// The next piece, not longer than `PIECE`. A body that is too long is found so before any of the piece goes that makes it so.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if !self.rest.is_empty() {
            ready!(self.poll_rest(cx));
            return Poll::Ready(Ok(Some(self.cut())));
        }
        let next = ready!(self.poll_next(cx))?;
        self.came += next.as_ref().map_or(0, |piece| piece.len() as u64);
        let wrong = match (&next, self.length) {
            (Some(_), Some(length)) => self.came > length,
            (None, Some(length)) => self.came < length,
            (_, None) => false,
        };
        if wrong {
            let message = format!("the body has {} bytes, Content-Length says {}", self.came, self.length.unwrap_or(0));
            return Poll::Ready(Err(Error::new(Status::InvalidState, message)));
        }
        Poll::Ready(Ok(next.map(|piece| {
            self.rest = piece;
            self.cut()
        })))
    }

    fn cut(&mut self) -> Bytes {
        self.rest.split_to(self.rest.len().min(PIECE))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        ready!(self.progress.poll_held(cx));
        // While the body is stopped the engine goes on reading, until the connection ends.
        let stopped = || self.progress.stopped.load(Ordering::SeqCst);
        if !matches!(self.kind, Kind::Source(_)) && stopped() {
            return Poll::Pending;
        }
        if let Err(error) = ready!(self.poll_trust(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        let piece = match ready!(self.poll_piece(cx)) {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        if piece.is_none() || (self.length == Some(self.came) && self.rest.is_empty()) {
            self.progress.complete.store(true, Ordering::Release);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Full(None)) && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.progress.whole.store(!self.begun, Ordering::Release);
        if !self.progress.is_complete() {
            self.progress.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn next(body: &mut RequestBody) -> Poll<Option<Bytes>> {
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| frame.and_then(|frame| frame.ok()?.into_data().ok()))
    }

    fn streamed() -> (Arc<SendQueue>, RequestBody) {
        let pieces = Arc::new(SendQueue::new(None));
        pieces.open();
        pieces.allow_rewind();
        let body = RequestBody::stream(pieces.clone(), None);
        (pieces, body)
    }

    struct Counting(std::sync::atomic::AtomicU32);

    impl BodySource for Counting {
        fn next(&self) -> Result<Option<Bytes>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Bytes::from_static(b"more")))
        }

        fn rewind(&self) -> bool {
            self.0.swap(0, Ordering::SeqCst) > 1
        }
    }

    #[tokio::test]
    async fn a_source_that_begins_anew_is_not_asked_for_the_request_before() {
        let source = Arc::new(Counting(0.into()));
        let call = super::super::pending_request::PendingBody::Source(source.clone(), None);
        let mut before = call.begin();
        let tell = |_| -> futures_util::future::BoxFuture<'static, ()> { Box::pin(std::future::ready(())) };
        assert!(next(&mut before).is_ready());
        // It cannot start again: then the request before goes on.
        assert!(!call.begins_anew(&before.progress(), &tell).await);
        assert!(next(&mut before).is_ready() && next(&mut before).is_ready());
        assert!(call.begins_anew(&before.progress(), &tell).await);
        assert_eq!(next(&mut before), Poll::Pending);
        // It was stopped already, and stays stopped.
        assert!(!call.begins_anew(&before.progress(), &tell).await);
        assert_eq!(next(&mut before), Poll::Pending);
        let mut after = call.begin();
        assert!(next(&mut after).is_ready());
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
    }

    /// A server that answers early with a redirect may go on reading.
    #[test]
    fn a_body_that_begins_anew_is_only_for_the_request_that_comes_next() {
        let (pieces, mut before) = streamed();
        let piece = Bytes::from_static(b"the beginning");
        pieces.write(piece.clone()).unwrap();
        assert_eq!(next(&mut before), Poll::Ready(Some(piece.clone())));
        assert!(pieces.unwind());
        pieces.rewind().unwrap();
        pieces.write(piece.clone()).unwrap();
        assert_eq!(next(&mut before), Poll::Pending);
        let mut after = RequestBody::stream(pieces.clone(), None);
        // Its connection ends when it ends.
        drop(before);
        pieces.answered();
        pieces.write(piece.clone()).unwrap();
        assert_eq!(next(&mut after), Poll::Ready(Some(piece.clone())));
        assert_eq!(next(&mut after), Poll::Ready(Some(piece)));
    }

    #[test]
    fn a_long_body_in_memory_is_sent_piece_by_piece() {
        let bytes = Bytes::from(vec![7; 2 * PIECE + 1]);
        let mut body = RequestBody::full(bytes.clone());
        let mut sent = Vec::new();
        for length in [PIECE, PIECE, 1] {
            assert!(!body.is_end_stream() && !body.progress().is_complete());
            let Poll::Ready(Some(piece)) = next(&mut body) else { panic!("no piece") };
            assert_eq!(piece.len(), length);
            sent.extend_from_slice(&piece);
        }
        assert!(body.is_end_stream() && body.progress().is_complete());
        assert_eq!((next(&mut body), sent), (Poll::Ready(None), bytes.to_vec()));
    }

    /// However much is written at once, the trust is looked at between pieces; and a body that is stopped, or belongs to another request, goes no further.
    #[test]
    fn a_large_piece_of_a_stream_is_sent_piece_by_piece() {
        let ends: [fn(&SendQueue, &RequestBody); 2] = [|pieces, _| pieces.discard(), |_, body| body.progress().stop()];
        for end in ends {
            let (pieces, mut body) = streamed();
            pieces.write(Bytes::from(vec![7; 4 * PIECE])).unwrap();
            for _ in 0..2 {
                assert!(matches!(next(&mut body), Poll::Ready(Some(piece)) if piece.len() == PIECE));
            }
            end(&pieces, &body);
            assert_eq!(next(&mut body), Poll::Pending);
            assert!(!body.progress().is_complete());
        }
        // A body that is too long is refused before any of the piece has gone.
        for (length, lengths) in [(2 * PIECE + 1, vec![PIECE, PIECE, 1]), (2 * PIECE, vec![])] {
            let (pieces, _) = streamed();
            let mut body = RequestBody::stream(pieces.clone(), Some(length as u64));
            pieces.write(Bytes::from(vec![7; 2 * PIECE + 1])).unwrap();
            let more = |_| match next(&mut body) {
                Poll::Ready(piece) => piece.map(|piece| piece.len()),
                Poll::Pending => None,
            };
            assert_eq!((0..lengths.len().max(1)).filter_map(more).collect::<Vec<_>>(), lengths);
            assert_eq!(body.progress().is_complete(), !lengths.is_empty());
        }
    }

    #[test]
    fn a_body_of_which_the_rest_is_dropped_does_not_look_complete() {
        let (pieces, mut body) = streamed();
        pieces.write(Bytes::from_static(b"lost")).unwrap();
        pieces.discard();
        pieces.write(Bytes::from_static(b"lost too")).unwrap();
        pieces.finish().unwrap();
        assert_eq!(next(&mut body), Poll::Pending);
        assert!(!body.progress().is_complete());
    }
}
