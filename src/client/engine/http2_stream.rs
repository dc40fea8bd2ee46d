//! One request over HTTP/2 and its response: a stream of a connection. The connection's driver sends the request and reads heads, so that neither waits for the
//! host, and no more heads are kept than the limits allow; the exchange reads the body, and the server sends more of it only then. Touches the stream that it
//! is given.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use hyper::body::Body;

use super::http2_head::{response, trailers};
use super::{Came, Piece, faults};
use crate::client::exchange::Interim;
use crate::client::request_body::RequestBody;
use crate::client::request_options::HeadLimits;
use crate::connect::http2_error;
use crate::error::{Error, Phase, Result, Status};
use crate::io::sync::lock;
use crate::message::ReceivedHead;

/// Most bytes of a body that are handed over at once.
const PIECE: usize = 64 << 10;

/// What the exchange and the driver's task share.
#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    informational: VecDeque<ReceivedHead>,
    answer: Option<Result<(ReceivedHead, RecvStream)>>,
    /// Why the request cannot be sent to its end.
    failed: Option<Error>,
    /// The exchange is over, or was given up.
    over: bool,
    reader: Option<Waker>,
    task: Option<Waker>,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    fn answer(&self, answer: Result<(ReceivedHead, RecvStream)>) {
        self.change(|state| _ = state.answer.get_or_insert(answer));
    }

    fn fail(&self, error: Error) {
        self.change(|state| _ = state.failed.get_or_insert(error));
    }
}

/// The driver's part of a stream.
pub struct StreamTask {
    /// Until the final head is there.
    response: Option<ResponseFuture>,
    /// Until the request is sent.
    sending: Option<Sending>,
    shared: Arc<Shared>,
    limits: HeadLimits,
    /// Informational heads that have come, and their bytes.
    informational: (u32, usize),
}

struct Sending {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// What the server's windows had no room for yet.
    rest: Bytes,
}

/// A stream has begun; `sending` is for a body that is to follow.
pub fn begun(
    response: ResponseFuture,
    sending: Option<(SendStream<Bytes>, RequestBody)>,
    limits: HeadLimits,
) -> (StreamTask, Http2Begun) {
    let shared = Arc::<Shared>::default();
    let sending = sending.map(|(stream, body)| Sending { stream, body, rest: Bytes::new() });
    let task = StreamTask { response: Some(response), sending, shared: shared.clone(), limits, informational: (0, 0) };
    (task, Http2Begun { exchange: Handle(shared), limits })
}

impl Future for StreamTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let over = {
            let mut state = lock(&this.shared.0);
            state.task = Some(cx.waker().clone());
            state.over
        };
        if over {
            this.give_up();
            return Poll::Ready(());
        }
        if let Poll::Ready(answer) = this.poll_head(cx) {
            this.response = None;
            let refused = answer.is_err();
            this.shared.answer(answer);
            if refused {
                this.give_up();
                return Poll::Ready(());
            }
        }
        if let Some(sending) = &mut this.sending
            && let Poll::Ready(sent) = sending.poll(cx)
        {
            if let Err(error) = sent {
                this.shared.fail(error);
                this.give_up();
                return Poll::Ready(());
            }
            this.sending = None;
        }
        if this.response.is_none() && this.sending.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl StreamTask {
    /// The final head; informational ones are put before it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ReceivedHead, RecvStream)>> {
        let Some(future) = &mut self.response else { return Poll::Pending };
        while let Poll::Ready(Some(Ok(head))) = future.poll_informational(cx) {
            let (head, bytes) = response(head.status().as_u16(), head.headers(), &self.limits)?;
            self.informational = (self.informational.0 + 1, self.informational.1 + bytes);
            if self.informational.0 > self.limits.informational || self.informational.1 > self.limits.bytes {
                return Poll::Ready(Err(faults::too_many(&self.limits)));
            }
            if let Some(sending) = self.sending.as_ref().filter(|_| head.status == 100) {
                sending.body.progress().let_go();
            }
            self.shared.change(|state| state.informational.push_back(head));
        }
        let (head, body) = ready!(Pin::new(future).poll(cx)).map_err(|error| http2_error(&error))?.into_parts();
        let (head, _) = response(head.status.as_u16(), &head.headers, &self.limits)?;
        Poll::Ready(Ok((head, body)))
    }

    /// Sends no more, and asks for no more.
    fn give_up(&mut self) {
        if let Some(mut sending) = self.sending.take() {
            sending.stream.send_reset(Reason::CANCEL);
        }
        self.response = None;
    }
}

