//! One request and its response: the body goes to the host while the response comes back. May touch the clock, and reads and writes the transport.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use super::connection_task::{IDLE, READ, ServerConnection, host, late, protocol};
use super::place_of;
use super::request::{ResponsePart, Switch};
use super::transport::ServerTransport;
use super::{ServerEvent, ServerRequest};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::h1::{EventKind, State};
use crate::io::duplex::{Moved, advance};
use crate::log;
use crate::message::body_reader::{BodyReader, BodyStep, gather, too_large};
use crate::operation::{Credit, Outlet, TransferEvent, thrown_or_never};

/// While more bytes of a response than this wait for the network, nothing is taken from the host. Nor is more than this taken at once, so that at most
/// twice as many wait.
const OUTBOX: usize = 64 << 10;
/// How often a connection that is not being read is checked for a peer that is gone.
const CHECK: Duration = Duration::from_secs(1);

/// What a connection does after a request.
pub(super) enum AfterExchange {
    /// It stays in HTTP; whether it may serve another request.
    Again(bool),
    Switched(Box<Switch>),
}

/// Ends a request that is dropped with its connection's task: the host must not start it, or go on writing to it, when nobody reads.
pub(super) struct Ending<'a>(pub Option<&'a ServerRequest>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.0 {
            request.end_with_server();
        }
    }
}

/// How far one request has come.
struct ExchangeState {
    intake: BodyReader,
    body_over: bool,
    answer_over: bool,
    /// Sent instead of a response, once the request has been received to its end.
    switch: Option<Box<Switch>>,
    /// The peer will send no more.
    ended: bool,
    body_until: Option<Instant>,
    /// Deadline for the peer to take more of the response.
    send_until: Option<Instant>,
    /// The part of the host's last piece for which the outbox had no room.
    rest: Bytes,
    /// When to check whether the peer is still there, while nothing is read that would show it.
    check_at: Option<Instant>,
    /// The response's framing allows trailers.
    trailers: bool,
}

impl ExchangeState {
    /// Whether there is room for more of the response.
    fn takes(&self, outbox: usize) -> bool {
        !self.answer_over && self.switch.is_none() && self.rest.is_empty() && outbox < OUTBOX
    }

    /// Whether a peer that waits for 100 (Continue) must be asked for the body: not if the host has responded already, unless with a switch, which is sent
    /// after the end of the request.
    fn wants_the_body(&self, request: &ServerRequest) -> bool {
        self.switch.is_some() || !request.is_answered()
    }

    /// The deadline for the peer to take more runs only while there is something to take.
    fn watch_sending(&mut self, sends: bool, limit: Option<Duration>) {
        match (sends, self.send_until) {
            (false, _) => self.send_until = None,
            (true, None) => self.send_until = limit.map(|limit| Instant::now() + limit),
            (true, Some(_)) => {}
        }
    }

    /// If nothing is sent or read, only a check shows that the peer is gone.
    fn watch_peer(&mut self, idle: bool) {
        self.check_at = match idle {
            true => self.check_at.or_else(|| Some(Instant::now() + CHECK)),
            false => None,
        };
    }

    fn is_overdue(&self) -> bool {
        self.body_until.into_iter().chain(self.send_until).any(|until| until <= Instant::now())
    }

    fn overdue(&self) -> Error {
        match self.body_until.is_some_and(|until| until <= Instant::now()) {
            true => late("the request body took too long"),
            false => {
                let why = "the peer takes nothing of the answer";
                Error::new(Status::TimedOut, why).phase(Phase::Transfer).detail(Detail::IdleTimeout)
            }
        }
    }
}

