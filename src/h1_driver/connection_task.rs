//! The task of a driver: parses what is received and reports it, writes what the host has sent, and watches deadlines. Touches the clock, and reads and
//! writes the connection that it is given.
//!
//! This loop is not the server's (`server::connection_task`): here the host may send at any time from any thread, so that the parser is shared and locked, in
//! either role. A server's connection owns its parser and takes the parts of one response after another. What both do, `io::duplex`, `io::alarm` and
//! `message::body_reader` do for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::{DriverState, H1Driver, LOW};
use crate::connect::{ConnectTarget, TrustedStream, connect};
use crate::error::{Error, Phase, Result, Status};
use crate::h1::{EventKind, ProtocolError, Role, State};
use crate::io::Liveness;
use crate::io::alarm::Alarm;
use crate::io::deadline::{Wait, exceeded};
use crate::io::duplex::{Moved, Prefixed, advance};
use crate::io::sync::lock;
use crate::log;
use crate::message::body_reader::{BodyReader, BodyStep, GatheredBody, gather, too_large};
use crate::message::{ReceivedHead, refusal_status};
use crate::operation::{Outlet, TransferEvent, thrown_or_never};
use crate::stream::PendingStream;

/// Bytes that are read at a time.
const READ: usize = 16 << 10;
/// Bytes that are taken from the outbox at a time: as many may be held beyond its high mark.
const SENT: usize = 64 << 10;
/// How long the refusal of a body waits for the host, which may set another limit when it sees the head.
const HOST_TIME: Duration = Duration::from_secs(1);
/// How often a connection that is not being read is checked for a peer that is gone.
const CHECK: Duration = Duration::from_secs(1);
/// How long a peer has to take the last response.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Connects, with evidence if the target has a policy, then runs the connection to its end. Posts exactly one `Closed`, and `Connected` before all else.
pub async fn connect_task(target: ConnectTarget, driver: Arc<H1Driver>, outlet: Outlet) {
    match driver.cancel.guard(Box::pin(connect(&target))).await {
        Ok(connected) => {
            let trust = connected.trust.map(|trust| trust.standing().clone());
            if let Some(trust) = trust.clone() {
                let _ = driver.trust.set(trust);
            }
            outlet.post(TransferEvent::Connected).await;
            let peer = connected.stream.peer();
            connection_task(TrustedStream::new(connected.stream, trust), driver, outlet, peer).await;
        }
        Err(error) => outlet.close(Some(error)),
    }
}

/// Runs the connection with `peer` to its end; posts exactly one `Closed`.
pub async fn connection_task<S>(wire: S, driver: Arc<H1Driver>, outlet: Outlet, peer: Option<SocketAddr>)
where
    S: AsyncRead + AsyncWrite + Liveness + Unpin + Send,
{
    let mut driving = DriverTask {
        wire,
        driver: &driver,
        outlet: &outlet,
        sending: Bytes::new(),
        unflushed: false,
        intake: BodyReader::default(),
        body_since: None,
        due: None,
        check_at: None,
        alarm: Alarm::default(),
        buffer: vec![0; READ],
    };
    let began = Instant::now();
    let done = driver.cancel.guard(Box::pin(driving.run())).await.map_err(|error| error.peer(peer));
    account(&driver, peer, began, done.as_ref().err());
    let gone = done.as_ref().err().cloned();
    let gone = gone.unwrap_or_else(|| Error::new(Status::Closed, "the connection is over"));
    lock(&driver.state).ended = Some(gone);
    match done {
        Ok(Some((handover, unread))) => {
            let wire = driving.wire;
            outlet.close(None);
            handover.run(Prefixed { unread, wire }).await;
        }
        done => {
            let unused = lock(&driver.state).handover.take();
            drop(unused);
            outlet.close(done.err());
        }
    }
}

