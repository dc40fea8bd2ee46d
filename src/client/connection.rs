//! One HTTP/1.1 connection, for event-driven and blocking handles alike: the caller provides the runtime. Its exchanges are in `exchange`. Touches the
//! connection that `connect` makes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt;

use super::engine::{Engine, EngineKind};
use super::request_body::RequestBody;
use crate::connect::{ConnectTarget, ConnectTimes, Connected, ConnectedStream, ServerTrust, connect};
use crate::error::{Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::deadline::Wait;
use crate::io::{Socket, SocketWatch};
use crate::operation::Cancel;
use crate::tunnel::Transport;
use crate::verdict::Verdict;

/// An attested connection that speaks HTTP. Shared by the host's handle, the driver and the exchange under way.
pub struct HttpConnection {
    pub(super) engine: Engine,
    /// An exchange is using it. `busy` and `retired` are each written before the other is read: so either the ending exchange or the call that retires
    /// the connection sees both, and closes the connection.
    busy: AtomicBool,
    retired: AtomicBool,
    /// The last answer was of HTTP/1.0. Read and written by the exchange that has reserved the connection.
    is_old: AtomicBool,
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

impl HttpConnection {
    /// Connects, attests, and puts HTTP on the stream. The future drives the connection until it ends, and must be run for anything to happen.
    pub async fn open(
        target: &ConnectTarget,
        kind: EngineKind,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        // Boxed: what connecting needs is many times what the connection keeps. Both in one box, so that what is kept does not settle in the memory that
        // connecting gives back, but leaves it to the next one.
        Box::pin(async { HttpConnection::start(connect(target).await?, kind).await }).await
    }

    /// As `open`, on the calling thread, which waits. The connection is driven whenever a thread waits on `driver`.
    pub fn open_blocking(driver: &CallerRuntime, target: &ConnectTarget) -> Result<Arc<HttpConnection>> {
        let (connection, work) = driver.run(None, Wait::Connecting, HttpConnection::open(target, EngineKind::Hyper))?;
        driver.spawn(work.map(|_| ()));
        Ok(connection)
    }

    /// Over a socket that is connected to a server already, without TLS: for tests.
    #[doc(hidden)]
    pub async fn over(
        socket: Socket,
        kind: EngineKind,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        let stream = ConnectedStream::Plain(Transport::Tcp(socket));
        HttpConnection::start(Connected { stream, trust: None, times: ConnectTimes::default() }, kind).await
    }

    async fn start(
        connected: Connected,
        kind: EngineKind,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        let Connected { stream, trust, times } = connected;
        let (peer, watch, certificate) =
            (stream.peer(), Arc::new(stream.watch()), stream.certificate().map(Bytes::from));
        let (engine, driver) = Engine::start(stream, watch.clone(), kind).await?;
        let connection = Arc::new(HttpConnection {
            engine,
            busy: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            is_old: AtomicBool::new(false),
            closing: Cancel::default(),
            ended: OnceLock::new(),
            distrusted: OnceLock::new(),
            trust,
            times,
            peer,
            watch,
            certificate,
        });
        let shared = connection.clone();
        let drive = async move {
            let ended = shared.closing.guard(driver).await;
            let error = ended.err().filter(|error| error.status != Status::Canceled);
            let error = shared.distrusted.get().cloned().or(error);
            let closed = || Error::new(Status::Closed, "the connection is closed");
            let _ = shared.ended.set(error.clone().unwrap_or_else(closed));
            shared.engine.end();
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
        !self.busy.load(Ordering::Acquire) && self.check_open().is_ok() && self.engine.takes_a_request()
    }

    fn check_open(&self) -> Result<()> {
        if let Some(error) = self.distrusted.get().or(self.ended.get()) {
            return Err(Error { status: Status::Closed, ..error.clone() });
        }
        if self.closing.is_canceled() || self.engine.is_closed() {
            return Err(Error::new(Status::Closed, "the connection is closed"));
        }
        Ok(())
    }

    pub(super) fn answered_in(&self, minor_version: u8) {
        self.is_old.store(minor_version == 0, Ordering::Relaxed);
    }

    /// A server of HTTP/1.0 knows no chunks: it would take them, or what is in them, for something else (RFC 9112 section 6.1). Errors: Closed; the
    /// connection then ends.
    pub(super) fn takes(&self, body: &RequestBody) -> Result<()> {
        let is_chunked = !body.is_full() && body.length().is_none();
        if !is_chunked || !self.is_old.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.closing.cancel();
        let message =
            "the server has answered in HTTP/1.0, and no body of unknown length can follow on this connection";
        Err(Error::new(Status::Closed, message))
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

    /// Why an exchange ended that ended with `error`. What the server did wrong says most, then the error that the driver ended with.
    pub(super) async fn reason(&self, error: Error) -> Error {
        if error.status == Status::TimedOut {
            return error;
        }
        tokio::task::yield_now().await;
        let reason = || self.ended.get().filter(|reason| reason.status != Status::Closed).cloned();
        self.engine.fault().or_else(reason).unwrap_or(error)
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
        if self.engine.takes_a_request() { Ok(reservation) } else { Err(busy()) }
    }
}

/// The right to use the connection for one exchange; given back when dropped.
pub struct Reservation {
    pub(super) connection: Arc<HttpConnection>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.connection.busy.store(false, Ordering::SeqCst);
        if self.connection.is_retired() {
            self.connection.closing.cancel();
        }
    }
}
