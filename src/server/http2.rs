//! The task of one connection that speaks HTTP/2 (RFC 9113): its streams share the connection, and each is a request as the host knows them. Frames are read and
//! written by the crate `h2`. May touch the clock, and reads and writes the stream that it is given.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::Request;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Server;
use super::accept::ConnectionSummary;
use super::attestation::TlsSession;
use super::http2_stream::serve_stream;
use super::http2_wire::SharedTls;
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::h1::Rules;
use crate::io::Socket;
use crate::io::alarm::Alarm;
use crate::io::deadline::{Wait, within};
use crate::operation::Cancel;
use crate::tls::ServerStream;

/// Requests under way on one connection, and requests that the host has not looked at; further ones wait, and the peer is told so.
const STREAMS: u32 = 100;
/// Bytes that a peer may send before the host has taken any: of one request, and of all on a connection, so that no request takes the room of another.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 6400 << 10;
const _: () = assert!(CONNECTION_WINDOW == STREAMS * STREAM_WINDOW);
/// Bytes of each response that wait for the network at most.
const OUTBOX: usize = 64 << 10;
/// How many more streams a peer may reset than it lets end, or begin with a head that is refused. Such requests cost work and little of what the peer has.
const RESETS: i64 = 200;
/// How long requests are accepted after the peer was told of the end: they may be on their way. So long stays a connection without requests.
const LINGER: Duration = Duration::from_secs(2);
/// How many pings in a row may be without an answer, while requests are under way.
const PINGS: u32 = 3;

/// What the streams of a connection share.
pub(super) struct Http2Connection<'a> {
    pub server: &'a Arc<Server>,
    pub peer: Option<SocketAddr>,
    pub session: TlsSession,
    pub keys: SharedTls,
    pub account: &'a ConnectionSummary,
    pub rules: Rules,
    /// The turn of requests for evidence: their bodies are read and judged one after another.
    pub evidence: tokio::sync::Mutex<()>,
    /// The trust in the client has ended by evidence that was refused.
    pub distrusted: Cancel,
    /// No more streams are accepted.
    pub leaving: Cancel,
    /// The connection is gone, and why.
    pub gone: Cancel,
    why: OnceLock<Error>,
    /// Streams that the peer may still reset.
    resets: AtomicI64,
}

impl Http2Connection<'_> {
    /// Runs `work` as long as the connection is there.
    pub async fn alive<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.gone.thrown() => Err(self.why_gone()),
        }
    }

    pub fn why_gone(&self) -> Error {
        let unknown = || Error::new(Status::Io, "the peer has closed the connection");
        let why = self.why.get().cloned().unwrap_or_else(unknown);
        why.phase(Phase::Transfer).detail(Detail::PeerGone)
    }

    pub fn was_reset(&self) {
        self.resets.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn completed(&self) {
        let more = |left| (left < RESETS).then_some(left + 1);
        let _ = self.resets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// Serves until either side closes.
pub(super) async fn http2_task(
    stream: ServerStream<Socket>,
    server: &Arc<Server>,
    peer: Option<SocketAddr>,
    session: TlsSession,
    account: &ConnectionSummary,
) -> Result<()> {
    let keys = SharedTls::new(stream);
    let limits = &server.settings.limits;
    let begun = async { builder(server).handshake(keys.clone()).await.map_err(|error| http2_error(&error)) };
    let conn = tokio::select! {
        biased;
        conn = within(limits.receive_head, Wait::Call("the beginning of HTTP/2"), begun) => conn?,
        () = server.stopping.thrown() => return Ok(()),
    };
    let rules = Rules { flags: server.settings.flags, max_incomplete: limits.head, max_fields: limits.fields };
    let shared = Http2Connection {
        server,
        peer,
        session,
        keys,
        account,
        rules,
        evidence: tokio::sync::Mutex::new(()),
        distrusted: Cancel::default(),
        leaving: Cancel::default(),
        gone: Cancel::default(),
        why: OnceLock::new(),
        resets: AtomicI64::new(RESETS),
    };
    let ended = serve(&shared, conn).await;
    if let Err(error) = ended.as_ref()
        && error.status == Status::HttpProtocol
    {
        server.report_refusal(&error.clone().peer(peer)).await;
    }
    ended
}

fn builder(server: &Server) -> Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(server.settings.limits.head).unwrap_or(u32::MAX))
        .max_send_buffer_size(OUTBOX);
    builder
}

type Streams<'s> = FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = ()> + Send + 's>>>;

