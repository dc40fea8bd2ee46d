//! One connection of a server: requests one after another, each with its body going to the host while its answer comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep_until};

use super::evidence::Session;
use super::message::Message;
use super::served::Answer;
use super::{Served, Server};
use crate::deadline::{Wait, within};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::events::{Event, Outlet};
use crate::flow::Credit;
use crate::h1::{Connection, EventKind, ProtocolError, Role, Rules, State};
use crate::http::Head;

/// Bytes that are read at a time.
const READ: usize = 16 << 10;
/// Bytes of an answer that wait for the network; with more, nothing is taken from the host.
const OUTBOX: usize = 64 << 10;
/// Bytes of a request for evidence.
const SMALL: usize = 4096;
/// What is still read, and for how long, from a peer that is told to go: closing with bytes unread would throw our last words away.
const LINGER: (usize, Duration) = (256 << 10, Duration::from_secs(1));

/// Serves until either side has enough.
pub async fn serve<S>(io: S, server: &Arc<Server>, peer: SocketAddr, session: Option<Session>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = &server.settings.limits;
    let rules = Rules { max_incomplete: limits.head, max_fields: limits.fields, ..Rules::default() };
    let (reader, writer) = split(io);
    let conn = Connection::new(Role::Server, rules);
    let mut this = Serving { reader, writer, conn, server, peer, session, outbox: BytesMut::new(), unflushed: false };
    loop {
        let served = match this.next_request().await {
            Ok(Some(served)) => served,
            Ok(None) => return this.close().await,
            Err(error) => {
                server.counts.refused.fetch_add(1, Ordering::Relaxed);
                return this.refuse(&error).await;
            }
        };
        let done = match this.wants_evidence(&served) {
            true => this.show_evidence().await,
            false => this.serve_one(served).await,
        };
        let again = done? && limits.keep_alive && !server.stopping.is_canceled();
        if !again || this.conn.start_next_cycle().is_err() {
            return this.close().await;
        }
    }
}

struct Serving<'a, S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    conn: Connection,
    server: &'a Arc<Server>,
    peer: SocketAddr,
    /// In TLS only.
    session: Option<Session>,
    outbox: BytesMut,
    /// Something was written that may not have left.
    unflushed: bool,
}

struct Ending<'a>(&'a Served);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end(Some(&Error::new(Status::Canceled, "the connection was closed")));
    }
}

