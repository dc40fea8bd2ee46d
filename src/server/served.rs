//! One request as the host has it: what it was asked, what it answers, piece by piece.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::Limits;
use super::event::server_closed;
use super::line::{Line, Origin};
use super::message::Message;
use crate::error::{Detail, Error, Result, Status};
use crate::h1::{Rules, validate_trailers};
use crate::io::sync::lock;
use crate::message::Head;
use crate::operation::{Cancel, Credit, Outgoing, Outlet};
use crate::stream::Handover;

/// A request, and the way back for its answer. Shared by the host and the connection.
pub struct Served {
    pub line: Line,
    /// Its status is 0.
    pub head: Arc<Head>,
    pub origin: Origin,
    pub credit: Arc<Credit>,
    /// What a stream that comes of the request starts with, and whether it is granted again.
    pub switch_credit: (u64, bool),
    pub cancel: Cancel,
    /// The server's, which ends its requests with it.
    closing: Arc<Cancel>,
    said: Mutex<Said>,
    pub outgoing: OnceLock<Arc<Outgoing>>,
}

#[derive(Default)]
struct Said {
    /// Where its events go, once the host has said so and until the connection takes it.
    outlet: Option<Outlet>,
    /// The connection's task, where it waits for the host.
    reader: Option<Waker>,
    informational: VecDeque<Message>,
    head: Option<Message>,
    /// The final head was said, or a switch.
    answered: bool,
    /// Bytes that are missing from what the final head has announced; none where it has not, or where no body is sent.
    missing: Option<u64>,
    announced: bool,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    switch: Option<Switch>,
    /// The host's own limits for this request's body.
    body_limit: Option<u64>,
    body_deadline: Option<Option<Duration>>,
    started: bool,
    /// The host let go of the request, or its connection ended.
    over: bool,
}

/// What the host says next.
pub enum Answer {
    Head(Message),
    Piece(Bytes),
    End,
    Switch(Switch),
}

/// The connection leaves HTTP with this head, and becomes a stream of the host's.
pub struct Switch {
    pub message: Message,
    pub handover: Handover,
}

impl Served {
    pub fn new(line: Line, head: Head, origin: Origin, credit: Credit, closing: Arc<Cancel>) -> Served {
        Served {
            line,
            head: Arc::new(head),
            origin,
            switch_credit: (credit.available(), credit.automatic),
            credit: Arc::new(credit),
            cancel: Cancel::default(),
            closing,
            said: Mutex::default(),
            outgoing: OnceLock::new(),
        }
    }