async fn serve(shared: &Http2Connection<'_>, mut conn: Connection<SharedTls, Bytes>) -> Result<()> {
    let mut pings = Pings::new(conn.ping_pong(), shared.server.settings.limits.probe);
    let mut streams = Streams::new();
    let ended = accept_streams(shared, &mut conn, &mut pings, &mut streams).await;
    let why = ended.as_ref().err().cloned();
    let _ = why.map(|why| shared.why.set(why));
    shared.gone.cancel();
    while streams.next().await.is_some() {}
    ended
}

async fn accept_streams<'s>(
    shared: &'s Http2Connection<'_>,
    conn: &mut Connection<SharedTls, Bytes>,
    pings: &mut Pings,
    streams: &mut Streams<'s>,
) -> Result<()> {
    let limits = &shared.server.settings.limits;
    let waiting = Arc::new(Semaphore::new(STREAMS as usize));
    let (mut stopping, mut leaving) = (pin!(shared.server.stopping.thrown()), pin!(shared.leaving.thrown()));
    let (mut acceptance, mut alarm) = (Acceptance::new(), Alarm::default());
    loop {
        if shared.resets.load(Ordering::Relaxed) < 0 {
            return Err(calm_down(conn).await);
        }
        let sent_until = limits.send.map(|limit| acceptance.quiet_since + limit.max(LINGER));
        let quiet_until = acceptance.quiet_until(shared, conn, streams);
        let ping_at = pings.next_at(!streams.is_empty());
        let has_place = streams.len() < STREAMS as usize;
        let (leaves, takes) = (acceptance.leaves(), acceptance.room.is_some() && has_place);
        tokio::select! {
            () = stopping.as_mut(), if !leaves => acceptance.leave(conn),
            () = leaving.as_mut(), if !leaves => acceptance.leave(conn),
            permit = waiting.clone().acquire_owned(), if acceptance.room.is_none() && has_place => acceptance.room = permit.ok(),
            Some(()) = streams.next(), if !streams.is_empty() => acceptance.quiet_since = Instant::now(),
            come = poll_fn(|cx| poll_accept(conn, cx, takes)) => match come {
                None => {
                    take_leave(shared).await;
                    return Ok(());
                }
                Some(Err(error)) => return Err(http2_error(&error)),
                Some(Ok(come)) => acceptance.take(shared, streams, come)?,
            },
            missed = pings.answered() => missed?,
            () = alarm.rings(quiet_until, ping_at) => {
                pings.send_if_due(!streams.is_empty())?;
                match quiet_until.is_some_and(|until| until <= Instant::now()) {
                    // Responses that their host has ended may wait for the network.
                    true if leaves && conn.has_streams() && sent_until.is_none_or(|until| until > Instant::now()) => {}
                    true if leaves => return goodbye(shared, conn).await,
                    true => acceptance.leave(conn),
                    false => {}
                }
            }
        }
    }
}

/// Which streams are accepted, and how long.
struct Acceptance {
    /// For the event of the next one.
    room: Option<OwnedSemaphorePermit>,
    /// The peer was told that no more are accepted. Until then those are that were on their way.
    refuses_from: Option<Instant>,
    /// Since when the connection is without requests, if it is.
    quiet_since: Instant,
}

impl Acceptance {
    fn new() -> Acceptance {
        Acceptance { room: None, refuses_from: None, quiet_since: Instant::now() }
    }

    fn leaves(&self) -> bool {
        self.refuses_from.is_some()
    }

    /// Tells the peer that no more streams are accepted.
    fn leave(&mut self, conn: &mut Connection<SharedTls, Bytes>) {
        conn.graceful_shutdown();
        self.quiet_since = Instant::now();
        self.refuses_from = Some(self.quiet_since + LINGER);
    }

    /// How long the connection stays if no request comes; for ever while one is under way.
    fn quiet_until(
        &self,
        shared: &Http2Connection<'_>,
        conn: &Connection<SharedTls, Bytes>,
        streams: &Streams<'_>,
    ) -> Option<Instant> {
        match (streams.is_empty(), self.leaves()) {
            (false, _) => None,
            (true, true) if conn.has_streams() => Some(Instant::now() + LINGER),
            (true, true) => Some(self.quiet_since + LINGER),
            (true, false) => idle_until(shared, self.quiet_since),
        }
    }

    /// Serves a stream that has come, or refuses it.
    fn take<'s>(
        &mut self,
        shared: &'s Http2Connection<'_>,
        streams: &mut Streams<'s>,
        (request, mut respond): (Request<RecvStream>, SendResponse<Bytes>),
    ) -> Result<()> {
        // A peer that does not answer the shutdown's ping, which ends the acceptance in h2, opens streams all the same.
        if self.refuses_from.is_some_and(|from| from <= Instant::now()) {
            respond.send_reset(Reason::REFUSED_STREAM);
            shared.was_reset();
            return Ok(());
        }
        let Some(room) = self.room.take() else { return Err(Error::new(Status::Internal, "no room")) };
        streams.push(Box::pin(serve_stream(shared, request, respond, room)));
        if !shared.server.settings.limits.keep_alive {
            shared.leaving.cancel();
        }
        Ok(())
    }
}

