//! The task of a driver: parses what comes and tells it, writes what was said, minds the clock.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::{Driver, LOW, Shared};
use crate::alarm::Alarm;
use crate::deadline::{Wait, exceeded};
use crate::duplex::{Moved, Prefixed, advance};
use crate::error::{Error, Phase, Result, Status};
use crate::events::{Event, Outlet};
use crate::flow::lock;
use crate::h1::{EventKind, ProtocolError, Role, State};
use crate::http::Head;
use crate::http::intake::{Intake, Next};
use crate::stream::Handover;

/// Bytes that are read at a time.
const READ: usize = 16 << 10;

/// Runs the connection to its end; posts exactly one `Closed`.
pub async fn drive<S: AsyncRead + AsyncWrite + Unpin + Send>(wire: S, driver: Arc<Driver>, outlet: Outlet) {
    let mut driving = Driving {
        wire,
        driver: &driver,
        outlet: &outlet,
        sending: Bytes::new(),
        unflushed: false,
        intake: Intake::default(),
        due: None,
        alarm: Alarm::default(),
        buffer: vec![0; READ],
    };
    let done = driver.cancel.guard(Box::pin(driving.run())).await;
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

struct Driving<'a, S> {
    wire: S,
    driver: &'a Driver,
    outlet: &'a Outlet,
    /// Taken from the outbox, and on its way.
    sending: Bytes,
    unflushed: bool,
    intake: Intake,
    /// Until when what is waited for must have come, how long that was, and what it is.
    due: Option<(Instant, Duration, Wait)>,
    alarm: Alarm,
    buffer: Vec<u8>,
}

/// What was parsed, out of the lock.
enum Step {
    Head(Head),
    Data(Bytes),
    End(Option<Head>),
    /// Bytes are needed, or the host must say something first.
    Need {
        bytes: bool,
    },
    Over,
}

type Detached = Option<(Handover, Bytes)>;