impl<S: ServerTransport> ServerConnection<'_, S> {
    /// Shows the request to the host and sees it through.
    pub(super) async fn run_exchange(&mut self, request: Arc<ServerRequest>) -> Result<AfterExchange> {
        self.server.counts.requests.fetch_add(1, Ordering::Relaxed);
        self.account.requests.fetch_add(1, Ordering::Relaxed);
        self.server.observer.clone().post(ServerEvent::Request(request.clone()), None);
        let mut ending = Ending(Some(&request));
        let outlet = self.started(&request).await.map_err(|error| error.peer(self.peer));
        let outlet = outlet.inspect_err(|error| request.end(Some(error)));
        let Some(outlet) = outlet? else {
            let error = Error::new(Status::Internal, "the host dropped the request");
            self.refuse(&error.http_status(500)).await?;
            return Ok(AfterExchange::Again(false));
        };
        let done = request.cancel.guard(pin!(self.exchange(&request, &outlet))).await;
        let error = done.as_ref().err().map(|error| error.clone().peer(self.peer));
        request.end(error.as_ref());
        ending.0 = None;
        // A body that would look complete is not followed by an orderly end.
        self.broken |= self.must_not_end;
        if let Some(error) = error.as_ref().filter(|error| error.status != Status::Canceled) {
            if error.detail != Detail::PeerGone {
                log::emit(log::WARNING, || format!("server: {}: refused: {}", place_of(self.peer), log::reason(error)));
            }
            // If no response has begun, the peer is told why there is none.
            let _ = self.refuse(error).await;
        }
        outlet.close(error);
        done
    }

    /// Waits for the host to take the request, as long as the peer is there.
    async fn started(&mut self, request: &ServerRequest) -> Result<Option<Outlet>> {
        if let Some(outlet) = request.started_now() {
            return Ok(Some(outlet));
        }
        loop {
            // The first request of a second sets the timer, and the others leave it alone.
            let (now, next) = (Instant::now(), self.check_at);
            let check_at = next.filter(|next| *next > now).unwrap_or(now + CHECK);
            self.check_at = Some(check_at);
            tokio::select! {
                biased;
                outlet = request.started() => return Ok(outlet),
                () = self.alarm.rings(Some(check_at), None) => self.wire.check().map_err(Error::from_peer)?,
            }
        }
    }

    async fn exchange(&mut self, request: &Arc<ServerRequest>, outlet: &Outlet) -> Result<AfterExchange> {
        let (body_limit, body_deadline) = request.body_limits(&self.server.settings.limits);
        // Before a byte of it is read, and before it is asked for.
        if self.conn.their_body_length().is_some_and(|length| length > body_limit) {
            return Err(too_large(body_limit));
        }
        let decoded = self.server.settings.decode.then_some(&request.head);
        let mut state = ExchangeState {
            intake: BodyReader::new(body_limit, decoded)?,
            body_over: false,
            answer_over: false,
            switch: None,
            ended: false,
            body_until: body_deadline.map(|limit| Instant::now() + limit),
            send_until: None,
            rest: Bytes::new(),
            check_at: None,
            trailers: false,
        };
        loop {
            let wants_bytes = self.take_body(request, outlet, &mut state).await?;
            self.take_parts(request, &mut state)?;
            if let Some(switch) = state.switch.take_if(|_| state.body_over && !state.answer_over) {
                self.put_switch(&switch.head)?;
                (state.answer_over, state.switch) = (true, Some(switch));
            }
            if state.answer_over && self.outbox.is_empty() && !self.unflushed {
                // If the response was complete before the request, the rest of the request is not read: the connection closes.
                self.let_end(true);
                let again = self.conn.our_state() == State::Done && self.conn.their_state() == State::Done;
                return Ok(state.switch.map_or(AfterExchange::Again(again), AfterExchange::Switched));
            }
            self.step(request, outlet, &mut state, wants_bytes).await?;
        }
    }

    /// Takes all that the host has for the outbox, so that it leaves together.
    fn take_parts(&mut self, request: &ServerRequest, state: &mut ExchangeState) -> Result<()> {
        self.put_rest(state)?;
        while state.takes(self.outbox.len()) {
            let Some(answer) = request.next_part_now() else { break };
            self.put_part(request, state, answer?)?;
        }
        Ok(())
    }

    /// Takes what `h1` has of the body. Whether it needs more from the network.
    async fn take_body(&mut self, request: &ServerRequest, outlet: &Outlet, state: &mut ExchangeState) -> Result<bool> {
        while !state.body_over {
            match state.intake.proceed()? {
                BodyStep::Bytes => return Ok(false),
                BodyStep::End(trailers) => {
                    state.body_over = true;
                    state.body_until = None;
                    if let Some(trailers) = trailers {
                        outlet.post(TransferEvent::Trailers(trailers)).await;
                    }
                    outlet.post_once(TransferEvent::End);
                    return Ok(false);
                }
                BodyStep::Nothing => {}
            }
            let gathered = gather(&mut self.conn, self.server.settings.limits.piece).map_err(protocol)?;
            match gathered.kind {
                EventKind::Data | EventKind::EndOfMessage => state.intake.take_in(gathered)?,
                EventKind::NeedData => {
                    // A peer that waits for 100 (Continue) is sent it once the host has credit for the body.
                    let wanted = request.credit.available() > 0 && state.wants_the_body(request);
                    if wanted && self.conn.they_are_waiting_for_100_continue() {
                        let head = self.conn.send_response(100, b"Continue", std::iter::empty()).map_err(protocol)?;
                        self.outbox.extend_from_slice(head);
                    }
                    return Ok(true);
                }
                _ => state.body_over = true,
            }
        }
        Ok(false)
    }

    /// Waits for the next thing to happen, and handles it.
    async fn step(
        &mut self,
        request: &Arc<ServerRequest>,
        outlet: &Outlet,
        state: &mut ExchangeState,
        wants_bytes: bool,
    ) -> Result<()> {
        // Deadlines hold also for a peer that keeps the connection busy.
        if state.is_overdue() {
            return Err(state.overdue());
        }
        let waits = self.conn.they_are_waiting_for_100_continue();
        let sends = !self.outbox.is_empty() || self.unflushed;
        state.watch_sending(sends, self.server.settings.limits.send);
        // Read on after the request has ended, so that a reset ends the work for it; but not once the response is complete, since its reader may leave then.
        let answering = !state.answer_over && !self.conn.our_body_is_sent();
        let watches = state.body_over && !state.ended && answering && self.conn.trailing_data().0.len() < READ;
        let reads = (wants_bytes && !waits) || watches;
        state.watch_peer(!reads && !sends);
        // After the request only little is expected.
        let room_for_bytes = reads.then(|| self.conn.room(if wants_bytes { READ } else { IDLE }));
        tokio::select! {
            // First the host, then the network; the clock only if nothing else moves.
            biased;
            answer = request.next_part(), if state.takes(self.outbox.len()) => self.put_part(request, state, answer?)?,
            moved = advance(&mut self.wire, &self.outbox, self.unflushed, room_for_bytes), if sends || reads => {
                match moved {
                    // A TLS stream that ends without close_notify has ended, like one that ends with it.
                    Err(error) if watches && error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        self.moved(Moved::Received(0), state)?;
                    }
                    Err(error) => return Err(self.broken_by(error)),
                    Ok(moved) => self.moved(moved, state)?,
                }
            }
            permit = room(&request.credit, outlet), if state.intake.waits() => {
                let piece = self.next_piece(request, state);
                outlet.post_now(TransferEvent::Data(piece, request.clone()), permit);
            }
            _ = request.credit.wait(), if wants_bytes && waits && state.wants_the_body(request) => {}
            () = thrown_or_never(state.switch.as_ref().map(|switch| switch.stream.given_up())) => {
                return Err(Error::new(Status::Canceled, "the stream that the connection was to become was given up"));
            }
            () = self.alarm.rings(state.body_until, state.send_until.into_iter().chain(state.check_at).min()) => {
                self.deadline_passed(state)?;
            }
        }
        Ok(())
    }

    /// A piece of the body for the host, within its credit.
    fn next_piece(&self, request: &ServerRequest, state: &mut ExchangeState) -> Bytes {
        let allowed = usize::try_from(request.credit.available()).unwrap_or(usize::MAX);
        let piece = state.intake.take(allowed.min(self.server.settings.limits.piece));
        request.credit.take(piece.len() as u64);
        piece
    }

    /// A deadline has passed, or it is time to check whether the peer is still there.
    fn deadline_passed(&mut self, state: &mut ExchangeState) -> Result<()> {
        if state.is_overdue() {
            return Err(state.overdue());
        }
        self.wire.check().map_err(Error::from_peer)?;
        state.check_at = None;
        Ok(())
    }

    /// Errors: Io, if the peer has ended its direction and that means that it is gone.
    fn moved(&mut self, moved: Moved, state: &mut ExchangeState) -> Result<()> {
        match moved {
            Moved::Sent { count, flushed } => {
                self.outbox.advance(count);
                self.unflushed = !flushed;
                state.send_until = None;
            }
            Moved::Received(count) => {
                state.ended = count == 0;
                if state.ended && state.body_over && self.server.settings.end_is_gone {
                    return Err(left_early());
                }
                // A peer that has ended its direction may be gone altogether, which a Unix socket shows at once.
                state.check_at = state.ended.then(Instant::now);
                self.received(count);
            }
        }
        Ok(())
    }

    /// Puts more of the host's last piece into the outbox, as far as there is room.
    fn put_rest(&mut self, state: &mut ExchangeState) -> Result<()> {
        if state.rest.is_empty() || self.outbox.len() >= OUTBOX {
            return Ok(());
        }
        let part = state.rest.split_to(state.rest.len().min(OUTBOX));
        let (before, after) = self.conn.send_data(part.len() as u64).map_err(host)?;
        self.outbox.extend_from_slice(before);
        self.outbox.extend_from_slice(&part);
        self.outbox.extend_from_slice(after);
        Ok(())
    }

    /// Puts a part of the response into the outbox.
    fn put_part(&mut self, request: &ServerRequest, state: &mut ExchangeState, answer: ResponsePart) -> Result<()> {
        match answer {
            // HTTP/1.0 has no informational responses (RFC 9110 section 15.2).
            ResponsePart::Head(message) if message.status < 200 && self.conn.their_http_version() < 0x0101 => {}
            ResponsePart::Head(message) => {
                self.put_head(&message)?;
                if self.conn.our_body_ends_with_connection() {
                    self.let_end(false);
                }
                let discards = message.status >= 200 && !request.has_body(&message);
                if let Some(outgoing) = request.outgoing.get().filter(|_| discards) {
                    outgoing.discard();
                }
                state.trailers = !discards && message.length.is_none() && self.conn.their_http_version() >= 0x0101;
            }
            ResponsePart::Piece(piece) => {
                state.rest = piece;
                self.put_rest(state)?;
            }
            ResponsePart::Switch(switch) => state.switch = Some(switch),
            ResponsePart::End => {
                let mut trailers = request.trailers();
                if !state.trailers {
                    trailers.clear();
                }
                let lines = trailers.iter().map(|(name, value)| (&name[..], &value[..]));
                self.outbox.extend_from_slice(self.conn.send_end_of_message(lines).map_err(host)?);
                state.answer_over = true;
            }
        }
        Ok(())
    }
}

fn left_early() -> Error {
    let why = "the peer closed its sending direction before it had the response";
    Error::new(Status::Io, why).phase(Phase::Transfer).detail(Detail::PeerGone)
}

/// Room in the host's queue, once there is credit as well.
pub(super) async fn room(credit: &Credit, outlet: &Outlet) -> Option<tokio::sync::OwnedSemaphorePermit> {
    credit.wait().await;
    outlet.room().await
}
