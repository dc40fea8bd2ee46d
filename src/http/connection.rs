//! One HTTP/1.1 connection and its exchanges. Used by event-driven and blocking handles alike: the caller provides the runtime.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::{Progress, RequestBody};
use super::decode::Decoder;
use super::faults::{check_framing, http_error};
use super::head::{Head, Request};
use super::options::Options;
use super::tap::{Spelling, Tap};
use crate::attest::Verdict;
use crate::connect::{Connected, Target, Times, connect};
use crate::deadline::{Wait, within};
use crate::error::{Error, Phase, Result, Status};
use crate::flow::{Cancel, lock};
use crate::net::Watch;

/// Header lines of one message; more are refused.
pub const MAX_HEADERS: usize = 256;
/// Most bytes that hyper gathers before it hands them over.
const MAX_BUFFER: usize = 256 << 10;

/// An attested connection that speaks HTTP. Shared by the host's handle, the driver and the exchange under way.
pub struct HttpConnection {
    sender: Mutex<Option<SendRequest<RequestBody>>>,
    spelling: Spelling,
    busy: AtomicBool,
    /// Thrown by `close`: the driver lets go of the socket.
    pub closing: Cancel,
    /// Why the connection ended, once it did.
    ended: OnceLock<Error>,
    pub verdict: Option<Arc<Verdict>>,
    pub times: Times,
    pub peer: Option<SocketAddr>,
    pub watch: Watch,
    /// The server's, DER.
    pub certificate: Option<Bytes>,
}

impl HttpConnection {
    /// Connects, attests, and puts HTTP on the stream. The future drives the connection until it ends, and must be run for anything to happen.
    pub async fn open(
        target: &Target,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        // Boxed: what connecting needs is many times what the connection keeps. Both in one box, so that what is kept does not settle in the memory that
        // connecting gives back, but leaves it to the next one.
        Box::pin(async { HttpConnection::start(connect(target).await?).await }).await
    }

    async fn start(
        connected: Connected,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        let Connected { stream, verdict, times } = connected;
        let (peer, watch, certificate) = (stream.peer(), stream.watch(), stream.certificate().map(Bytes::from));
        let (tap, spelling) = Tap::new(stream);
        let (sender, driver) = Builder::new()
            .max_buf_size(MAX_BUFFER)
            .max_headers(MAX_HEADERS)
            .handshake::<_, RequestBody>(TokioIo::new(tap))
            .await
            .map_err(|error| http_error(error, Vec::new))?;
        let connection = Arc::new(HttpConnection {
            sender: Mutex::new(Some(sender)),
            spelling,
            busy: AtomicBool::new(false),
            closing: Cancel::default(),
            ended: OnceLock::new(),
            verdict,
            times,
            peer,
            watch,
            certificate,
        });
        // Boxed: a future that is handed from one to the next is kept once at each step, and this one is large.
        let driver = Box::pin(driver);
        let shared = connection.clone();
        let drive = async move {
            let received = || shared.spelling.received();
            let ended = shared.closing.guard(async { driver.await.map_err(|error| http_error(error, received)) }).await;
            let error = ended.err().filter(|error| error.status != Status::Canceled);
            let closed = || Error::new(Status::Closed, "the connection is closed");
            let _ = shared.ended.set(error.clone().unwrap_or_else(closed));
            lock(&shared.sender).take();
            error
        };
        Ok((connection, drive))
    }

    /// Whether a request may be started now.
    pub fn is_ready(&self) -> bool {
        !self.busy.load(Ordering::Acquire) && self.check_open().is_ok()
    }

    fn check_open(&self) -> Result<()> {
        if let Some(error) = self.ended.get() {
            return Err(Error { status: Status::Closed, ..error.clone() });
        }
        if self.closing.is_canceled() || lock(&self.sender).as_ref().is_none_or(SendRequest::is_closed) {
            return Err(Error::new(Status::Closed, "the connection is closed"));
        }
        Ok(())
    }

    /// The head that hyper has shown as this status. Its callback may not run for a 1xx that hyper swallows whole: those are skipped.
    fn final_head(&self, status: u16, progress: &Progress) -> Result<Head> {
        let mut head = self.spelling.next_head();
        while head.as_ref().is_some_and(|head| head.status < 200 && head.status != status) {
            head = self.spelling.next_head();
        }
        let head = head.ok_or_else(|| Error::new(Status::Internal, "the response head was not recorded"))?;
        let checked = progress.failed().map_or_else(|| check_framing(&head), Err);
        checked.inspect_err(|_| self.closing.cancel())?;
        Ok(head)
    }

    /// Reserves the connection for one exchange. Statuses: Busy, Closed.
    pub fn reserve(self: &Arc<Self>) -> Result<Reservation> {
        self.check_open()?;
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Status::Busy, "the previous response has not been read to its end"));
        }
        Ok(Reservation { connection: self.clone() })
    }
}

/// The right to use the connection for one exchange; given back when dropped.
pub struct Reservation {
    connection: Arc<HttpConnection>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.connection.busy.store(false, Ordering::Release);
    }
}

/// A response whose body is being read.
pub struct Exchange {
    pub head: Head,
    body: Option<Incoming>,
    pub trailers: Option<Head>,
    decoder: Option<Box<Decoder>>,
    /// Bytes that may still come.
    left: u64,
    /// Of the request's body.
    progress: Arc<Progress>,
    reservation: Option<Reservation>,
    when_over: Option<Box<dyn FnOnce() + Send>>,
}

