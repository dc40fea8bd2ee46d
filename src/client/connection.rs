//! One HTTP/1.1 connection, for event-driven and blocking handles alike: the caller provides the runtime. Its exchanges are in `exchange`. Touches the
//! connection that `connect` makes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::engine::faults::http_error;
use super::engine::tap::Tap;
use super::engine::wire_state::WireState;
use super::request_body::RequestBody;
use crate::connect::{ConnectTarget, ConnectTimes, Connected, ConnectedStream, ServerTrust, connect};
use crate::error::{Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::deadline::Wait;
use crate::io::sync::lock;
use crate::io::{Socket, SocketWatch};
use crate::operation::Cancel;
use crate::tunnel::Transport;
use crate::verdict::Verdict;

/// Header fields of one message; more are refused.
pub const MAX_HEADERS: usize = 256;
/// Most bytes that hyper gathers before it hands them over.
const MAX_BUFFER: usize = 256 << 10;

/// An attested connection that speaks HTTP. Shared by the host's handle, the driver and the exchange under way.
pub struct HttpConnection {
    sender: Mutex<Option<Sender>>,
    pub(super) wire: WireState,
    /// An exchange is using it. `busy` and `retired` are each written before the other is read: so either the ending exchange or the call that retires
    /// the connection sees both, and closes the connection.
    busy: AtomicBool,
    retired: AtomicBool,
    /// Set by `close`: the driver then drops the socket.
    pub closing: Cancel,
    /// Why the connection ended, once it did.
    pub(super) ended: OnceLock<Error>,
    /// Why the server is not trusted any more.
    distrusted: OnceLock<Error>,
    pub trust: Option<Arc<ServerTrust>>,
    pub times: ConnectTimes,
    pub peer: Option<SocketAddr>,
    pub watch: Arc<SocketWatch>,
    /// The server's, DER.
    pub certificate: Option<Bytes>,
}

/// hyper's handle. It is ready for a request once it has written the previous one and read its response; for the first one at once.
struct Sender {
    hyper: SendRequest<RequestBody>,
    fresh: bool,
}

impl HttpConnection {
    /// Connects, attests, and puts HTTP on the stream. The future drives the connection until it ends, and must be run for anything to happen.
    pub async fn open(
        target: &ConnectTarget,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        // Boxed: what connecting needs is many times what the connection keeps. Both in one box, so that what is kept does not settle in the memory that
        // connecting gives back, but leaves it to the next one.
        Box::pin(async { HttpConnection::start(connect(target).await?).await }).await
    }

    /// As `open`, on the calling thread, which waits. The connection is driven whenever a thread waits on `driver`.
    pub fn open_blocking(driver: &CallerRuntime, target: &ConnectTarget) -> Result<Arc<HttpConnection>> {
        let (connection, work) = driver.run(None, Wait::Connecting, HttpConnection::open(target))?;
        driver.spawn(work.map(|_| ()));
        Ok(connection)
    }

    /// Over a socket that is connected to a server already, without TLS: for tests.
    #[doc(hidden)]
    pub async fn over(
        socket: Socket,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        let stream = ConnectedStream::Plain(Transport::Tcp(socket));
        HttpConnection::start(Connected { stream, trust: None, times: ConnectTimes::default() }).await
    }

    async fn start(
        connected: Connected,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        let Connected { stream, trust, times } = connected;
        let (peer, watch, certificate) =
            (stream.peer(), Arc::new(stream.watch()), stream.certificate().map(Bytes::from));
        let true_end = !matches!(stream, ConnectedStream::Plain(_));
        let (tap, wire) = Tap::new(stream, true_end, watch.clone());
        let (hyper, driver) = Builder::new()
            .max_buf_size(MAX_BUFFER)
            .max_headers(MAX_HEADERS)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake::<_, RequestBody>(TokioIo::new(tap))
            .await
            .map_err(|error| http_error(error, false))?;
        let connection = Arc::new(HttpConnection {
            sender: Mutex::new(Some(Sender { hyper, fresh: true })),
            wire,
            busy: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            closing: Cancel::default(),
            ended: OnceLock::new(),
            distrusted: OnceLock::new(),
            trust,
            times,
            peer,
            watch,
            certificate,
        });
        // Boxed: a future that is passed on is stored once at each step, and this one is large.
        let driver = Box::pin(driver);
        let shared = connection.clone();
        let drive = async move {
            let ended = shared
                .closing
                .guard(async { driver.await.map_err(|error| http_error(error, shared.wire.head_is_due())) })
                .await;
            let error = ended.err().filter(|error| error.status != Status::Canceled);
            let error = shared.distrusted.get().cloned().or(error);
            let closed = || Error::new(Status::Closed, "the connection is closed");
            let _ = shared.ended.set(error.clone().unwrap_or_else(closed));
            lock(&shared.sender).take();
            error
        };
        Ok((connection, drive))
    }

    /// On the server: the last one.
    pub fn verdict(&self) -> Option<Arc<Verdict>> {
        self.trust.as_ref().map(|trust| trust.verdict())
    }

    /// The server is not trusted any more: closes the connection, which ends with this error.
    pub(super) fn distrust(&self, error: Error) {
        let _ = self.distrusted.set(error);
        self.closing.cancel();
    }

    /// Whether a request may be started now.
    pub fn is_ready(&self) -> bool {
        !self.busy.load(Ordering::Acquire) && self.check_open().is_ok() && self.takes_a_request()
    }

    fn check_open(&self) -> Result<()> {
        if let Some(error) = self.distrusted.get().or(self.ended.get()) {
            return Err(Error { status: Status::Closed, ..error.clone() });
        }
        if self.closing.is_canceled() || lock(&self.sender).as_ref().is_none_or(|sender| sender.hyper.is_closed()) {
            return Err(Error::new(Status::Closed, "the connection is closed"));
        }
        Ok(())
    }

    /// No more requests will follow: closes the connection, now or once its exchange is over. True if it is closed now.
    pub fn retire(&self) -> bool {
        self.retired.store(true, Ordering::SeqCst);
        let now = !self.busy.load(Ordering::SeqCst);
        if now {
            self.closing.cancel();
        }
        now
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    fn takes_a_request(&self) -> bool {
        lock(&self.sender).as_ref().is_some_and(|sender| sender.fresh || sender.hyper.is_ready())
    }

    /// Once the response was read to its end: whether another request can follow. It cannot if the response came before all of the request had been
    /// sent: a server that answers early may never read the rest of it, nor what follows.
    pub(super) fn poll_free(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.wire.is_unsent(cx) {
            return Poll::Ready(false);
        }
        match &mut *lock(&self.sender) {
            Some(sender) => sender.hyper.poll_ready(cx).map(|ready| ready.is_ok()),
            None => Poll::Ready(false),
        }
    }

    /// Reserves the connection for one exchange. Statuses: Busy, Closed.
    pub fn reserve(self: &Arc<Self>) -> Result<Reservation> {
        self.check_open()?;
        let busy = || Error::new(Status::Busy, "the previous response has not been read to its end");
        if self.busy.swap(true, Ordering::SeqCst) {
            return Err(busy());
        }
        let reservation = Reservation { connection: self.clone() };
        // If the exchange before was given up, the connection is about to be closed.
        if self.takes_a_request() { Ok(reservation) } else { Err(busy()) }
    }
}

/// The right to use the connection for one exchange; given back when dropped.
pub struct Reservation {
    pub(super) connection: Arc<HttpConnection>,
}

impl Reservation {
    /// Calls `send` with hyper's handle. Errors: Closed.
    pub(super) fn send<T>(&self, send: impl FnOnce(&mut SendRequest<RequestBody>) -> T) -> Result<T> {
        let mut sender = lock(&self.connection.sender);
        let sender = sender.as_mut().ok_or_else(|| Error::new(Status::Closed, "the connection is closed"))?;
        sender.fresh = false;
        Ok(send(&mut sender.hyper))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.connection.busy.store(false, Ordering::SeqCst);
        if self.connection.is_retired() {
            self.connection.closing.cancel();
        }
    }
}