/// Logs the end of a connection that a peer has opened. (As a client the host knows whom it called.)
fn account(driver: &H1Driver, peer: Option<SocketAddr>, began: Instant, error: Option<&Error>) {
    if driver.settings.role == Role::Client {
        return;
    }
    let whom = || peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    if let Some(error) =
        error.filter(|error| matches!(error.status, Status::H1Remote | Status::BodyTooLarge | Status::ContentCoding))
    {
        log::emit(log::WARNING, || format!("server: {}: refused: {}", whom(), log::reason(error)));
    }
    log::emit(log::INFO, || {
        let outcome = error.map_or_else(|| "closed".into(), log::reason);
        format!("server: {}: {outcome}: total={}", whom(), began.elapsed().as_millis())
    });
}

struct DriverTask<'a, S> {
    wire: S,
    driver: &'a H1Driver,
    outlet: &'a Outlet,
    /// Taken from the outbox, and on its way.
    sending: Bytes,
    unflushed: bool,
    intake: BodyReader,
    /// When the head came, while its body is being received.
    body_since: Option<Instant>,
    /// The current deadline: when, how long it was, and for what.
    due: Option<(Instant, Duration, Wait)>,
    /// When to check whether the peer is still there, while no traffic shows it.
    check_at: Option<Instant>,
    alarm: Alarm,
    buffer: Vec<u8>,
}

/// What was parsed, as handled after the lock is released.
enum Step {
    Head(ReceivedHead),
    /// More of a body, or its end.
    Body(GatheredBody),
    /// More bytes are needed, or the host must send something first.
    Need {
        bytes: bool,
    },
    Over,
}

type Detached = Option<(PendingStream, Bytes)>;

