//! One request and its response on a connection. Touches the connection, through hyper, and the clock, for deadlines.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::connection::Reservation;
use super::engine::faults::{http_error, unasked_upgrade};
use super::engine::wire_state::WireState;
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
    body: Option<Incoming>,
    pub trailers: Option<ReceivedHead>,
    decoder: Option<Box<Decoder>>,
    /// The response has no body, whatever its head announces.
    bodiless: bool,
    /// Bytes that may still come.
    left: u64,
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
    let sent = send(&reservation, request, head, body, options);
    let (options, bodiless) = (options.clone(), request.method == "HEAD");
    async move {
        let connection = reservation.connection.clone();
        let answered = answer(sent?, &connection.wire, &progress, &options, tell);
        let response = match within(options.deadlines.first_byte, Wait::FirstByte, answered).await? {
            Ok(response) => response,
            Err(error) => {
                // If the driver ended with an error, that says more.
                tokio::task::yield_now().await;
                let reason = connection.ended.get().filter(|reason| reason.status != Status::Closed);
                let reason = connection.wire.fault().or_else(|| reason.cloned());
                return Err(reason.unwrap_or_else(|| http_error(error, connection.wire.head_is_due())));
            }
        };
        let head = connection.wire.final_head(response.status().as_u16());
        let head = head.and_then(|head| match head {
            Some(head) if head.status == 101 => Err(unasked_upgrade()),
            Some(head) => Ok(head),
            None => Err(Error::new(Status::Internal, "hyper shows another response head than the one that came")),
        });
        let head = head.inspect_err(|_| connection.closing.cancel())?;
        if !progress.is_complete() && (progress.is_held() || (head.status >= 400 && closes(&head))) {
            // The server does not want the rest of the body (RFC 9110 section 10.1.1, RFC 9112 section 9.5).
            progress.stop();
        }
        let (body, left) = (Some(response.into_body()), u64::MAX);
        let (trailers, decoder, reservation, when_over) = (None, None, Some(reservation), None);
        Ok(Exchange { head, body, trailers, decoder, bodiless, left, progress, reservation, when_over })
    }
}

/// Whether the connection ends with the response that has this head.
fn closes(head: &ReceivedHead) -> bool {
    let mut options = head.all("connection").flat_map(|value| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

type Sent = hyper::Result<http::Response<Incoming>>;

fn send(
    reservation: &Reservation,
    request: &RequestHead,
    head: Vec<u8>,
    body: RequestBody,
    options: &RequestOptions,
) -> Result<impl Future<Output = Sent> + Send + use<>> {
    let progress = body.progress();
    if options.expect.is_some() && !progress.is_complete() {
        progress.hold();
    }
    let outgoing = hyper_request(request, body)?;
    let wire = reservation.connection.wire.clone();
    reservation.send(|sender| {
        wire.begin(head, options.head, progress)?;
        Ok(sender.send_request(outgoing))
    })?
}

/// The final response; informational ones are reported first. A body that is held back is sent when the server asks for it or after a while: a server
/// that does not know `Expect` says nothing (RFC 9110 section 10.1.1).
async fn answer(
    sent: impl Future<Output = Sent>,
    wire: &WireState,
    progress: &BodyProgress,
    options: &RequestOptions,
    tell: &OnInterim<'_>,
) -> Result<Sent> {
    let mut patience = options.expect.filter(|_| progress.is_held()).map(|wait| Box::pin(tokio::time::sleep(wait)));
    let mut sent = pin!(sent);
    let mut next = async || {
        poll_fn(|cx| {
            if let Poll::Ready(head) = wire.poll_informational(cx) {
                return Poll::Ready(Err(head));
            }
            if patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
                patience = None;
                progress.let_go();
            }
            sent.as_mut().poll(cx).map(Ok)
        })
        .await
    };
    loop {
        match next().await {
            Err(head) => tell(InterimEvent::Informational(head)).await,
            Ok(answered) => {
                // Informational heads that came with it are reported first.
                while let Some(head) = wire.informational() {
                    tell(InterimEvent::Informational(head)).await;
                }
                return Ok(answered);
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
        let announced = self.body.as_ref().and_then(|body| body.size_hint().exact());
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
        let free = self.progress.is_complete() && poll_fn(|cx| reservation.connection.poll_free(cx)).await;
        Ok(Some((whole, free.then_some(reservation))))
    }

    /// The next piece of the body, decoded if the options say so; `None` at its end, when the connection is free again.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self.next_decoded().await?;
        let length = next.as_ref().map_or(0, |data| data.len() as u64);
        self.left = self.left.checked_sub(length).ok_or_else(|| self.too_large())?;
        Ok(next)
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

    /// The next bytes of the body, if the next frame has any. At the end of the body it is taken away.
    async fn next_frame(&mut self) -> Result<Option<Bytes>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        match body.frame().await {
            None => self.body = None,
            Some(Err(error)) => {
                self.body = None;
                return Err(http_error(error, false));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Ok(Some(data).filter(|data| !data.is_empty())),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.trailers = Some(trailer_head(&trailers));
                    }
                }
            },
        }
        Ok(None)
    }

    /// After the end of the response: ready once it is known whether the connection can be used again. If some of the request's body is unsent it is closed:
    /// no other request can follow half of one.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Reservation { connection }) = &self.reservation else { return Poll::Ready(()) };
        let free = self.progress.is_complete() && ready!(connection.poll_free(cx));
        if !free {
            connection.closing.cancel();
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
        if self.body.take().is_some_and(|body| body.is_end_stream())
            && self.poll_over(&mut Context::from_waker(Waker::noop())).is_pending()
            && let Some(reservation) = &self.reservation
        {
            reservation.connection.closing.cancel();
        }
    }
}

fn trailer_head(trailers: &http::HeaderMap) -> ReceivedHead {
    let mut head = ReceivedHead::new(0, 1, b"");
    for (name, value) in trailers {
        head.add(name.as_str().as_bytes(), value.as_bytes());
    }
    head
}

/// The request as hyper needs it for framing and connection management; the head that is sent is our own.
fn hyper_request(request: &RequestHead, body: RequestBody) -> Result<http::Request<RequestBody>> {
    let mut out = http::Request::builder().method(request.method.as_str()).uri(&request.path);
    match body.length() {
        _ if body.is_full() => {}
        Some(length) => out = out.header("content-length", length),
        None => out = out.header("transfer-encoding", "chunked"),
    }
    for (_, value) in request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        out = out.header("connection", &value[..]);
    }
    out.body(body).map_err(|error| Error::new(Status::InvalidArgument, format!("request: {error}")))
}
