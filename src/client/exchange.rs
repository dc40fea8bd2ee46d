//! One request and its response on a connection. Touches the connection, through its engine, and the clock, for deadlines.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::connection::Reservation;
use super::engine::faults::unasked_upgrade;
use super::engine::{Came, Outgoing, Piece, ResponseBody};
use super::request_body::{BodyProgress, RequestBody};
use super::request_options::RequestOptions;
use super::trusted_reservation::TrustedReservation;
use crate::error::{Error, Phase, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::message::decode::Decoder;
use crate::message::{ReceivedHead, RequestHead};

/// A response whose body is being read.
pub struct Exchange {
    pub head: ReceivedHead,
    body: Option<ResponseBody>,
    pub trailers: Option<ReceivedHead>,
    decoder: Option<Box<Decoder>>,
    /// The response has no body, whatever its head announces.
    bodiless: bool,
    /// Bytes that may still come; and whether more came.
    left: u64,
    exceeded: bool,
    /// How far the request's body has come.
    progress: Arc<BodyProgress>,
    reservation: Option<Reservation>,
    when_over: Option<Box<dyn FnOnce() + Send>>,
}

/// What can happen before the response head arrives.
pub enum InterimEvent {
    /// The request has a connection: from now on a streamed body is sent.
    Connected,
    Informational(ReceivedHead),
    /// A streamed body must be written again, from its beginning.
    Rewind,
}

/// Called with each of them; the next one waits until the call has returned.
pub type OnInterim<'a> = dyn Fn(InterimEvent) -> BoxFuture<'a, ()> + Send + Sync + 'a;

/// Sends a request whose head is written as `head`; the future waits for the response head. Not an async function, so that the future stays small: it is
/// moved several times.
pub fn start_exchange<'a, 'b: 'a>(
    reservation: TrustedReservation,
    request: &RequestHead,
    head: Vec<u8>,
    body: RequestBody,
    options: &Arc<RequestOptions>,
    tell: &'a OnInterim<'b>,
) -> impl Future<Output = Result<Exchange>> + Send + use<'a, 'b> {
    let TrustedReservation { reservation, trust } = reservation;
    let (progress, mut body) = (body.progress(), body);
    body.depend_on(trust);
    if options.expect.is_some() && !progress.is_complete() {
        progress.hold();
    }
    let begun = match reservation.connection.takes(&body) {
        Ok(()) => reservation.connection.engine.begin(Outgoing { request, head, body, limits: options.head }),
        Err(error) => Err(error),
    };
    let (options, bodiless) = (options.clone(), request.method == "HEAD");
    async move {
        let connection = reservation.connection.clone();
        let answered = begun?.answered(Interim { progress: &progress, options: &options, tell });
        let (head, body) = match within(options.deadlines.first_byte, Wait::FirstByte, answered).await {
            Ok(answered) => answered,
            Err(error) => return Err(connection.reason(error).await),
        };
        if head.status == 101 {
            connection.closing.cancel();
            return Err(unasked_upgrade());
        }
        connection.answered_in(head.minor_version);
        if !progress.is_complete() && (progress.is_held() || (head.status >= 400 && closes(&head))) {
            // The server does not want the rest of the body (RFC 9110 section 10.1.1, RFC 9112 section 9.5).
            progress.stop();
        }
        let (body, left, exceeded) = (Some(body), u64::MAX, false);
        let (trailers, decoder, reservation, when_over) = (None, None, Some(reservation), None);
        Ok(Exchange { head, body, trailers, decoder, bodiless, left, exceeded, progress, reservation, when_over })
    }
}