impl Drop for StreamTask {
    /// The driver is gone: the exchange must not wait for it.
    fn drop(&mut self) {
        let closed = || Error::new(Status::Closed, "the connection has ended").phase(Phase::Transfer);
        if self.response.is_some() {
            self.shared.answer(Err(closed()));
        }
        if self.sending.is_some() {
            self.shared.fail(closed());
        }
    }
}

impl Sending {
    /// Ready once all is sent that the server wants. Errors: those of the body.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // What has waited for room waits for the trust in the server too: it may have ended meanwhile.
        if !self.rest.is_empty() {
            ready!(self.body.poll_trust(cx))?;
        }
        loop {
            // The server wants no more of it; what that means for the response, the response says.
            if self.stream.poll_reset(cx).is_ready() {
                self.body.progress().stop();
                return Poll::Ready(Ok(()));
            }
            if !self.rest.is_empty() {
                match ready!(self.poll_rest(cx)) {
                    true => return Poll::Ready(Ok(())),
                    false => continue,
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {
                    // It fails only for a stream that is over.
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Whether the request is sent.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.stream.reserve_capacity(self.rest.len().min(PIECE));
        let mut room = self.stream.capacity();
        while room == 0 {
            room = match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                // The stream is over.
                _ => return Poll::Ready(true),
            };
        }
        let piece = self.rest.split_to(self.rest.len().min(room));
        let ends = self.rest.is_empty() && self.body.progress().is_complete();
        Poll::Ready(self.stream.send_data(piece, ends).is_err() || ends)
    }
}

/// The exchange's hold on a stream: once it is dropped, nothing more is sent.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.over = true;
        // Dropped outside the lock: that may reset the stream.
        let unread = (state.answer.take(), state.task.take());
        drop(state);
        unread.1.into_iter().for_each(Waker::wake);
    }
}

impl Handle {
    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Result<(Came, Option<RecvStream>)>> {
        let mut state = lock(&self.0.0);
        if let Some(head) = state.informational.pop_front() {
            return Poll::Ready(Ok((Came::Informational(head), None)));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.clone()));
        }
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer.map(|(head, body)| (Came::Final(head), Some(body)))),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn failed(&self, cx: &Context<'_>) -> Option<Error> {
        let mut state = lock(&self.0.0);
        state.reader = Some(cx.waker().clone());
        state.failed.clone()
    }
}

/// A request whose response head has not been read.
pub struct Http2Begun {
    exchange: Handle,
    limits: HeadLimits,
}

/// What comes of a response after its head. Dropped before its end, it resets the stream, and the connection goes on.
pub struct Http2Body {
    stream: RecvStream,
    exchange: Handle,
    limits: HeadLimits,
    /// Bytes that were handed on, and for which the server's window has not been opened again.
    owed: usize,
    announced: Option<u64>,
    data_over: bool,
    ended: bool,
}

impl Http2Begun {
    pub(in crate::client) async fn answered(self, interim: Interim<'_, '_>) -> Result<(ReceivedHead, Http2Body)> {
        let Http2Begun { exchange, limits } = self;
        let mut found = None;
        let head = interim.wait(|cx| {
            exchange.poll_head(cx).map_ok(|(came, body)| {
                found = body;
                came
            })
        });
        let head = head.await?;
        let stream = found.ok_or_else(|| Error::new(Status::Internal, "a response head, and no response"))?;
        let announced = head.find("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let body = Http2Body { stream, exchange, limits, owed: 0, announced, data_over: false, ended: false };
        Ok((head, body))
    }
}

impl Http2Body {
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        if self.ended {
            return Poll::Ready(Ok(Piece::End));
        }
        if let Some(error) = self.exchange.failed(cx) {
            return Poll::Ready(Err(error));
        }
        // It fails only for a stream that is over.
        let _ = self.stream.flow_control().release_capacity(std::mem::take(&mut self.owed));
        let failed = |error: h2::Error| http2_error(&error);
        while !self.data_over {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.owed = data.len();
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => self.data_over = true,
            }
        }
        let fields = ready!(self.stream.poll_trailers(cx)).map_err(failed)?;
        self.ended = true;
        let trailers = fields.map(|fields| trailers(&fields, &self.limits)).transpose()?.flatten();
        Poll::Ready(Ok(trailers.map_or(Piece::End, Piece::Trailers)))
    }

    pub fn announced(&self) -> Option<u64> {
        if self.is_over() { Some(0) } else { self.announced }
    }

    pub fn is_over(&self) -> bool {
        self.ended || self.stream.is_end_stream()
    }
}
