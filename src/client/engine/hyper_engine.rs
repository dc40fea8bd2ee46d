//! hyper as the engine of an HTTP/1.1 connection. Touches the connection that it is given, through `tap`.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::faults::http_error;
use super::tap::Tap;
use super::wire_state::WireState;
use super::{Came, Outgoing, Piece};
use crate::client::exchange::Interim;
use crate::client::request_body::RequestBody;
use crate::client::request_options::HeadLimits;
use crate::connect::ConnectedStream;
use crate::error::{Error, Result, Status};
use crate::io::SocketWatch;
use crate::io::sync::lock;
use crate::message::{ReceivedHead, RequestHead};

/// Most bytes that hyper gathers before it hands them over.
const MAX_BUFFER: usize = 256 << 10;

pub struct HyperEngine {
    sender: Mutex<Option<Sender>>,
    wire: WireState,
}

/// hyper's handle. It is ready for a request once it has written the previous one and read its response; for the first one at once.
struct Sender {
    hyper: SendRequest<Box<RequestBody>>,
    fresh: bool,
}

pub type Sent = hyper::Result<http::Response<Incoming>>;

pub struct HyperBegun<S> {
    sent: S,
    wire: WireState,
}

pub struct HyperBody(Incoming);

impl HyperEngine {
    pub async fn start(
        stream: ConnectedStream,
        watch: Arc<SocketWatch>,
    ) -> Result<(HyperEngine, BoxFuture<'static, Result<()>>)> {
        let true_end = !matches!(stream, ConnectedStream::Plain(_));
        let (tap, wire) = Tap::new(stream, true_end, watch);
        let (hyper, driver) = Builder::new()
            .max_buf_size(MAX_BUFFER)
            .max_headers(HeadLimits::MOST.lines)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake::<_, Box<RequestBody>>(TokioIo::new(tap))
            .await
            .map_err(|error| http_error(error, false))?;
        let shared = wire.clone();
        // Boxed: a future that is passed on is stored once at each step, and this one is large.
        let driver = driver.map(move |ended| ended.map_err(|error| http_error(error, shared.head_is_due()))).boxed();
        Ok((HyperEngine { sender: Mutex::new(Some(Sender { hyper, fresh: true })), wire }, driver))
    }

    pub fn is_closed(&self) -> bool {
        lock(&self.sender).as_ref().is_none_or(|sender| sender.hyper.is_closed())
    }

    pub fn takes_a_request(&self) -> bool {
        lock(&self.sender).as_ref().is_some_and(|sender| sender.fresh || sender.hyper.is_ready())
    }

    pub fn poll_free(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.wire.is_unsent(cx) {
            return Poll::Ready(false);
        }
        match &mut *lock(&self.sender) {
            Some(sender) => sender.hyper.poll_ready(cx).map(|ready| ready.is_ok()),
            None => Poll::Ready(false),
        }
    }

    pub fn unasked(&self) -> usize {
        self.wire.unasked()
    }

    pub fn fault(&self) -> Option<Error> {
        self.wire.fault()
    }

    pub fn end(&self) {
        lock(&self.sender).take();
    }

    pub fn begin(&self, outgoing: Outgoing<'_>) -> Result<HyperBegun<impl Future<Output = Sent> + Send + use<>>> {
        let Outgoing { request, head, body, limits } = outgoing;
        let progress = body.progress();
        let outgoing = hyper_request(request, body)?;
        let mut sender = lock(&self.sender);
        let sender = sender.as_mut().ok_or_else(|| Error::new(Status::Closed, "the connection is closed"))?;
        sender.fresh = false;
        self.wire.begin(head, limits, progress)?;
        Ok(HyperBegun { sent: sender.hyper.send_request(outgoing), wire: self.wire.clone() })
    }
}

impl<S: Future<Output = Sent>> HyperBegun<S> {
    pub(in crate::client) async fn answered(self, interim: Interim<'_, '_>) -> Result<(ReceivedHead, HyperBody)> {
        let HyperBegun { sent, wire } = self;
        let (mut sent, mut answered) = (pin!(sent), None);
        let head = interim.wait(|cx| {
            if let Poll::Ready(head) = wire.poll_informational(cx) {
                return Poll::Ready(Ok(Came::Informational(head)));
            }
            if answered.is_none()
                && let Poll::Ready(done) = sent.as_mut().poll(cx)
            {
                answered = Some(done);
            }
            // Informational heads that came with it are reported first.
            match (&answered, wire.poll_informational(cx)) {
                (None, Poll::Pending) => Poll::Pending,
                (_, Poll::Ready(head)) => Poll::Ready(Ok(Came::Informational(head))),
                (Some(Ok(response)), _) => Poll::Ready(final_head(&wire, response.status().as_u16()).map(Came::Final)),
                (Some(Err(_)), _) => {
                    let error = answered.take().and_then(|answered| answered.err());
                    let lost = || Error::new(Status::Internal, "hyper's error is lost");
                    Poll::Ready(Err(error.map_or_else(lost, |error| http_error(error, wire.head_is_due()))))
                }
            }
        });
        let head = head.await?;
        match answered {
            Some(Ok(response)) => Ok((head, HyperBody(response.into_body()))),
            _ => Err(Error::new(Status::Internal, "a response head, and no response")),
        }
    }
}

fn final_head(wire: &WireState, status: u16) -> Result<ReceivedHead> {
    let other = || Error::new(Status::Internal, "hyper shows another response head than the one that came");
    wire.final_head(status)?.ok_or_else(other)
}

impl HyperBody {
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        Pin::new(&mut self.0).poll_frame(cx).map(|frame| match frame {
            None => Ok(Piece::End),
            Some(Err(error)) => Err(http_error(error, false)),
            Some(Ok(frame)) => Ok(match frame.into_data() {
                Ok(data) => Piece::Data(data),
                Err(frame) => frame
                    .into_trailers()
                    .map_or(Piece::Data(bytes::Bytes::new()), |trailers| Piece::Trailers(trailer_head(&trailers))),
            }),
        })
    }

    pub fn announced(&self) -> Option<u64> {
        self.0.size_hint().exact()
    }

    pub fn is_over(&self) -> bool {
        self.0.is_end_stream()
    }
}

fn trailer_head(trailers: &http::HeaderMap) -> ReceivedHead {
    let mut head = ReceivedHead::new(0, 1, b"");
    for (name, value) in trailers {
        head.add(name.as_str().as_bytes(), value.as_bytes());
    }
    head
}

/// The request as hyper needs it for framing and connection management; the head that is sent is our own. The body is boxed: hyper keeps room for 32 requests for
/// each connection, as long as it lasts.
fn hyper_request(request: &RequestHead, body: RequestBody) -> Result<http::Request<Box<RequestBody>>> {
    let mut out = http::Request::builder().method(request.method.as_str()).uri(&request.path);
    match body.length() {
        _ if body.is_full() => {}
        Some(length) => out = out.header("content-length", length),
        None => out = out.header("transfer-encoding", "chunked"),
    }
    for (_, value) in request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        out = out.header("connection", &value[..]);
    }
    out.body(Box::new(body)).map_err(|error| Error::new(Status::InvalidArgument, format!("request: {error}")))
}
