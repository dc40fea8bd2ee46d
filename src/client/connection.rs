//! One HTTP connection, for event-driven and blocking handles alike: the caller provides the runtime. Its exchanges are in `exchange`. Touches the
//! connection that `connect` makes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt;

use super::engine::{Engine, EngineKind};
use super::request_body::RequestBody;
use crate::connect::{ConnectTarget, ConnectTimes, Connected, ConnectedStream, HttpSession, ServerTrust, connect_http};
use crate::error::{Detail, Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::deadline::Wait;
use crate::io::{Socket, SocketWatch};
use crate::operation::Cancel;
use crate::tunnel::Transport;
use crate::verdict::Verdict;

/// An attested connection that speaks HTTP. Shared by the host's handle, the driver and the exchange under way.
pub struct HttpConnection {
    pub(super) engine: Engine,
    /// Exchanges that are using it. `users` and `retired` are each written before the other is read: so either the ending exchange or the call that retires
    /// the connection sees both, and closes the connection.
    users: AtomicUsize,
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
    /// Held by the exchange that asks for new evidence, for all that share the connection.
    pub(super) renewing: tokio::sync::Mutex<()>,
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
        Box::pin(async { HttpConnection::start(connect_http(target).await?, kind).await }).await
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
        let stream = HttpSession::Http1(ConnectedStream::Plain(Transport::Tcp(socket)));
        HttpConnection::start(Connected { stream, trust: None, times: ConnectTimes::default() }, kind).await
    }

    async fn start(
        connected: Connected<HttpSession>,
        kind: EngineKind,
    ) -> Result<(Arc<HttpConnection>, impl Future<Output = Option<Error>> + Send + 'static)> {
        let Connected { stream, trust, times } = connected;
        let (peer, watch, certificate) = match &stream {
            HttpSession::Http1(stream) => (stream.peer(), stream.watch(), stream.certificate()),
            HttpSession::Http2(session) => (session.peer, session.watch.clone(), session.certificate.clone()),
        };
        let (watch, certificate) = (Arc::new(watch), certificate.map(Bytes::from));
        let (engine, driver) = Engine::start(stream, watch.clone(), kind).await?;
        let connection = Arc::new(HttpConnection {
            engine,
            users: AtomicUsize::new(0),
            renewing: tokio::sync::Mutex::default(),
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
        // That a server has not looked at a request it says of one stream, and all of them learn this error.
        let detail = if error.detail == Detail::NotProcessed { Detail::None } else { error.detail };
        let _ = self.distrusted.set(error.detail(detail));
        self.closing.cancel();
    }

    /// Whether a request may be started now.
    pub fn is_ready(&self) -> bool {
        self.is_unused() && self.check_open().is_ok() && self.engine.takes_a_request()
    }

    /// Whether no exchange is using it.
    pub fn is_unused(&self) -> bool {
        self.users.load(Ordering::SeqCst) == 0
    }

    /// Whether a request may be started at all.
    pub fn is_open(&self) -> bool {
        self.check_open().is_ok() && !self.is_retired()
    }

    /// Whether an idle connection is still open: checks what the network has to say about it, since nothing drives a blocking client's idle connections. Mostly
    /// that is nothing; otherwise the first yield lets the runtime poll the sockets, and the second lets the connection act on it.
    pub(super) async fn is_alive(&self) -> bool {
        let others_drive_it = self.users.load(Ordering::SeqCst) > 1;
        if others_drive_it || self.watch.is_quiet() {
            return self.is_open();
        }
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        // With several workers the driver may not have run: what it has not read yet must not be taken for the answer to the next request.
        self.is_open() && (!self.engine.is_watched() || self.watch.is_quiet())
    }

    /// An exchange was given up, or has failed: closes the connection in the middle of a message, unless the others that share it can go on.
    pub(super) fn give_up(&self) {
        if !self.engine.is_shared() {
            self.closing.cancel();
        }
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
        let now = self.is_unused();
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
        if self.engine.is_shared() {
            // Each stream knows best how it ended.
            return self.distrusted.get().cloned().unwrap_or(error);
        }
        let reason = || self.ended.get().filter(|reason| reason.status != Status::Closed).cloned();
        self.engine.fault().or_else(reason).unwrap_or(error)
    }

    /// Reserves the connection, or a place on it, for one exchange. Statuses: Busy, Closed.
    pub fn reserve(self: &Arc<Self>) -> Result<Reservation> {
        self.check_open()?;
        if self.is_retired() {
            return Err(Error::new(Status::Closed, "the connection takes no more requests"));
        }
        let busy = || {
            Error::new(
                Status::Busy,
                match self.engine.is_shared() {
                    true => "the server allows no more requests at a time on this connection",
                    false => "the previous response has not been read to its end",
                },
            )
        };
        let places = self.engine.places();
        let one_more = |users| (users < places).then_some(users + 1);
        self.users.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).map_err(|_| busy())?;
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
        let was_the_last = self.connection.users.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_the_last && self.connection.is_retired() {
            self.connection.closing.cancel();
        }
    }
}
