//! One request as the host has it: what was asked, and the response, part by part. No I/O.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::ServerLimits;
use super::event::server_closed;
use super::request_line::{RequestContext, RequestLine};
use super::response_head::ResponseHead;
use super::response_state::ResponseState;
use crate::error::{Detail, Error, Result, Status};
use crate::h1::{Rules, validate_trailers};
use crate::io::deadline::ChosenDuration;
use crate::io::sync::lock;
use crate::message::ReceivedHead;
use crate::operation::{Cancel, Credit, Credited, Outlet, Running, SendQueue};
use crate::stream::PendingStream;

/// A request, and the way back for its response. Shared by the host and the connection.
pub struct ServerRequest {
    pub line: RequestLine,
    /// Its status is 0.
    pub head: ReceivedHead,
    pub origin: RequestContext,
    pub credit: Credit,
    /// Credit with which a stream that the request becomes starts, and whether it is automatic.
    pub switch_credit: (u64, bool),
    pub cancel: Cancel,
    /// The server's own: its requests end with it.
    closing: Arc<Cancel>,
    state: Mutex<ResponseState>,
    pub outgoing: OnceLock<SendQueue>,
}

/// A part of the response, in the order in which the host sends them.
pub enum ResponsePart {
    Head(ResponseHead),
    Piece(Bytes),
    End,
    Switch(Box<Switch>),
}

/// The connection leaves HTTP with this head, and becomes a stream of the host.
pub struct Switch {
    pub head: ResponseHead,
    pub stream: PendingStream,
}

impl Running for ServerRequest {
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Credited for ServerRequest {
    fn credit(&self) -> &Credit {
        &self.credit
    }
}

impl ServerRequest {
    pub fn new(
        line: RequestLine,
        head: ReceivedHead,
        origin: RequestContext,
        credit: Credit,
        closing: Arc<Cancel>,
    ) -> ServerRequest {
        ServerRequest {
            line,
            head,
            origin,
            switch_credit: (credit.available(), credit.automatic),
            credit,
            cancel: Cancel::default(),
            closing,
            state: Mutex::default(),
            outgoing: OnceLock::new(),
        }
    }

    /// The host starts the request. Events go to the outlet that `begin` gives, which is called only when nothing can fail any more; the response's body comes
    /// through `outgoing`. Errors: InvalidState, Closed.
    pub fn start(&self, begin: impl FnOnce() -> Outlet, outgoing: SendQueue) -> Result<()> {
        let mut state = lock(&self.state);
        state.check_startable()?;
        state.started = true;
        outgoing.open();
        let _ = self.outgoing.set(outgoing);
        state.outlet = Some(begin().owned(self.closing.clone(), self.origin.peer, server_closed));
        wake(state);
        Ok(())
    }

    /// A limit for the body in place of the server's. Errors: InvalidState (started already), Closed.
    pub fn set_body_limit(&self, bytes: u64) -> Result<()> {
        let mut state = lock(&self.state);
        state.check_startable()?;
        state.body_limit = Some(bytes);
        Ok(())
    }

    /// As `set_body_limit`; the default is the server's deadline.
    pub fn set_body_deadline(&self, chosen: ChosenDuration) -> Result<()> {
        let mut state = lock(&self.state);
        state.check_startable()?;
        state.body_deadline = chosen;
        Ok(())
    }

    /// Limit and deadline of the body; `limits` are the server's.
    pub(super) fn body_limits(&self, limits: &ServerLimits) -> (u64, Option<Duration>) {
        let state = lock(&self.state);
        (state.body_limit.unwrap_or(limits.body), state.body_deadline.or(limits.receive_body))
    }

    /// The host has freed its last handle: a response that is not finished never will be.
    pub fn abandon(&self) {
        self.drop_unstarted();
        if self.outgoing.get().is_some_and(|outgoing| !outgoing.is_finished()) {
            self.cancel.cancel();
        }
    }

    /// The host drops a request that it has not started.
    pub fn drop_unstarted(&self) {
        let mut state = lock(&self.state);
        if !state.started {
            state.over = true;
            wake(state);
        }
    }

    /// What `started` gives, if the host has started the request already.
    pub(super) fn started_now(&self) -> Option<Outlet> {
        lock(&self.state).outlet.take()
    }

