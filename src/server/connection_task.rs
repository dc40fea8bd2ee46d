//! The task of one connection: requests one after another, and between them the wait for the next one. Parses and writes with `h1`. May touch the
//! clock, and reads and writes the transport that it is given.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::accept::ConnectionSummary;
use super::attestation::TlsSession;
use super::exchange::AfterExchange;
use super::request_line::RequestLine;
use super::response_head::ResponseHead;
use super::transport::ServerTransport;
use super::{Server, ServerRequest};
use crate::connect::TrustedStream;
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::h1::{Connection, EventKind, ProtocolError, Role, Rules, State};
use crate::io::alarm::Alarm;
use crate::message::{ReceivedHead, refusal_status};
use crate::tls::HttpVersion;

/// Bytes of buffer that a connection keeps while it waits for its next request.
pub(super) const IDLE: usize = 1 << 10;
/// Bytes that are read at a time.
pub(super) const READ: usize = 16 << 10;
/// How much is still read, and for how long, from a peer whose connection is about to be closed: closing a socket with bytes unread would discard what was
/// sent last.
const LINGER: (usize, Duration) = (256 << 10, Duration::from_secs(1));

/// Serves until either side closes. Futures that are needed only at times are boxed: a connection that waits for its next request holds none of their
/// memory.
pub async fn connection_task<S: ServerTransport>(
    wire: S,
    server: &Arc<Server>,
    peer: Option<SocketAddr>,
    session: Option<TlsSession>,
    account: &ConnectionSummary,
) -> Result<()> {
    let limits = &server.settings.limits;
    let rules = Rules { flags: server.settings.flags, max_incomplete: limits.head, max_fields: limits.fields };
    let mut this = ServerConnection {
        wire,
        conn: Connection::new(Role::Server, rules),
        server,
        peer,
        session,
        account,
        outbox: BytesMut::new(),
        alarm: Alarm::default(),
        check_at: None,
        unflushed: false,
        broken: false,
        must_not_end: false,
    };
    // One future for all requests: registering it takes longer than polling it.
    let mut stopping = pin!(server.stopping.thrown());
    loop {
        let request = match this.next_request(stopping.as_mut()).await {
            Ok(Some(request)) => request,
            Ok(None) => return Box::pin(this.close()).await,
            Err(error) => return Box::pin(this.refuse_and_report(&error)).await,
        };
        if let Some(rules) = &server.settings.forward {
            return Box::pin(this.forward(&request, rules)).await;
        }
        let done = match this.evidence_request(&request) {
            Some(asked) => Box::pin(this.attest(asked, &request)).await,
            None => {
                if let Err(refusal) = server.check_client(this.session.as_ref()).await {
                    return Box::pin(this.refuse_and_report(&refusal)).await;
                }
                match Box::pin(this.run_exchange(request)).await? {
                    AfterExchange::Again(again) => Ok(again),
                    AfterExchange::Switched(switch) => {
                        let trust = this.session.as_ref().and_then(TlsSession::client_trust);
                        Box::pin(switch.stream.run(TrustedStream::new(this.into_upgraded(), trust))).await;
                        return Ok(());
                    }
                }
            }
        };
        let again = done? && limits.keep_alive && !server.stopping.is_canceled();
        if !again || this.conn.start_next_cycle().is_err() {
            return Box::pin(this.close()).await;
        }
    }
}

pub(super) struct ServerConnection<'a, S> {
    pub(super) wire: S,
    pub(super) conn: Connection,
    pub(super) server: &'a Arc<Server>,
    pub(super) peer: Option<SocketAddr>,
    /// Only with TLS.
    pub(super) session: Option<TlsSession>,
    pub(super) account: &'a ConnectionSummary,
    pub(super) outbox: BytesMut,
    pub(super) alarm: Alarm,
    /// When to check next whether the peer is still there, while the host has not taken the request.
    pub(super) check_at: Option<Instant>,
    /// Something was written that the transport may still hold.
    pub(super) unflushed: bool,
    /// Reading or writing failed. How much of the outbox the transport had taken by then is unknown, so nothing more is written.
    pub(super) broken: bool,
    /// A body is under way that an orderly end of the connection would make look complete. The transport resets as long as this is set.
    pub(super) must_not_end: bool,
}