/// How far one request has come.
struct Course {
    /// Bytes of its body that the host has no credit for yet.
    pending: Bytes,
    body_left: u64,
    body_over: bool,
    answer_over: bool,
    body_until: Option<Instant>,
    /// Until when the peer must have taken something of the answer.
    send_until: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Serving<'_, S> {
    /// Reads the next request's head; `None` where there is none to come.
    async fn next_request(&mut self) -> Result<Option<Arc<Served>>> {
        let limits = &self.server.settings.limits;
        let now = Instant::now();
        let (idle_until, mut head_until) = (limits.idle.map(|idle| now + idle), None);
        loop {
            let event = self.conn.next_event().map_err(protocol)?;
            match event.kind {
                EventKind::Request => {
                    let mut head = Head::new(0, (event.version & 1) as u8, b"");
                    event.fields.iter().for_each(|(_, name, value)| head.add(name, value));
                    let (method, target) = (String::from_utf8_lossy(event.method).into_owned(), event.target.to_vec());
                    return Ok(Some(Arc::new(self.served(method, target, head))));
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
                () = self.server.stopping.thrown(), if !begun => return Ok(None),
                read = self.reader.read(self.conn.reserve(READ)) => read,
                () = until(if begun { head_until } else { idle_until }) => match begun {
                    false => return Ok(None),
                    true => return Err(late("no complete request head in time")),
                },
            };
            self.received(read.map_err(|error| Error::from_io(error, Phase::Transfer))?);
        }
    }

    fn served(&self, method: String, target: Vec<u8>, head: Head) -> Served {
        let settings = &self.server.settings;
        let credit = Credit::new(settings.credit, settings.automatic_credit);
        Served::new(method, target, head, (self.peer, settings.tls.is_some()), credit)
    }

    fn received(&mut self, count: usize) {
        match count {
            0 => self.conn.receive_eof(),
            _ => drop(self.conn.commit(count)),
        }
    }

    fn wants_evidence(&self, served: &Served) -> bool {
        let serves_it = self.server.attester.is_some() && self.session.is_some();
        serves_it && served.method == "POST" && served.target.split(|byte| *byte == b'?').next() == Some(b"/tdx_quote")
    }

    /// Answers a request for evidence; the host hears nothing of it. Whether the connection may serve another request.
    async fn show_evidence(&mut self) -> Result<bool> {
        let limit = self.server.settings.limits.receive_head;
        let received = within(limit, Wait::Evidence, self.small_body()).await;
        let body = match received {
            Ok(body) => body,
            Err(error) => return self.refuse(&error).await.map(|()| false),
        };
        self.server.counts.quotes.fetch_add(1, Ordering::Relaxed);
        let (Some(attester), Some(session)) = (&self.server.attester, &self.session) else { return Ok(false) };
        let is_current = self.server.tls().is_some_and(|shown| *shown.leaf == *session.leaf);
        let (status, answer) = attester.answer(&body, session, is_current).await;
        let mut message = Message::new(status, None, None, Some(answer.len() as u64))?;
        message.headers.push((b"Content-Type".to_vec(), b"application/json".to_vec()));
        self.put_head(&message)?;
        let _ = self.conn.send_data(answer.len() as u64).map_err(host)?;
        self.outbox.extend_from_slice(answer.as_bytes());
        let _ = self.conn.send_end_of_message(std::iter::empty()).map_err(host)?;
        let sending = async {
            let io = |error| Error::from_io(error, Phase::Transfer);
            self.writer.write_all_buf(&mut self.outbox).await.map_err(io)?;
            self.writer.flush().await.map_err(io)
        };
        within(self.server.settings.limits.send, Wait::Evidence, sending).await?;
        Ok(self.conn.our_state() == State::Done && self.conn.their_state() == State::Done)
    }

    /// All of a body that has no business to be long.
    async fn small_body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let event = self.conn.next_event().map_err(protocol)?;
            match event.kind {
                EventKind::Data if body.len() + event.data.len() <= SMALL => body.extend_from_slice(event.data),
                EventKind::Data => return Err(too_large(SMALL as u64)),
                EventKind::NeedData => {
                    let read = self.reader.read(self.conn.reserve(READ)).await;
                    self.received(read.map_err(|error| Error::from_io(error, Phase::Transfer))?);
                }
                _ => return Ok(body),
            }
        }
    }

    /// Shows the request to the host and sees it through. Whether the connection may serve another.
    async fn serve_one(&mut self, served: Arc<Served>) -> Result<bool> {
        self.server.counts.requests.fetch_add(1, Ordering::Relaxed);
        self.server.observer.post(Event::Request(served.clone()), None);
        // Also where this task is thrown away: the host must not start, or go on writing to, what nobody reads.
        let ending = Ending(&served);
        let Some(outlet) = served.taken().await else {
            let error = Error::new(Status::Internal, "the host let go of the request");
            self.refuse(&error.http_status(500)).await?;
            return Ok(false);
        };
        let done = served.cancel.guard(Box::pin(self.exchange(&served, &outlet))).await;
        let error = done.as_ref().err().cloned();
        served.end(error.as_ref());
        drop(ending);
        if let Some(error) = error.as_ref().filter(|error| error.status != Status::Canceled) {
            // Where no answer has begun the peer is told why there is none.
            let _ = self.refuse(error).await;
        }
        outlet.close(error);
        done
    }

    async fn exchange(&mut self, served: &Served, outlet: &Outlet) -> Result<bool> {
        let limits = &self.server.settings.limits;
        let mut course = Course {
            pending: Bytes::new(),
            body_left: limits.body,
            body_over: false,
            answer_over: false,
            body_until: limits.receive_body.map(|limit| Instant::now() + limit),
            send_until: None,
        };
        loop {
            let wants_bytes = self.take_body(served, outlet, &mut course).await?;
            if course.answer_over && self.outbox.is_empty() && !self.unflushed {
                return Ok(self.conn.our_state() == State::Done && self.conn.their_state() == State::Done);
            }
            self.step(served, outlet, &mut course, wants_bytes).await?;
        }
    }

    /// Takes from the machine what it has of the body. Whether it needs more from the network.
    async fn take_body(&mut self, served: &Served, outlet: &Outlet, course: &mut Course) -> Result<bool> {
        while course.pending.is_empty() && !course.body_over {
            let event = self.conn.next_event().map_err(protocol)?;
            match event.kind {
                EventKind::Data => {
                    course.pending = Bytes::copy_from_slice(event.data);
                    let left = course.body_left.checked_sub(event.data.len() as u64);
                    course.body_left = left.ok_or_else(|| too_large(self.server.settings.limits.body))?;
                }
                EventKind::EndOfMessage => {
                    let mut trailers = Head::new(0, 1, b"");
                    event.fields.iter().for_each(|(_, name, value)| trailers.add(name, value));
                    course.body_over = true;
                    course.body_until = None;
                    if trailers.count() > 0 {
                        outlet.post(Event::Trailers(trailers)).await;
                    }
                    outlet.post(Event::End).await;
                }
                EventKind::NeedData => {
                    // The peer may wait to be asked for its body, and is, once the host has a use for it.
                    if self.conn.they_are_waiting_for_100_continue() && served.credit.available() > 0 {
                        let head = self.conn.send_response(100, b"Continue", std::iter::empty()).map_err(protocol)?;
                        self.outbox.extend_from_slice(head);
                    }
                    return Ok(true);
                }
                _ => course.body_over = true,
            }
        }
        Ok(false)
    }

    /// One thing of all that can happen now.
    async fn step(&mut self, served: &Served, outlet: &Outlet, course: &mut Course, wants_bytes: bool) -> Result<()> {
        let io = |error| Error::from_io(error, Phase::Transfer);
        let waits = self.conn.they_are_waiting_for_100_continue();
        if self.outbox.is_empty() && !self.unflushed {
            course.send_until = None;
        } else if course.send_until.is_none() {
            course.send_until = self.server.settings.limits.send.map(|limit| Instant::now() + limit);
        }
        tokio::select! {
            sent = send(&mut self.writer, &self.outbox), if !self.outbox.is_empty() || self.unflushed => {
                let count = sent.map_err(io)?;
                self.outbox.advance(count);
                self.unflushed = count > 0;
                course.send_until = None;
            }
            answer = served.answer(), if !course.answer_over && self.outbox.len() < OUTBOX => {
                course.answer_over = self.put(served, answer?)?;
            }
            permit = room(&served.credit, outlet), if !course.pending.is_empty() => {
                let allowed = usize::try_from(served.credit.available()).unwrap_or(usize::MAX);
                let piece = course.pending.split_to(course.pending.len().min(allowed));
                served.credit.take(piece.len() as u64);
                outlet.post_now(Event::Data(piece, served.credit.clone()), permit);
            }
            read = self.reader.read(self.conn.reserve(READ)), if wants_bytes && !waits => {
                let count = read.map_err(io)?;
                self.received(count);
            }
            _ = served.credit.wait(), if wants_bytes && waits => {}
            () = until(course.body_until) => return Err(late("the request body took too long")),
            () = until(course.send_until) => {
                let why = "the peer takes nothing of the answer";
                return Err(Error::new(Status::TimedOut, why).phase(Phase::Transfer).detail(Detail::IdleTimeout));
            }
        }
        Ok(())
    }

    /// Puts what the host says into the outbox. Whether that was the end.
    fn put(&mut self, served: &Served, answer: Answer) -> Result<bool> {
        match answer {
            Answer::Head(message) => {
                self.put_head(&message)?;
                let bodiless = served.method == "HEAD" || matches!(message.status, 204 | 304);
                if let Some(outgoing) = served.outgoing.get().filter(|_| bodiless && message.status >= 200) {
                    outgoing.discard();
                }
                Ok(false)
            }
            Answer::Piece(piece) => {
                let (before, after) = self.conn.send_data(piece.len() as u64).map_err(host)?;
                self.outbox.extend_from_slice(before);
                self.outbox.extend_from_slice(&piece);
                self.outbox.extend_from_slice(after);
                Ok(false)
            }
            Answer::End => {
                let trailers = served.trailers();
                let lines = trailers.iter().map(|(name, value)| (&name[..], &value[..]));
                self.outbox.extend_from_slice(self.conn.send_end_of_message(lines).map_err(host)?);
                Ok(true)
            }
        }
    }

    fn put_head(&mut self, message: &Message) -> Result<()> {
        let last =
            message.status >= 200 && (!self.server.settings.limits.keep_alive || self.server.stopping.is_canceled());
        let close = last.then_some((&b"Connection"[..], &b"close"[..]));
        let dated = message.status < 200 || message.lines().any(|(name, _)| name.eq_ignore_ascii_case(b"date"));
        let now = (!dated).then(|| httpdate::fmt_http_date(std::time::SystemTime::now()));
        let date = now.as_ref().map(|now| (&b"Date"[..], now.as_bytes()));
        let lines = date.into_iter().chain(message.lines()).chain(close);
        let head = self.conn.send_response(message.status, &message.reason, lines).map_err(host)?;
        self.outbox.extend_from_slice(head);
        Ok(())
    }

    /// Answers with an error's status where nothing of an answer has begun, and closes.
    async fn refuse(&mut self, error: &Error) -> Result<()> {
        let status = match (error.http_status, error.status) {
            (0, Status::TimedOut) => 408,
            (0, Status::BodyTooLarge) => 413,
            (0, Status::HttpProtocol) => 400,
            (0, Status::Io | Status::Truncated) => return self.close().await,
            (0, _) => 500,
            (status, _) => status,
        };
        let silent = matches!(self.conn.our_state(), State::Idle | State::SendResponse);
        if let Some(mut message) = silent.then(|| Message::new(status, None, None, Some(0)).ok()).flatten() {
            message.headers.push((b"Connection".to_vec(), b"close".to_vec()));
            self.outbox.clear();
            if self.put_head(&message).is_ok() {
                let _ = self.conn.send_end_of_message(std::iter::empty());
            }
        }
        self.close().await
    }

    /// Sends what is left, says goodbye, and listens for a moment.
    async fn close(&mut self) -> Result<()> {
        let goodbye = async {
            self.writer.write_all_buf(&mut self.outbox).await?;
            self.writer.shutdown().await?;
            let (mut left, mut sink) = (LINGER.0, [0; 4096]);
            while left > 0 {
                match self.reader.read(&mut sink).await? {
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

/// Writes some, or where there is nothing flushes. Given up in between, it has done nothing.
async fn send(writer: &mut (impl AsyncWrite + Unpin), outbox: &[u8]) -> std::io::Result<usize> {
    match outbox {
        [] => writer.flush().await.map(|()| 0),
        some => writer.write(some).await,
    }
}

/// Room in the host's queue, once there is credit as well.
async fn room(credit: &Credit, outlet: &Outlet) -> Option<tokio::sync::OwnedSemaphorePermit> {
    credit.wait().await;
    outlet.room().await
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The peer broke the protocol.
fn protocol(error: ProtocolError) -> Error {
    Error::new(Status::HttpProtocol, error.message).phase(Phase::Transfer).http_status(error.hint)
}

/// The host did.
fn host(error: ProtocolError) -> Error {
    Error::new(Status::InvalidState, error.message).phase(Phase::Transfer)
}

fn late(why: &str) -> Error {
    Error::new(Status::TimedOut, why).phase(Phase::Transfer).detail(Detail::HeadTimeout)
}

fn too_large(limit: u64) -> Error {
    Error::new(Status::BodyTooLarge, format!("the request body is larger than {limit} bytes")).phase(Phase::Transfer)
}