    /// The host takes the request: its events go to what `begin` gives, which is asked only when nothing can fail any more; the answer's body comes through
    /// `outgoing`. Errors: InvalidState, Closed.
    pub fn start(&self, begin: impl FnOnce() -> Outlet, outgoing: Outgoing) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_startable()?;
        said.started = true;
        outgoing.open();
        let _ = self.outgoing.set(Arc::new(outgoing));
        said.outlet = Some(begin().owned(self.closing.clone(), self.origin.peer, server_closed));
        wake(said);
        Ok(())
    }

    /// Another limit for the body, and another time for all of it, than the server's. Errors: InvalidState (started already), Closed.
    pub fn set_body_limit(&self, bytes: u64) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_startable()?;
        said.body_limit = Some(bytes);
        Ok(())
    }

    pub fn set_body_deadline(&self, deadline: Option<Duration>) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_startable()?;
        said.body_deadline = Some(deadline);
        Ok(())
    }

    /// What holds for the body, `limits` being the server's.
    pub(super) fn body_limits(&self, limits: &Limits) -> (u64, Option<Duration>) {
        let said = lock(&self.said);
        (said.body_limit.unwrap_or(limits.body), said.body_deadline.unwrap_or(limits.receive_body))
    }

    /// The host has no handle any more: what it has not finished it will not.
    pub fn give_up(&self) {
        self.let_go();
        if self.outgoing.get().is_some_and(|outgoing| !outgoing.is_finished()) {
            self.cancel.cancel();
        }
    }

    /// The host lets go of a request that it never took.
    pub fn let_go(&self) {
        let mut said = lock(&self.said);
        if !said.started {
            said.over = true;
            wake(said);
        }
    }

    /// Waits until the host has taken the request; `None` where it let go of it.
    pub(super) async fn taken(&self) -> Option<Outlet> {
        poll_fn(|cx| {
            let mut said = lock(&self.said);
            match said.outlet.take() {
                None if !said.over => {
                    said.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                outlet => Poll::Ready(outlet),
            }
        })
        .await
    }

    /// An informational head, or the final one. Errors: InvalidState (a final one was there already), Closed.
    pub fn say(&self, message: Message) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_open()?;
        match message.status {
            ..200 => said.informational.push_back(message),
            _ => self.answer_with(&mut said, message),
        }
        wake(said);
        Ok(())
    }

    fn answer_with(&self, said: &mut Said, message: Message) {
        said.missing = message.length.filter(|_| self.has_body(&message));
        said.announced = said.missing.is_some();
        (said.answered, said.head) = (true, Some(message));
    }

    /// Whether what is written after this final head is sent (RFC 9112 section 6.3).
    pub(super) fn has_body(&self, message: &Message) -> bool {
        self.line.method() != b"HEAD" && !matches!(message.status, 204 | 304)
    }

    /// Head, body and end of an answer, which the connection sees at once. Errors: as `say`; HttpHeaderInvalid where the head announces another length.
    pub fn respond(&self, message: Message, body: Bytes) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_open()?;
        let outgoing =
            self.outgoing.get().ok_or_else(|| Error::new(Status::InvalidState, "the request was not started"))?;
        let announced = message.length.filter(|_| self.has_body(&message));
        if let Some(length) = announced.filter(|length| *length != body.len() as u64) {
            let why = format!("Content-Length says {length} bytes, the body has {}", body.len());
            return Err(Error::new(Status::HttpHeaderInvalid, why));
        }
        if !body.is_empty() {
            outgoing.write(body)?;
        }
        outgoing.finish()?;
        self.answer_with(&mut said, message);
        said.missing = None;
        wake(said);
        Ok(())
    }

    /// More of the answer's body. Errors: Again, InvalidState (no head yet; finished; more than was announced), Closed, or why the request ended.
    pub fn write(&self, data: Bytes) -> Result<()> {
        let mut said = lock(&self.said);
        let outgoing = self.answering(&said)?;
        let missing = said.less(data.len())?;
        outgoing.write(data)?;
        said.missing = missing;
        Ok(())
    }

    /// As `write`, waiting for room.
    pub(super) async fn write_all(&self, data: Bytes) -> Result<()> {
        let outgoing = {
            let mut said = lock(&self.said);
            said.missing = said.less(data.len())?;
            self.answering(&said)?.clone()
        };
        outgoing.write_all(data).await
    }

    /// The end of the answer. Errors: as `write`; HttpHeaderInvalid (trailers), which ends nothing; InvalidState also where bytes are missing, which ends the
    /// connection, since the peer waits for them.
    pub fn finish(&self, trailers: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        let mut said = lock(&self.said);
        let outgoing = self.answering(&said)?;
        let lines = trailers.iter().map(|(name, value)| (&name[..], &value[..]));
        let checked = validate_trailers(lines, &Rules::default());
        checked.map_err(|error| Error::new(Status::HttpHeaderInvalid, error.message))?;
        if said.announced && !trailers.is_empty() {
            return Err(Error::new(Status::HttpHeaderInvalid, "trailers after a body of announced length"));
        }
        said.trailers = trailers;
        outgoing.finish()?;
        match said.missing {
            None | Some(0) => Ok(()),
            Some(missing) => {
                let why = format!("the body ends {missing} bytes before the length that its head announced");
                Err(Error::new(Status::InvalidState, why))
            }
        }
    }

    /// Whether the peer has asked to leave HTTP with this status. Errors: as `say`; InvalidState also where it has not.
    pub fn check_switch(&self, status: u16) -> Result<()> {
        let asked = if status == 101 { self.head.find("upgrade").is_some() } else { self.line.method() == b"CONNECT" };
        if !asked {
            return Err(Error::new(Status::InvalidState, "the peer has not asked for that"));
        }
        lock(&self.said).check_open()
    }

    /// Instead of an answer. Errors: as `check_switch`.
    pub fn switch(&self, switch: Switch) -> Result<()> {
        self.check_switch(switch.message.status)?;
        let mut said = lock(&self.said);
        said.check_open()?;
        switch.handover.owned(&self.closing, self.origin.peer, server_closed);
        said.answered = true;
        said.switch = Some(switch);
        wake(said);
        Ok(())
    }

    /// Whether the final head was said.
    pub(super) fn is_answered(&self) -> bool {
        lock(&self.said).answered
    }

    fn answering(&self, said: &Said) -> Result<&Arc<Outgoing>> {
        if !said.answered {
            said.check()?;
            return Err(Error::new(Status::InvalidState, "no response head was sent"));
        }
        self.outgoing.get().ok_or_else(|| Error::new(Status::InvalidState, "the request was not started"))
    }

    /// What the host says next; waits for it.
    pub(super) async fn answer(&self) -> Result<Answer> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// What the host has said already, if anything.
    pub(super) fn answer_now(&self) -> Option<Result<Answer>> {
        // Nobody is woken by this one: `answer` comes before anything waits.
        match self.poll_answer(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let mut said = lock(&self.said);
        if let Some(head) = said.informational.pop_front().or_else(|| said.head.take()) {
            return Poll::Ready(Ok(Answer::Head(head)));
        }
        if let Some(switch) = said.switch.take() {
            return Poll::Ready(Ok(Answer::Switch(switch)));
        }
        let Some(outgoing) = self.outgoing.get().filter(|_| said.answered) else {
            said.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(said);
        outgoing.poll_next(cx).map(|piece| match piece {
            Some(piece) => Ok(Answer::Piece(piece)),
            None => outgoing.given_up().map_or(Ok(Answer::End), Err),
        })
    }

    pub(super) fn trailers(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut lock(&self.said).trailers)
    }

    /// The connection's task was thrown away: the server was closed, or its runtime shut down.
    pub(super) fn end_with_server(&self) {
        let error = match self.closing.is_canceled() {
            true => Error::new(Status::Canceled, "the server was closed").detail(Detail::ServerClosed),
            false => Error::new(Status::Canceled, "the runtime was shut down"),
        };
        self.end(Some(&error.peer(self.origin.peer)));
    }

    /// The connection is done with the request, well or not.
    pub(super) fn end(&self, error: Option<&Error>) {
        let mut said = lock(&self.said);
        said.over = true;
        // Started, and nobody was there any more to take it.
        let (switch, outlet) = (said.switch.take(), said.outlet.take());
        drop(said);
        drop(switch);
        if let Some(outgoing) = self.outgoing.get() {
            match error {
                Some(error) => outgoing.end(error.clone()),
                None => outgoing.be_over(),
            }
        }
        if let Some(outlet) = outlet {
            outlet.close(error.cloned());
        }
    }
}