impl<S: AsyncRead + AsyncWrite + Unpin> Driving<'_, S> {
    async fn run(&mut self) -> Result<Detached> {
        loop {
            let needs = match self.parse().await {
                Ok(Some(needs)) => needs,
                Ok(None) => return self.finish().await.map(|()| None),
                Err(error) => {
                    self.refuse(&error);
                    let _ = self.finish().await;
                    return Err(error);
                }
            };
            if let Some(detached) = self.settled() {
                return match detached {
                    Some(detached) => Ok(Some(detached)),
                    None => self.finish().await.map(|()| None),
                };
            }
            self.step(needs).await?;
        }
    }

    /// Tells what has come, as far as there is credit. Whether bytes are needed; `None` at the end.
    async fn parse(&mut self) -> Result<Option<bool>> {
        loop {
            match self.intake.proceed()? {
                Next::Bytes if self.driver.credit.available() == 0 => return Ok(Some(false)),
                Next::Bytes => {
                    self.tell().await;
                    continue;
                }
                Next::End(trailers) => {
                    self.due = None;
                    if let Some(trailers) = trailers {
                        self.outlet.post(Event::Trailers(trailers)).await;
                    }
                    self.outlet.post(Event::End).await;
                    continue;
                }
                Next::Nothing => {}
            }
            let step = self.next_step()?;
            match step {
                Step::Head(head) => self.begin(head).await?,
                Step::Data(data) => self.intake.push(data)?,
                Step::End(trailers) => self.intake.end(trailers),
                Step::Need { bytes } => return Ok(Some(bytes)),
                Step::Over => return Ok(None),
            }
        }
    }

    fn next_step(&mut self) -> Result<Step> {
        let parameters = &self.driver.parameters;
        let mut shared = lock(&self.driver.state);
        // Both are done: on to the next message.
        if (shared.conn.our_state(), shared.conn.their_state()) == (State::Done, State::Done) {
            let _ = shared.conn.start_next_cycle();
        }
        let awaits_head = match parameters.role {
            Role::Server => shared.conn.their_state() == State::Idle,
            Role::Client => shared.conn.their_state() == State::SendResponse,
        };
        if awaits_head && self.due.is_none() {
            self.due = parameters.head_within.map(|limit| (Instant::now() + limit, limit, Wait::Head));
        }
        let event = shared.conn.next_event().map_err(remote)?;
        let lines = |mut head: Head| {
            event.fields.iter().for_each(|(_, name, value)| head.add(name, value));
            head
        };
        Ok(match event.kind {
            EventKind::Request => {
                let (method, target) = (event.method.to_vec(), event.target.to_vec());
                let head = lines(Head::new(0, (event.version & 1) as u8, b""));
                (shared.method, shared.target) = (method, target);
                Step::Head(head)
            }
            EventKind::InformationalResponse | EventKind::Response => {
                Step::Head(lines(Head::new(event.status, (event.version & 1) as u8, event.reason)))
            }
            EventKind::Data => Step::Data(Bytes::copy_from_slice(event.data)),
            EventKind::EndOfMessage => {
                Step::End(Head::trailers(event.fields.iter().map(|(_, name, value)| (name, value))))
            }
            EventKind::ConnectionClosed => Step::Over,
            EventKind::NeedData => Step::Need { bytes: true },
            _ => Step::Need { bytes: false },
        })
    }

    async fn begin(&mut self, head: Head) -> Result<()> {
        let parameters = &self.driver.parameters;
        self.due = None;
        let informational = (100..200).contains(&head.status);
        if informational && head.status != 101 {
            self.outlet.post(Event::Informational(head)).await;
            return Ok(());
        }
        self.due = parameters.body_within.map(|limit| (Instant::now() + limit, limit, Wait::MoreBody));
        self.intake = Intake::new(parameters.body, parameters.decode.then_some(&head))?;
        let event = if informational { Event::Informational(head) } else { Event::Head(head) };
        self.outlet.post(event).await;
        Ok(())
    }

    /// One piece of a body, as large as credit and parameters allow.
    async fn tell(&mut self) {
        let credit = &self.driver.credit;
        let allowed = usize::try_from(credit.available()).unwrap_or(usize::MAX).min(self.driver.parameters.piece);
        let piece = self.intake.take(allowed);
        credit.take(piece.len() as u64);
        self.outlet.post(Event::Data(piece, credit.clone())).await;
    }

    /// Whether the host is through with the connection: `Some(None)` where it closed it.
    fn settled(&mut self) -> Option<Detached> {
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

    /// One thing of all that can happen now.
    async fn step(&mut self, needs_bytes: bool) -> Result<()> {
        self.refill();
        let room = needs_bytes.then_some(&mut self.buffer[..]);
        let sends = !self.sending.is_empty() || self.unflushed;
        let due = self.due;
        tokio::select! {
            biased;
            () = self.driver.spoke.notified() => {}
            moved = advance(&mut self.wire, &self.sending, self.unflushed, room), if sends || needs_bytes => {
                match moved.map_err(|error| Error::from_io(error, Phase::Transfer))? {
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
            () = self.alarm.rings(due.map(|(until, ..)| until), None) => {
                let (_, limit, wait) = due.unwrap_or((Instant::now(), Duration::ZERO, Wait::Exchange));
                return Err(exceeded(limit, wait));
            }
        }
        Ok(())
    }

    /// Takes what was said, and tells the host where there is room again.
    fn refill(&mut self) {
        if !self.sending.is_empty() {
            return;
        }
        let mut shared = lock(&self.driver.state);
        self.sending = shared.outbox.split().freeze();
        let writable = shared.outbox.len() <= LOW && std::mem::take(&mut shared.wants_writable);
        drop(shared);
        self.driver.announce(writable);
    }

    /// A server says what was wrong where it has not begun an answer.
    fn refuse(&mut self, error: &Error) {
        let mut shared = lock(&self.driver.state);
        let silent = matches!(shared.conn.our_state(), State::Idle | State::SendResponse);
        let status = match (error.http_status, error.status) {
            (0, Status::BodyTooLarge) => 413,
            (0, _) => 400,
            (status, _) => status,
        };
        if self.driver.parameters.role == Role::Server && silent {
            put_refusal(&mut shared, status);
        }
    }

    /// Sends what is left, and ends our direction.
    async fn finish(&mut self) -> Result<()> {
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

fn put_refusal(shared: &mut Shared, status: u16) {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let lines = [(&b"Content-Length"[..], &b"0"[..]), (b"Connection", b"close")];
    let Ok(head) = shared.conn.send_response(status, reason.unwrap_or_default().as_bytes(), lines.into_iter()) else {
        return;
    };
    shared.outbox.extend_from_slice(head);
    let _ = shared.conn.send_end_of_message(std::iter::empty());
}

fn remote(error: ProtocolError) -> Error {
    Error::new(Status::H1Remote, error.message).phase(Phase::Transfer).http_status(error.hint)
}