    /// Waits until the host has started the request; `None` if it dropped it.
    pub(super) async fn started(&self) -> Option<Outlet> {
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            match state.outlet.take() {
                None if !state.over => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                outlet => Poll::Ready(outlet),
            }
        })
        .await
    }

    /// An informational head, or the final one. Errors: InvalidState (the final one was sent already), Closed.
    pub fn send_head(&self, message: ResponseHead) -> Result<()> {
        let mut state = lock(&self.state);
        state.check_open()?;
        match message.status {
            ..200 => state.informational.push_back(message),
            _ => self.answer_with(&mut state, message),
        }
        wake(state);
        Ok(())
    }

    fn answer_with(&self, state: &mut ResponseState, message: ResponseHead) {
        state.missing = message.length.filter(|_| self.has_body(&message));
        state.announced = state.missing.is_some();
        (state.answered, state.head) = (true, Some(message));
    }

    /// Whether a body is sent after this final head (RFC 9112 section 6.3).
    pub(super) fn has_body(&self, message: &ResponseHead) -> bool {
        self.line.method() != b"HEAD" && !matches!(message.status, 204 | 304)
    }

    /// Head, body and end of the response, which the connection sees at once. Errors: as `send_head`; InvalidArgument (not a final head); HttpHeaderInvalid
    /// if the head announces another length.
    pub fn respond(&self, message: ResponseHead, body: Bytes) -> Result<()> {
        message.check_final()?;
        let mut state = lock(&self.state);
        state.check_open()?;
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
        self.answer_with(&mut state, message);
        state.missing = None;
        wake(state);
        Ok(())
    }

    /// More of the response's body. Errors: Again, InvalidState (no head yet; finished; more than was announced), Closed, or why the request ended.
    pub fn write(&self, data: Bytes) -> Result<()> {
        let mut state = lock(&self.state);
        let outgoing = self.answer_outgoing(&state)?;
        let missing = state.missing_after(data.len())?;
        outgoing.write(data)?;
        state.missing = missing;
        Ok(())
    }

    /// As `write`, waiting for room.
    pub(super) async fn write_all(&self, data: Bytes) -> Result<()> {
        let outgoing = {
            let mut state = lock(&self.state);
            state.missing = state.missing_after(data.len())?;
            self.answer_outgoing(&state)?
        };
        outgoing.write_all(data).await
    }

    /// The end of the response. Errors: as `write`; HttpHeaderInvalid (trailers), which ends nothing; InvalidState also if bytes are missing, which ends the
    /// connection, since the peer waits for them.
    pub fn finish(&self, trailers: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        let mut state = lock(&self.state);
        let outgoing = self.answer_outgoing(&state)?;
        let lines = trailers.iter().map(|(name, value)| (&name[..], &value[..]));
        let checked = validate_trailers(lines, &Rules::default());
        checked.map_err(|error| Error::new(Status::HttpHeaderInvalid, error.message))?;
        if state.announced && !trailers.is_empty() {
            return Err(Error::new(Status::HttpHeaderInvalid, "trailers after a body of announced length"));
        }
        // Only those of the call that ends the response. The connection takes them under the lock that is held here, so not before they are set.
        outgoing.finish()?;
        state.trailers = trailers;
        match state.missing {
            None | Some(0) => Ok(()),
            Some(missing) => {
                let why = format!("the body ends {missing} bytes before the length that its head announced");
                Err(Error::new(Status::InvalidState, why))
            }
        }
    }

    /// Checks that the peer has asked to leave HTTP with this status. Errors: as `send_head`; InvalidState also if it has not.
    pub fn check_switch(&self, status: u16) -> Result<()> {
        let asked = if status == 101 { self.head.find("upgrade").is_some() } else { self.line.method() == b"CONNECT" };
        if !asked {
            return Err(Error::new(Status::InvalidState, "the peer has not asked for that"));
        }
        lock(&self.state).check_open()
    }

    /// Leaves HTTP, instead of a response. Errors: as `check_switch`.
    pub fn switch(&self, switch: Switch) -> Result<()> {
        self.check_switch(switch.head.status)?;
        let mut state = lock(&self.state);
        state.check_open()?;
        switch.stream.owned(&self.closing, self.origin.peer, server_closed);
        state.answered = true;
        state.switch = Some(Box::new(switch));
        wake(state);
        Ok(())
    }

    /// Whether the final head was sent.
    pub(super) fn is_answered(&self) -> bool {
        lock(&self.state).answered
    }

    fn answer_outgoing(&self, state: &ResponseState) -> Result<&SendQueue> {
        if !state.answered {
            state.check()?;
            return Err(Error::new(Status::InvalidState, "no response head was sent"));
        }
        self.outgoing.get().ok_or_else(|| Error::new(Status::InvalidState, "the request was not started"))
    }

    /// Waits for the next part of the response.
    pub(super) async fn next_part(&self) -> Result<ResponsePart> {
        poll_fn(|cx| self.poll_part(cx)).await
    }

    /// The next part if it is there already.
    pub(super) fn next_part_now(&self) -> Option<Result<ResponsePart>> {
        // No waker: `next_part` is polled before anything waits.
        match self.poll_part(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    fn poll_part(&self, cx: &mut Context<'_>) -> Poll<Result<ResponsePart>> {
        let mut state = lock(&self.state);
        if let Some(head) = state.informational.pop_front().or_else(|| state.head.take()) {
            return Poll::Ready(Ok(ResponsePart::Head(head)));
        }
        if let Some(switch) = state.switch.take() {
            return Poll::Ready(Ok(ResponsePart::Switch(switch)));
        }
        let Some(outgoing) = self.outgoing.get().filter(|_| state.answered) else {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        outgoing.poll_next(cx).map(|piece| match piece {
            Some(piece) => Ok(ResponsePart::Piece(piece)),
            None => outgoing.given_up().map_or(Ok(ResponsePart::End), Err),
        })
    }

    pub(super) fn trailers(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut lock(&self.state).trailers)
    }

    /// The connection's task was dropped: the server was closed, or its runtime shut down.
    pub(super) fn end_with_server(&self) {
        let error = match self.closing.is_canceled() {
            true => Error::new(Status::Canceled, "the server was closed").detail(Detail::ServerClosed),
            false => Error::new(Status::Canceled, "the runtime was shut down"),
        };
        self.end(Some(&error.peer(self.origin.peer)));
    }

    /// The connection is done with the request, well or not.
    pub(super) fn end(&self, error: Option<&Error>) {
        let mut state = lock(&self.state);
        state.over = true;
        // Started, but the connection has not taken it and will not.
        let (switch, outlet) = (state.switch.take(), state.outlet.take());
        drop(state);
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

/// Wakes the connection, which looks at what the host has sent.
fn wake(mut state: MutexGuard<'_, ResponseState>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}