/// Sends a request, whose head is spelled `head`; the future waits for the response head. `informational` is told of each 1xx head as it
/// comes. Not an async function: what is waited with should be small, for it is moved about.
pub fn exchange<F: Fn(Head) + Send + Sync + 'static>(
    reservation: Reservation,
    request: &Request,
    head: Vec<u8>,
    body: RequestBody,
    options: &Arc<Options>,
    informational: F,
) -> impl Future<Output = Result<Exchange>> + Send + use<F> {
    let progress = body.progress();
    let sent = send(&reservation.connection, request, head, body, options, informational);
    let (options, bodiless) = (options.clone(), request.method == "HEAD");
    async move {
        let connection = reservation.connection.clone();
        let answered = within(options.deadlines.first_byte, Wait::FirstByte, answer(sent?, &progress, &options));
        let response = match answered.await? {
            Ok(response) => response,
            Err(error) => {
                // The driver has the better reason, if it ended for one.
                tokio::task::yield_now().await;
                let reason = connection.ended.get().filter(|reason| reason.status != Status::Closed);
                let received = || connection.spelling.received();
                return Err(reason.cloned().unwrap_or_else(|| http_error(error, received)));
            }
        };
        let head = connection.final_head(response.status().as_u16(), &progress)?;
        let mut exchange = Exchange {
            head,
            body: Some(response.into_body()),
            trailers: None,
            decoder: None,
            left: options.max_body,
            progress,
            reservation: Some(reservation),
            when_over: None,
        };
        exchange.prepare(bodiless, &options)?;
        Ok(exchange)
    }
}

type Sent = hyper::Result<http::Response<Incoming>>;

fn send<F: Fn(Head) + Send + Sync + 'static>(
    connection: &HttpConnection,
    request: &Request,
    head: Vec<u8>,
    body: RequestBody,
    options: &Options,
    informational: F,
) -> Result<impl Future<Output = Sent> + Send + use<F>> {
    let progress = body.progress();
    if options.expect.is_some() && !progress.is_complete() {
        progress.hold();
    }
    let mut outgoing = hyper_request(request, body)?;
    let spelling = connection.spelling.clone();
    hyper::ext::on_informational(&mut outgoing, move |response| {
        if response.status() == http::StatusCode::CONTINUE {
            progress.let_go();
        }
        let Some(head) = spelling.next_head() else { return };
        match check_framing(&head) {
            Ok(()) => informational(head),
            Err(error) => progress.fail(error),
        }
    });
    let mut sender = lock(&connection.sender);
    let sender = sender.as_mut().ok_or_else(|| Error::new(Status::Closed, "the connection is closed"))?;
    connection.spelling.begin(head);
    Ok(sender.send_request(outgoing))
}

/// The answer; where the body is held back, until it comes or a while has gone: a server that does not know the word keeps silent (RFC 9110
/// section 10.1.1), and then the body goes unasked.
async fn answer(sent: impl Future<Output = Sent>, progress: &Progress, options: &Options) -> Result<Sent> {
    let Some(wait) = options.expect.filter(|_| progress.is_held()) else { return Ok(sent.await) };
    let mut sent = std::pin::pin!(sent);
    if let Ok(answered) = tokio::time::timeout(wait, &mut sent).await {
        return Ok(answered);
    }
    progress.let_go();
    Ok(sent.await)
}

impl Exchange {
    /// Runs, after what was given before, once the response has been read to its end and the connection is free; dropped unrun if that
    /// never comes.
    pub fn when_over(&mut self, run: impl FnOnce() + Send + 'static) {
        self.when_over = Some(match self.when_over.take() {
            None => Box::new(run),
            Some(first) => Box::new(move || {
                first();
                run();
            }),
        });
    }

    /// Looks at what the head says of the body.
    fn prepare(&mut self, bodiless: bool, options: &Options) -> Result<()> {
        if bodiless || matches!(self.head.status, 204 | 304) {
            return Ok(());
        }
        if options.decode {
            self.decoder = Decoder::new(self.head.all("content-encoding"))?.map(Box::new);
        }
        let announced = self.body.as_ref().and_then(|body| hyper::body::Body::size_hint(body).exact());
        match announced {
            Some(length) if self.decoder.is_none() && length > self.left => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> Error {
        let message = "the response body is larger than the request allows";
        Error::new(Status::BodyTooLarge, message).phase(Phase::Transfer).http_status(self.head.status)
    }

    /// The next piece of the body, decoded where that was asked for; `None` at its end, when the connection is free again.
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
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.frame().await {
                None => {
                    self.body = None;
                    self.be_over();
                    match &mut self.decoder {
                        Some(decoder) => decoder.end(),
                        None => return Ok(None),
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Err(http_error(error, Vec::new));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => match &mut self.decoder {
                        Some(decoder) => decoder.push(data),
                        None => return Ok(Some(data)),
                    },
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers = Some(trailer_head(&trailers));
                        }
                    }
                },
            }
        }
    }

    /// The response has been read to its end.
    fn be_over(&mut self) {
        if let Some(reservation) = self.reservation.take()
            && !self.progress.is_complete()
        {
            // The rest of the request's body is not wanted any more, and no other request can follow half of one.
            reservation.connection.closing.cancel();
        }
        if let Some(run) = self.when_over.take() {
            run();
        }
    }
}

impl Drop for Exchange {
    /// A response without a body has been read to its end before anybody asked for it.
    fn drop(&mut self) {
        if self.body.take().is_some_and(|body| hyper::body::Body::is_end_stream(&body)) {
            self.be_over();
        }
    }
}

fn trailer_head(trailers: &http::HeaderMap) -> Head {
    let mut head = Head::new(0, 1, b"");
    for (name, value) in trailers {
        head.add(name.as_str().as_bytes(), value.as_bytes());
    }
    head
}

/// The request as hyper must see it for framing and connection management; what stands on the wire is our own head.
fn hyper_request(request: &Request, body: RequestBody) -> Result<http::Request<RequestBody>> {
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