/// Whether the connection ends with the response that has this head.
fn closes(head: &ReceivedHead) -> bool {
    let mut options = head.all("connection").flat_map(|value| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// What happens until the final head of a response arrives.
pub(super) struct Interim<'a, 'b> {
    pub(super) progress: &'a BodyProgress,
    options: &'a RequestOptions,
    tell: &'a OnInterim<'b>,
}

impl Interim<'_, '_> {
    /// The final head; informational ones are reported first. A body that is held back is sent when the server asks for it or after a while: a server
    /// that does not know `Expect` says nothing (RFC 9110 section 10.1.1).
    pub(super) async fn wait(
        self,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Result<Came>>,
    ) -> Result<ReceivedHead> {
        let held = self.options.expect.filter(|_| self.progress.is_held());
        let mut patience = held.map(|wait| Box::pin(tokio::time::sleep(wait)));
        loop {
            let came = poll_fn(|cx| {
                if patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
                    patience = None;
                    self.progress.let_go();
                }
                next(cx)
            });
            match came.await? {
                Came::Informational(head) => {
                    self.progress.note_answer();
                    (self.tell)(InterimEvent::Informational(head)).await;
                }
                Came::Final(head) => return Ok(head),
            }
        }
    }
}

impl Exchange {
    /// `run` is called once the response has been read to its end and the connection is free, after those given before. It is dropped if that never
    /// happens.
    pub fn when_over(&mut self, run: impl FnOnce() + Send + 'static) {
        self.when_over = Some(match self.when_over.take() {
            None => Box::new(run),
            Some(first) => Box::new(move || {
                first();
                run();
            }),
        });
    }

    /// Prepares the body for the caller: limit and decoding, as `options` say. Not called for a response that leads to another request.
    pub fn show(&mut self, options: &RequestOptions) -> Result<()> {
        self.left = options.max_body;
        if self.bodiless || matches!(self.head.status, 204 | 304) {
            return Ok(());
        }
        if options.decode {
            self.decoder = Decoder::new(self.head.all("content-encoding"))?.map(Box::new);
        }
        let announced = self.body.as_ref().and_then(ResponseBody::announced);
        match announced {
            Some(length) if self.decoder.is_none() && length > self.left => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    /// Whether none of the request's body has been sent, so that another request can send it as it is.
    pub fn kept_the_body(&self) -> bool {
        self.progress.is_held()
    }

    /// Of the request's body.
    pub fn progress(&self) -> &BodyProgress {
        &self.progress
    }

    fn too_large(&self) -> Error {
        let message = "the response body is larger than the request allows";
        Error::new(Status::BodyTooLarge, message).phase(Phase::Transfer).http_status(self.head.status)
    }

    /// Reads the body to its end, and returns it with the connection, still reserved; without it if it can carry no other exchange. `None` if the body has more
    /// than `most` bytes.
    pub(super) async fn finish(mut self, most: usize) -> Result<Option<(Vec<u8>, Option<Reservation>)>> {
        let mut whole = Vec::new();
        while self.body.is_some() {
            // Not `next`, which would give the connection up at the end of the body.
            match self.next_frame().await? {
                Some(data) if whole.len() + data.len() > most => return Ok(None),
                Some(data) => whole.extend_from_slice(&data),
                None => {}
            }
        }
        let Some(reservation) = self.reservation.take() else { return Ok(Some((whole, None))) };
        let free = self.progress.is_complete() && poll_fn(|cx| reservation.connection.engine.poll_free(cx)).await;
        Ok(Some((whole, free.then_some(reservation))))
    }

    /// The next piece of the body, decoded if the options say so; `None` at its end, when the connection is free again. Of a body that is too large all up to the
    /// limit comes before the error.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.exceeded {
            return Err(self.too_large());
        }
        let Some(mut data) = self.next_decoded().await? else { return Ok(None) };
        let left = self.left;
        self.exceeded = data.len() as u64 > left;
        self.left = left.saturating_sub(data.len() as u64);
        if self.exceeded {
            // It has more bytes than that, so the number fits.
            data.truncate(left as usize);
        }
        if self.exceeded && left == 0 { Err(self.too_large()) } else { Ok(Some(data)) }
    }

    async fn next_decoded(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(data) = self.decoder.as_mut().map(|decoder| decoder.take()).transpose()?.flatten() {
                return Ok(Some(data));
            }
            if self.body.is_none() {
                poll_fn(|cx| self.poll_over(cx)).await;
                return Ok(None);
            }
            match (self.next_frame().await?, &mut self.decoder) {
                (Some(data), Some(decoder)) => decoder.push(data),
                (Some(data), None) => return Ok(Some(data)),
                (None, decoder) if self.body.is_none() => decoder.iter_mut().for_each(|decoder| decoder.end()),
                (None, _) => {}
            }
        }
    }

    /// The next bytes of the body, if the next piece has any. At the end of the body it is taken away.
    async fn next_frame(&mut self) -> Result<Option<Bytes>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        match poll_fn(|cx| body.poll_piece(cx)).await {
            Ok(Piece::Data(data)) => return Ok(Some(data).filter(|data| !data.is_empty())),
            Ok(Piece::Trailers(trailers)) => self.trailers = Some(trailers),
            Ok(Piece::End) => self.body = None,
            Err(error) => {
                self.body = None;
                return Err(match &self.reservation {
                    // A stream does not know why its connection was closed.
                    Some(Reservation { connection }) if connection.engine.is_shared() => connection.reason(error).await,
                    _ => error,
                });
            }
        }
        Ok(None)
    }

    /// After the end of the response: ready once it is known whether the connection can be used again. If some of the request's body is unsent it is closed:
    /// no other request can follow half of one.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Reservation { connection }) = &self.reservation else { return Poll::Ready(()) };
        let free = self.progress.is_complete() && ready!(connection.engine.poll_free(cx));
        if !free {
            connection.give_up();
        }
        self.reservation = None;
        if let Some(run) = self.when_over.take() {
            run();
        }
        Poll::Ready(())
    }
}

impl Drop for Exchange {
    /// A response without a body is at its end even if it was never read. If it is not known yet whether the connection is free, it is closed: no caller is left
    /// to wait for that.
    fn drop(&mut self) {
        if self.body.take().is_some_and(|body| body.is_over())
            && self.poll_over(&mut Context::from_waker(Waker::noop())).is_pending()
            && let Some(reservation) = &self.reservation
        {
            reservation.connection.give_up();
        }
    }
}
