//! The crate `h2` as the engine of an HTTP/2 connection, which many exchanges share. One task drives it. Touches the connection that it is given, and the clock.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use hyper::body::Body;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Outgoing;
use super::http2_head::request;
use super::http2_stream::{Http2Begun, StreamTask, begun};
use crate::connect::{ConnectedStream, Http2Session, STREAMS, http2_error};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::io::sync::lock;

/// How often the server is asked whether it is there while requests are under way, and how long it has to answer. Servers may take more than one ping in five
/// minutes without data for an attack.
const PING: (Duration, Duration) = (Duration::from_secs(310), Duration::from_secs(30));

pub struct Http2Engine {
    sender: Mutex<Option<SendRequest<Bytes>>>,
    streams: UnboundedSender<StreamTask>,
}

impl Http2Engine {
    pub fn start(session: Http2Session) -> (Http2Engine, impl Future<Output = Result<()>> + Send + 'static) {
        let Http2Session { sender, mut connection, .. } = session;
        let (streams, incoming) = unbounded_channel();
        let pings = Pings { wire: connection.ping_pong(), timer: None, asked: false };
        let mut driver = Driver { streams: FuturesUnordered::new(), incoming, pings, connection };
        let engine = Http2Engine { sender: Mutex::new(Some(sender)), streams };
        (engine, async move { poll_fn(|cx| driver.poll(cx)).await })
    }

    /// Whether no other request can begin: the server has said that it ends, or has ended.
    pub fn is_closed(&self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        lock(&self.sender).as_ref().is_none_or(|sender| matches!(sender.clone().poll_ready(cx), Poll::Ready(Err(_))))
    }

    /// How many requests may be under way at a time.
    pub fn places(&self) -> usize {
        let allowed = lock(&self.sender).as_ref().map_or(0, SendRequest::current_max_send_streams);
        allowed.min(STREAMS as usize)
    }

    pub fn end(&self) {
        lock(&self.sender).take();
    }

    pub fn begin(&self, outgoing: Outgoing<'_>) -> Result<Http2Begun> {
        let Outgoing { request: head, head: _, body, limits } = outgoing;
        let request = request(head, body.length())?;
        let closed = || {
            let closed = Error::new(Status::Closed, "the connection is closed").phase(Phase::Transfer);
            closed.detail(Detail::NotProcessed)
        };
        let refused = |error: h2::Error| match error.is_io() || error.is_go_away() || error.is_reset() {
            true => closed().context(http2_error(&error)),
            false => Error::new(Status::InvalidArgument, format!("request: HTTP/2 cannot carry it: {error}")),
        };
        let ends = body.is_end_stream() || body.length() == Some(0);
        let mut sender = lock(&self.sender).clone().ok_or_else(closed)?;
        let (response, stream) = sender.send_request(request, ends).map_err(refused)?;
        let (task, begun) = begun(response, (!ends).then_some((stream, body)), limits);
        self.streams.send(task).map_err(|_| closed())?;
        Ok(begun)
    }
}

/// Runs as long as the connection. Dropped before, it closes the connection, and all exchanges on it fail.
struct Driver {
    streams: FuturesUnordered<StreamTask>,
    incoming: UnboundedReceiver<StreamTask>,
    pings: Pings,
    connection: Connection<ConnectedStream, Bytes>,
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Poll::Ready(Some(task)) = self.incoming.poll_recv(cx) {
            self.streams.push(task);
        }
        self.run_streams(cx);
        if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
            // Which requests were taken, each stream has been told.
            let without_detail = |error: Error| match error.detail {
                Detail::NotProcessed => error.detail(Detail::None),
                _ => error,
            };
            // Each stream knows how it ended.
            self.run_streams(cx);
            return Poll::Ready(ended.map_err(|error| without_detail(http2_error(&error))));
        }
        // What has come may be for them.
        self.run_streams(cx);
        self.pings.poll(cx, !self.streams.is_empty())
    }

    fn run_streams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.streams.poll_next_unpin(cx) {}
    }
}

/// Asks a server whose requests are under way whether it is there: TCP's probes do not reach beyond a proxy.
struct Pings {
    wire: Option<PingPong>,
    timer: Option<Pin<Box<Sleep>>>,
    asked: bool,
}

impl Pings {
    /// Ready if the server does not answer.
    fn poll(&mut self, cx: &mut Context<'_>, busy: bool) -> Poll<Result<()>> {
        let Some(wire) = self.wire.as_mut() else { return Poll::Pending };
        if self.asked && wire.poll_pong(cx).is_ready() {
            (self.asked, self.timer) = (false, None);
        }
        if !busy && !self.asked {
            self.timer = None;
            return Poll::Pending;
        }
        let until = |wait: Duration| Box::pin(sleep_until(Instant::now() + wait));
        let timer = self.timer.get_or_insert_with(|| until(PING.0));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if self.asked {
            let silent = Error::new(Status::Io, "HTTP/2: the server answers no ping").phase(Phase::Transfer);
            return Poll::Ready(Err(silent.detail(Detail::PeerGone)));
        }
        self.asked = wire.send_ping(Ping::opaque()).is_ok();
        self.timer = Some(until(if self.asked { PING.1 } else { PING.0 }));
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