/// When a connection without requests ends.
fn idle_until(shared: &Http2Connection<'_>, quiet_since: Instant) -> Option<Instant> {
    let idle = shared.server.settings.limits.idle.map(|idle| quiet_since + idle);
    idle.into_iter().chain(shared.session.client_trusted_until(Instant::now())).min()
}

type Come = Option<std::result::Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// The next stream, or the end of the connection. Without room for another stream the connection goes on all the same.
fn poll_accept(conn: &mut Connection<SharedTls, Bytes>, cx: &mut Context<'_>, has_room: bool) -> Poll<Come> {
    match has_room {
        true => conn.poll_accept(cx),
        false => conn.poll_closed(cx).map(|closed| closed.err().map(Err)),
    }
}

/// Closes a connection that carries no requests.
async fn goodbye(shared: &Http2Connection<'_>, conn: &mut Connection<SharedTls, Bytes>) -> Result<()> {
    conn.abrupt_shutdown(Reason::NO_ERROR);
    let _ = tokio::time::timeout(LINGER, poll_fn(|cx| conn.poll_closed(cx))).await;
    take_leave(shared).await;
    Ok(())
}

/// Reads for a moment after the end was sent: a socket that is closed with bytes unread discards what the peer has not received yet.
async fn take_leave(shared: &Http2Connection<'_>) {
    let reading = async {
        let (mut wire, mut left, mut sink) = (shared.keys.clone(), CONNECTION_WINDOW as usize, vec![0; 4096]);
        while let Ok(count @ 1..) = wire.read(&mut sink).await {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

async fn calm_down(conn: &mut Connection<SharedTls, Bytes>) -> Error {
    conn.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let _ = tokio::time::timeout(LINGER, poll_fn(|cx| conn.poll_closed(cx))).await;
    Error::new(Status::HttpProtocol, "the peer resets too many streams").phase(Phase::Transfer)
}

/// Asks a peer whose requests are under way whether it is there: TCP's probes do not reach beyond a proxy.
struct Pings {
    wire: Option<PingPong>,
    every: Option<Duration>,
    next: Option<Instant>,
    open: bool,
    missed: u32,
}

impl Pings {
    fn new(wire: Option<PingPong>, every: Option<Duration>) -> Pings {
        Pings { wire, every, next: None, open: false, missed: 0 }
    }

    /// When the next one is due, if requests are under way.
    fn next_at(&mut self, busy: bool) -> Option<Instant> {
        self.next = self.next.filter(|_| busy);
        let every = self.every.filter(|_| busy && self.wire.is_some())?;
        Some(*self.next.get_or_insert_with(|| Instant::now() + every))
    }

    /// Errors: Io, if too many have had no answer.
    fn send_if_due(&mut self, busy: bool) -> Result<()> {
        let (Some(wire), Some(next), true) = (&mut self.wire, self.next, busy) else {
            self.next = None;
            return Ok(());
        };
        if next > Instant::now() {
            return Ok(());
        }
        self.next = None;
        if self.open {
            self.missed += 1;
            let silent = Error::new(Status::Io, "the peer answers no ping").phase(Phase::Transfer);
            return if self.missed < PINGS { Ok(()) } else { Err(silent.detail(Detail::PeerGone)) };
        }
        self.open = wire.send_ping(Ping::opaque()).is_ok();
        Ok(())
    }

    /// Waits for an answer, if one is to come.
    async fn answered(&mut self) -> Result<()> {
        let (Some(wire), true) = (&mut self.wire, self.open) else { return std::future::pending().await };
        // An error is that of the connection, which says so itself.
        if poll_fn(|cx| wire.poll_pong(cx)).await.is_err() {
            return std::future::pending().await;
        }
        (self.open, self.missed) = (false, 0);
        Ok(())
    }
}

/// An error of a stream or of its connection.
pub(super) fn http2_error(error: &h2::Error) -> Error {
    if let Some(io) = error.get_io() {
        let own = io.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned();
        let again = || match io.raw_os_error() {
            Some(errno) => std::io::Error::from_raw_os_error(errno),
            None => std::io::Error::new(io.kind(), io.to_string()),
        };
        return own.unwrap_or_else(|| Error::from_peer(again()));
    }
    let message = format!("HTTP/2: {error}");
    match error.is_library() {
        true => Error::new(Status::HttpProtocol, message).phase(Phase::Transfer),
        false => Error::new(Status::Io, message).phase(Phase::Transfer).detail(Detail::PeerGone),
    }
}