impl<S: AsyncRead + AsyncWrite + Liveness + Unpin> DriverTask<'_, S> {
    async fn run(&mut self) -> Result<Detached> {
        loop {
            let needs = match self.parse().await {
                Ok(Some(needs)) => needs,
                Ok(None) => return self.send_rest().await.map(|()| None),
                Err(error) => {
                    self.refuse(&error);
                    let _ = tokio::time::timeout(LAST_WORDS, self.send_rest()).await;
                    return Err(error);
                }
            };
            if let Some(detached) = self.over_for_host() {
                return match detached {
                    Some(detached) => Ok(Some(detached)),
                    None => self.send_rest().await.map(|()| None),
                };
            }
            self.step(needs).await?;
        }
    }

    /// Reports what has been received, as far as there is credit. Whether more bytes are needed; `None` at the end.
    async fn parse(&mut self) -> Result<Option<bool>> {
        self.apply_host_limits();
        loop {
            match self.intake.proceed()? {
                BodyStep::Bytes if self.driver.credit.available() == 0 => return Ok(Some(false)),
                BodyStep::Bytes => {
                    self.post_piece().await;
                    continue;
                }
                BodyStep::End(trailers) => {
                    (self.due, self.body_since) = (None, None);
                    self.driver.end_of_message();
                    if let Some(trailers) = trailers {
                        self.outlet.post(TransferEvent::Trailers(trailers)).await;
                    }
                    self.outlet.post(TransferEvent::End).await;
                    continue;
                }
                BodyStep::Nothing => {}
            }
            let step = self.next_step()?;
            match step {
                Step::Head(head) => self.begin(head).await?,
                Step::Body(gathered) => {
                    if !self.intake.takes(gathered.data.len()) {
                        self.wait_for_host().await;
                    }
                    self.intake.take_in(gathered)?;
                }
                Step::Need { bytes } => return Ok(Some(bytes)),
                Step::Over => return Ok(None),
            }
        }
    }

    fn next_step(&mut self) -> Result<Step> {
        let settings = &self.driver.settings;
        let mut shared = lock(&self.driver.state);
        shared.start_next();
        let awaits_head = match settings.role {
            Role::Server => shared.conn.their_state() == State::Idle,
            Role::Client => shared.conn.their_state() == State::SendResponse,
        };
        if awaits_head && self.due.is_none() {
            self.due = settings.head_within.map(|limit| (Instant::now() + limit, limit, Wait::Head));
        }
        if shared.conn.their_state() == State::SendBody {
            let gathered = gather(&mut shared.conn, settings.piece).map_err(remote)?;
            return Ok(match gathered.kind {
                EventKind::Data | EventKind::EndOfMessage => Step::Body(gathered),
                kind => Step::Need { bytes: kind == EventKind::NeedData },
            });
        }
        let event = shared.conn.next_event().map_err(remote)?;
        Ok(match event.kind {
            EventKind::Request => {
                let head = ReceivedHead::of(&event);
                (shared.method, shared.target) = (event.method.to_vec(), event.target.to_vec());
                Step::Head(head)
            }
            EventKind::InformationalResponse | EventKind::Response => Step::Head(ReceivedHead::of(&event)),
            // A client that has ended its own direction still gets its answer.
            EventKind::ConnectionClosed if shared.owes_response(settings.role) => Step::Need { bytes: false },
            EventKind::ConnectionClosed => Step::Over,
            EventKind::NeedData => Step::Need { bytes: true },
            _ => Step::Need { bytes: false },
        })
    }

    async fn begin(&mut self, head: ReceivedHead) -> Result<()> {
        let settings = &self.driver.settings;
        let informational = (100..200).contains(&head.status);
        if informational && head.status != 101 {
            // The deadline for the final head stays as it is.
            self.outlet.post(TransferEvent::Informational(head)).await;
            return Ok(());
        }
        self.due = None;
        self.intake = BodyReader::new(settings.body, settings.decode.then_some(&head))?;
        self.body_since = Some(Instant::now());
        self.apply_host_limits();
        let event = if informational { TransferEvent::Informational(head) } else { TransferEvent::Head(head) };
        self.outlet.post(event).await;
        let length = lock(&self.driver.state).conn.their_body_length().unwrap_or(0);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !self.intake.takes(length) {
            self.wait_for_host().await;
        }
        // Before a byte of it is read.
        match self.intake.takes(length) {
            true => Ok(()),
            false => Err(too_large(self.intake.limit())),
        }
    }

    /// Applies the limits that the host has set for the message that is being received.
    fn apply_host_limits(&mut self) {
        let Some(since) = self.body_since else { return };
        let (own, settings) = (lock(&self.driver.state).limits, &self.driver.settings);
        self.intake.set_limit(own.body.unwrap_or(settings.body));
        let within = own.body_within.or(settings.body_within);
        self.due = within.map(|limit| (since + limit, limit, Wait::MoreBody));
    }

    /// Gives the host time to set its own limits first.
    async fn wait_for_host(&mut self) {
        let _ = tokio::time::timeout(HOST_TIME, self.outlet.quiet()).await;
        self.apply_host_limits();
    }

    /// Posts one piece of a body, as large as credit and settings allow.
    async fn post_piece(&mut self) {
        let credit = &self.driver.credit;
        let allowed = usize::try_from(credit.available()).unwrap_or(usize::MAX).min(self.driver.settings.piece);
        let piece = self.intake.take(allowed);
        credit.take(piece.len() as u64);
        self.outlet.post(TransferEvent::Data(piece, credit.clone())).await;
    }

    /// Whether the connection is over for the host: detached, or (`Some(None)`) closed.
    fn over_for_host(&mut self) -> Option<Detached> {
        let mut shared = lock(&self.driver.state);
        let sent = self.sending.is_empty() && shared.outbox.is_empty() && !self.unflushed;
        if sent && let Some(handover) = shared.handover.take() {
            let (unread, _) = shared.conn.trailing_data();
            return Some(Some((handover, Bytes::copy_from_slice(unread))));
        }
        let must_close = matches!(shared.conn.our_state(), State::MustClose | State::Closed | State::Error)
            && !matches!(shared.conn.their_state(), State::SendBody | State::SendResponse);
        (sent && (shared.closing || must_close)).then_some(None)
    }

    /// Waits for the next thing to happen, and handles it.
    async fn step(&mut self, needs_bytes: bool) -> Result<()> {
        // Deadlines hold also for a peer that keeps the connection busy.
        self.check_due()?;
        self.refill();
        let mut room = &mut self.buffer[..];
        let room = needs_bytes.then_some(&mut room);
        let sends = !self.sending.is_empty() || self.unflushed;
        let due = self.due;
        self.check_at = match needs_bytes || sends {
            true => None,
            false => self.check_at.or_else(|| Some(Instant::now() + CHECK)),
        };
        let given_up = lock(&self.driver.state).handover.as_ref().map(PendingStream::given_up);
        tokio::select! {
            biased;
            () = self.driver.host_acted.notified() => {}
            moved = advance(&mut self.wire, &self.sending, self.unflushed, room), if sends || needs_bytes => {
                match moved.map_err(Error::from_peer)? {
                    Moved::Sent { count, flushed } => {
                        self.sending.advance(count);
                        self.unflushed = !flushed;
                    }
                    Moved::Received(0) => lock(&self.driver.state).conn.receive_eof(),
                    Moved::Received(count) => {
                        lock(&self.driver.state).conn.receive(&self.buffer[..count]);
                    }
                }
            }
            _ = self.driver.credit.wait(), if self.intake.waits() => {}
            () = thrown_or_never(given_up) => {
                return Err(Error::new(Status::Canceled, "the stream that the connection was to become was given up"));
            }
            () = self.alarm.rings(due.map(|(until, ..)| until), self.check_at) => {
                self.check_due()?;
                self.wire.check().map_err(Error::from_peer)?;
                self.check_at = None;
            }
        }
        Ok(())
    }

    fn check_due(&self) -> Result<()> {
        match self.due {
            Some((until, limit, wait)) if until <= Instant::now() => Err(exceeded(limit, wait)),
            _ => Ok(()),
        }
    }

    /// Takes what the host has sent, and reports to the host if there is room again.
    fn refill(&mut self) {
        if !self.sending.is_empty() {
            return;
        }
        let mut shared = lock(&self.driver.state);
        let count = shared.outbox.len().min(SENT);
        self.sending = shared.outbox.split_to(count).freeze();
        let writable = shared.outbox.len() <= LOW && std::mem::take(&mut shared.wants_writable);
        drop(shared);
        self.driver.announce(writable);
    }

    /// As server, answers with the error's status, unless a response has begun.
    fn refuse(&mut self, error: &Error) {
        let mut shared = lock(&self.driver.state);
        let silent = matches!(shared.conn.our_state(), State::Idle | State::SendResponse);
        if let Some(status) = refusal_status(error).filter(|_| self.driver.settings.role == Role::Server && silent) {
            put_refusal(&mut shared, status);
        }
    }

    /// Sends what is left, and ends the sending direction.
    async fn send_rest(&mut self) -> Result<()> {
        let io = |error| Error::from_io(error, Phase::Transfer);
        loop {
            self.refill();
            if self.sending.is_empty() {
                return self.wire.shutdown().await.map_err(io);
            }
            let mut sending = std::mem::take(&mut self.sending);
            self.wire.write_all_buf(&mut sending).await.map_err(io)?;
        }
    }
}

fn put_refusal(shared: &mut DriverState, status: u16) {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let lines = [(&b"Content-Length"[..], &b"0"[..]), (b"Connection", b"close")];
    let Ok(head) = shared.conn.send_response(status, reason.unwrap_or_default().as_bytes(), lines.into_iter()) else {
        return;
    };
    shared.outbox.extend_from_slice(head);
    let _ = shared.conn.send_end_of_message(std::iter::empty());
}

fn remote(error: ProtocolError) -> Error {
    Error::new(Status::H1Remote, error.message).detail(error.detail).phase(Phase::Transfer).http_status(error.hint)
}