/// Lets the connection look at what the host has said.
fn wake(mut said: MutexGuard<'_, Said>) {
    let reader = said.reader.take();
    drop(said);
    if let Some(reader) = reader {
        reader.wake();
    }
}

impl Said {
    /// What is missing after so many bytes more. Errors: InvalidState.
    fn less(&self, count: usize) -> Result<Option<u64>> {
        let Some(missing) = self.missing else { return Ok(None) };
        let left = missing.checked_sub(count as u64).ok_or_else(|| {
            let why = format!("{count} bytes are more than the {missing} that are missing from the announced length");
            Error::new(Status::InvalidState, why)
        })?;
        Ok(Some(left))
    }

    fn check_startable(&self) -> Result<()> {
        match (self.started, self.over) {
            (true, _) => Err(Error::new(Status::InvalidState, "the request was started already")),
            (_, true) => Err(Error::new(Status::Closed, "the request is over")),
            _ => Ok(()),
        }
    }

    /// Whether the final head can still be said.
    fn check_open(&self) -> Result<()> {
        self.check()?;
        match self.answered {
            true => Err(Error::new(Status::InvalidState, "the response head was sent already")),
            false => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        match (self.over, self.started) {
            (true, _) => Err(Error::new(Status::Closed, "the request is over")),
            (false, false) => Err(Error::new(Status::InvalidState, "the request was not started")),
            (false, true) => Ok(()),
        }
    }
}