impl<S: ServerTransport> ServerConnection<'_, S> {
    /// Reads the next request's head; `None` if none will come, or if `stopping` is done and nothing of a head has been received.
    async fn next_request(
        &mut self,
        mut stopping: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Arc<ServerRequest>>> {
        let limits = &self.server.settings.limits;
        let now = Instant::now();
        self.conn.rest(IDLE);
        if self.outbox.capacity() > IDLE {
            self.outbox = BytesMut::new();
        }
        let idle_until = limits
            .idle
            .map(|idle| now + idle)
            .into_iter()
            .chain(self.session.as_ref().and_then(|session| session.client_trusted_until(now)))
            .min();
        let mut head_until = None;
        loop {
            let event = self.conn.next_event().map_err(protocol)?;
            match event.kind {
                EventKind::Request => {
                    let head = ReceivedHead::of(&event);
                    let line = RequestLine::new(event.method, event.target, head.find("host"));
                    return Ok(Some(Arc::new(self.server.request(
                        (line, head, HttpVersion::Http1),
                        self.peer,
                        self.session.as_ref(),
                    ))));
                }
                EventKind::ConnectionClosed => return Ok(None),
                _ => {}
            }
            let begun = !self.conn.trailing_data().0.is_empty();
            if begun && head_until.is_none() {
                head_until = limits.receive_head.map(|limit| Instant::now() + limit);
            }
            let read = tokio::select! {
                biased;
                () = stopping.as_mut(), if !begun => return Ok(None),
                read = self.wire.read_buf(self.conn.room(if begun { READ } else { IDLE })) => read,
                () = self.alarm.rings(if begun { head_until } else { idle_until }, None) => match begun {
                    false => return Ok(None),
                    true => return Err(late("no complete request head in time")),
                },
            };
            let count = read.map_err(|error| self.broken_by(error))?;
            self.received(count);
        }
    }

    /// Takes note that the transport has failed.
    pub(super) fn broken_by(&mut self, error: std::io::Error) -> Error {
        self.broken = true;
        self.outbox.clear();
        Error::from_peer(error)
    }

    fn client_is_too_old(&self) -> bool {
        self.session.as_ref().is_some_and(TlsSession::client_is_too_old)
    }

    /// So many bytes were put into the room of `conn`.
    pub(super) fn received(&mut self, count: usize) {
        if count == 0 {
            self.conn.receive_eof();
        }
    }

    /// Whether the connection may be closed in order (`must_not_end`), whatever drops it.
    pub(super) fn let_end(&mut self, may: bool) {
        if self.must_not_end == may {
            self.must_not_end = !may;
            self.wire.resets(!may);
        }
    }

    pub(super) fn put_head(&mut self, message: &ResponseHead) -> Result<()> {
        self.put_head_and(message, self.client_is_too_old())
    }

    /// With `closes`, a final head says that the connection ends.
    pub(super) fn put_head_and(&mut self, message: &ResponseHead, closes: bool) -> Result<()> {
        let closes = closes || !self.server.settings.limits.keep_alive || self.server.stopping.is_canceled();
        let last = message.status >= 200 && closes;
        let close = last.then_some((&b"Connection"[..], &b"close"[..]));
        let dated = message.status < 200 || message.lines().any(|(name, _)| name.eq_ignore_ascii_case(b"date"));
        let now = (!dated).then(|| self.server.date()).flatten();
        let date = now.as_ref().map(|now| (&b"Date"[..], &now[..]));
        let lines = date.into_iter().chain(message.lines()).chain(close);
        let head = self.conn.send_response(message.status, &message.reason, lines).map_err(host)?;
        self.outbox.extend_from_slice(head);
        Ok(())
    }

    /// Reports the refusal to the host, then answers the peer.
    async fn refuse_and_report(&mut self, error: &Error) -> Result<()> {
        // If the peer is gone, nobody is refused.
        if !matches!(error.status, Status::Io | Status::Truncated) {
            self.report(error).await;
        }
        self.refuse(error).await
    }

    pub(super) async fn report(&self, error: &Error) {
        self.server.report_refusal(&error.clone().peer(self.peer)).await;
    }

    /// Answers with the error's status, unless a response has begun, and closes.
    pub(super) async fn refuse(&mut self, error: &Error) -> Result<()> {
        let Some(status) = refusal_status(error) else { return self.close().await };
        let silent = !self.broken && matches!(self.conn.our_state(), State::Idle | State::SendResponse);
        if let Some(mut message) = silent.then(|| ResponseHead::new(status, None, None, Some(0)).ok()).flatten() {
            message.add("Connection", "close");
            self.outbox.clear();
            if self.put_head(&message).is_ok() {
                let _ = self.conn.send_end_of_message(std::iter::empty());
            }
        }
        self.close().await
    }

    /// Sends what is left, closes the sending direction, and reads for a moment (`LINGER`). Does nothing if the transport is broken.
    pub(super) async fn close(&mut self) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        let goodbye = async {
            self.wire.write_all_buf(&mut self.outbox).await?;
            self.wire.shutdown().await?;
            let (mut left, mut sink) = (LINGER.0, vec![0; 4096]);
            while left > 0 {
                match self.wire.read(&mut sink).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            Ok::<_, std::io::Error>(())
        };
        let _ = tokio::time::timeout(LINGER.1, goodbye).await;
        Ok(())
    }
}

/// The peer violated HTTP.
pub(super) fn protocol(error: ProtocolError) -> Error {
    Error::new(Status::HttpProtocol, error.message).detail(error.detail).phase(Phase::Transfer).http_status(error.hint)
}

/// The host asked for something that HTTP does not allow.
pub(super) fn host(error: ProtocolError) -> Error {
    Error::new(Status::InvalidState, error.message).phase(Phase::Transfer)
}

pub(super) fn late(why: &str) -> Error {
    Error::new(Status::TimedOut, why).phase(Phase::Transfer).detail(Detail::HeadTimeout)
}
