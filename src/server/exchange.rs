//! One request of a connection: its body goes to the host while the answer comes back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use super::connection::{IDLE, READ, Serving, host, late, protocol};
use super::place_of;
use super::served::{Answer, Switch};
use super::wire::Wire;
use super::{Served, ServerEvent};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::h1::{EventKind, State};
use crate::io::duplex::{Moved, advance};
use crate::log;
use crate::message::intake::{Intake, Next, gather, too_large};
use crate::operation::{Credit, Outlet, TransferEvent};

/// Bytes of an answer that wait for the network; with more, nothing is taken from the host. Nor is more than this taken of it at once, so that there are never
/// more than twice as many.
const OUTBOX: usize = 64 << 10;
/// How often a connection that is not read is asked whether it is still there.
const CHECK: Duration = Duration::from_secs(1);

/// What a connection does after a request.
pub(super) enum Done {
    /// It may serve another, or not.
    Again(bool),
    Switched(Switch),
}

/// Ends a request that is thrown away with its connection's task: the host must not start, or go on writing to, what nobody reads.
struct Ending<'a>(Option<&'a Served>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(served) = self.0 {
            served.end_with_server();
        }
    }
}

/// How far one request has come.
struct Course {
    intake: Intake,
    body_over: bool,
    answer_over: bool,
    /// What the answer is instead of one; waits for the end of the request.
    switch: Option<Switch>,
    /// The peer sends no more.
    ended: bool,
    body_until: Option<Instant>,
    /// Until when the peer must have taken something of the answer.
    send_until: Option<Instant>,
    /// Of the host's last piece, what the outbox had no room for.
    rest: Bytes,
    /// When to ask whether the peer is there, where nothing is read that would say so.
    check_at: Option<Instant>,
    /// The answer's framing has a place for them.
    trailers: bool,
}

impl Course {
    /// Whether there is room for more of the host's answer.
    fn takes(&self, outbox: usize) -> bool {
        !self.answer_over && self.switch.is_none() && self.rest.is_empty() && outbox < OUTBOX
    }

    /// Whether the body must come, from a peer that waits to be asked for it: not if the host has answered before, except with a switch, which comes behind
    /// the end of the request.
    fn wants_the_body(&self, served: &Served) -> bool {
        self.switch.is_some() || !served.is_answered()
    }

    /// The peer's time to take something of the answer runs as long as there is something to take.
    fn mind_sending(&mut self, sends: bool, limit: Option<Duration>) {
        match (sends, self.send_until) {
            (false, _) => self.send_until = None,
            (true, None) => self.send_until = limit.map(|limit| Instant::now() + limit),
            (true, Some(_)) => {}
        }
    }

    /// If nothing is sent or read, only a check shows that the peer is gone.
    fn mind_the_peer(&mut self, idle: bool) {
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

impl<S: Wire> Serving<'_, S> {
    /// Shows the request to the host and sees it through.
    pub(super) async fn serve_one(&mut self, served: Arc<Served>) -> Result<Done> {
        self.server.counts.requests.fetch_add(1, Ordering::Relaxed);
        self.account.requests.fetch_add(1, Ordering::Relaxed);
        self.server.observer.post(ServerEvent::Request(served.clone()), None);
        let mut ending = Ending(Some(&served));
        let taken = self.taken(&served).await.map_err(|error| error.peer(self.peer));
        let taken = taken.inspect_err(|error| served.end(Some(error)));
        let Some(outlet) = taken? else {
            let error = Error::new(Status::Internal, "the host let go of the request");
            self.refuse(&error.http_status(500)).await?;
            return Ok(Done::Again(false));
        };
        let done = served.cancel.guard(pin!(self.exchange(&served, &outlet))).await;
        let error = done.as_ref().err().map(|error| error.clone().peer(self.peer));
        served.end(error.as_ref());
        ending.0 = None;
        if let Some(error) = error.as_ref().filter(|error| error.status != Status::Canceled) {
            if error.detail != Detail::PeerGone {
                log::emit(log::WARNING, || format!("server: {}: refused: {}", place_of(self.peer), log::reason(error)));
            }
            // Where no answer has begun the peer is told why there is none.
            let _ = self.refuse(error).await;
        }
        outlet.close(error);
        done
    }

    /// Waits for the host to take the request, as long as the peer is there.
    async fn taken(&mut self, served: &Served) -> Result<Option<Outlet>> {
        loop {
            // Of all the requests of a second the first one sets the clock, and no other moves it.
            let (now, next) = (Instant::now(), self.check_at);
            let check_at = next.filter(|next| *next > now).unwrap_or(now + CHECK);
            self.check_at = Some(check_at);
            tokio::select! {
                biased;
                outlet = served.taken() => return Ok(outlet),
                () = self.alarm.rings(Some(check_at), None) => self.wire.check().map_err(Error::from_peer)?,
            }
        }
    }

    async fn exchange(&mut self, served: &Served, outlet: &Outlet) -> Result<Done> {
        let (body_limit, body_deadline) = served.body_limits(&self.server.settings.limits);
        // Before a byte of it is read, and before it is asked for.
        if self.conn.their_body_length().is_some_and(|length| length > body_limit) {
            return Err(too_large(body_limit));
        }
        let decoded = self.server.settings.decode.then_some(&*served.head);
        let mut course = Course {
            intake: Intake::new(body_limit, decoded)?,
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
            let wants_bytes = self.take_body(served, outlet, &mut course).await?;
            if let Some(switch) = course.switch.take_if(|_| course.body_over && !course.answer_over) {
                self.put_switch(&switch.message)?;
                (course.answer_over, course.switch) = (true, Some(switch));
            }
            if course.answer_over && self.outbox.is_empty() && !self.unflushed {
                // What is left of a request that was answered before its end is nobody's: the connection closes.
                let again = self.conn.our_state() == State::Done && self.conn.their_state() == State::Done;
                return Ok(course.switch.map_or(Done::Again(again), Done::Switched));
            }
            self.step(served, outlet, &mut course, wants_bytes).await?;
        }
    }

    /// Takes from the machine what it has of the body. Whether it needs more from the network.
    async fn take_body(&mut self, served: &Served, outlet: &Outlet, course: &mut Course) -> Result<bool> {
        while !course.body_over {
            match course.intake.proceed()? {
                Next::Bytes => return Ok(false),
                Next::End(trailers) => {
                    course.body_over = true;
                    course.body_until = None;
                    if let Some(trailers) = trailers {
                        outlet.post(TransferEvent::Trailers(trailers)).await;
                    }
                    outlet.post(TransferEvent::End).await;
                    return Ok(false);
                }
                Next::Nothing => {}
            }
            let gathered = gather(&mut self.conn, self.server.settings.limits.piece).map_err(protocol)?;
            match gathered.kind {
                EventKind::Data | EventKind::EndOfMessage => course.intake.take_in(gathered)?,
                EventKind::NeedData => {
                    // The peer may wait to be asked for its body, and is, once the host has a use for it.
                    let wanted = served.credit.available() > 0 && course.wants_the_body(served);
                    if wanted && self.conn.they_are_waiting_for_100_continue() {
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
        // A peer that is never quiet has the same time for its body, and to take our answer.
        if course.is_overdue() {
            return Err(course.overdue());
        }
        self.put_rest(course)?;
        let waits = self.conn.they_are_waiting_for_100_continue();
        let sends = !self.outbox.is_empty() || self.unflushed;
        course.mind_sending(sends, self.server.settings.limits.send);
        // Beyond the request as well: a connection that is reset ends what is done for it. Not beyond an answer that is all there: its reader may leave.
        let answering = !course.answer_over && !self.conn.our_body_is_sent();
        let watches = course.body_over && !course.ended && answering && self.conn.trailing_data().0.len() < READ;
        let reads = (wants_bytes && !waits) || watches;
        course.mind_the_peer(!reads && !sends);
        // A peer that is only watched is not expected to send much.
        let room_for_bytes = reads.then(|| self.conn.reserve(if wants_bytes { READ } else { IDLE }));
        tokio::select! {
            // What the host has said goes out together, as far as there is room; then the network; a clock only where nothing moves.
            biased;
            answer = served.answer(), if course.takes(self.outbox.len()) => {
                self.put(served, course, answer?)?;
                while course.takes(self.outbox.len()) {
                    let Some(answer) = served.answer_now() else { break };
                    self.put(served, course, answer?)?;
                }
            }
            moved = advance(&mut self.wire, &self.outbox, self.unflushed, room_for_bytes), if sends || reads => {
                match moved {
                    // A peer that ended TLS without close_notify has ended its direction, like one that sent it.
                    Err(error) if watches && error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        self.moved(Moved::Received(0), course);
                    }
                    Err(error) => return Err(self.breaks(error)),
                    Ok(moved) => self.moved(moved, course),
                }
            }
            permit = room(&served.credit, outlet), if course.intake.waits() => {
                let piece = self.next_piece(served, course);
                outlet.post_now(TransferEvent::Data(piece, served.credit.clone()), permit);
            }
            _ = served.credit.wait(), if wants_bytes && waits && course.wants_the_body(served) => {}
            () = given_up(course.switch.as_ref()) => {
                return Err(Error::new(Status::Canceled, "the stream that the connection was to become was given up"));
            }
            () = self.alarm.rings(course.body_until, course.send_until.into_iter().chain(course.check_at).min()) => {
                self.rung(course)?;
            }
        }
        Ok(())
    }

    /// A piece of the body for the host, within its credit.
    fn next_piece(&self, served: &Served, course: &mut Course) -> Bytes {
        let allowed = usize::try_from(served.credit.available()).unwrap_or(usize::MAX);
        let piece = course.intake.take(allowed.min(self.server.settings.limits.piece));
        served.credit.take(piece.len() as u64);
        piece
    }

    /// A deadline has passed, or it is time to check whether the peer is still there.
    fn rung(&mut self, course: &mut Course) -> Result<()> {
        if course.is_overdue() {
            return Err(course.overdue());
        }
        self.wire.check().map_err(Error::from_peer)?;
        course.check_at = None;
        Ok(())
    }

    fn moved(&mut self, moved: Moved, course: &mut Course) {
        match moved {
            Moved::Sent { count, flushed } => {
                self.outbox.advance(count);
                self.unflushed = !flushed;
                course.send_until = None;
            }
            Moved::Received(count) => {
                course.ended = count == 0;
                // One that has ended its direction may have left altogether: a Unix socket says so at once.
                course.check_at = course.ended.then(Instant::now);
                self.received(count);
            }
        }
    }

    /// Puts some of the host's last piece into the outbox, if there is any left and there is room.
    fn put_rest(&mut self, course: &mut Course) -> Result<()> {
        if course.rest.is_empty() || self.outbox.len() >= OUTBOX {
            return Ok(());
        }
        let part = course.rest.split_to(course.rest.len().min(OUTBOX));
        let (before, after) = self.conn.send_data(part.len() as u64).map_err(host)?;
        self.outbox.extend_from_slice(before);
        self.outbox.extend_from_slice(&part);
        self.outbox.extend_from_slice(after);
        Ok(())
    }

    /// Puts what the host says into the outbox.
    fn put(&mut self, served: &Served, course: &mut Course, answer: Answer) -> Result<()> {
        match answer {
            // HTTP/1.0 knows no informational heads (RFC 9110 section 15.2).
            Answer::Head(message) if message.status < 200 && self.conn.their_http_version() < 0x0101 => {}
            Answer::Head(message) => {
                self.put_head(&message)?;
                let discards = message.status >= 200 && !served.has_body(&message);
                if let Some(outgoing) = served.outgoing.get().filter(|_| discards) {
                    outgoing.discard();
                }
                course.trailers = !discards && message.length.is_none() && self.conn.their_http_version() >= 0x0101;
            }
            Answer::Piece(piece) => {
                course.rest = piece;
                self.put_rest(course)?;
            }
            Answer::Switch(switch) => course.switch = Some(switch),
            Answer::End => {
                let mut trailers = served.trailers();
                if !course.trailers {
                    trailers.clear();
                }
                let lines = trailers.iter().map(|(name, value)| (&name[..], &value[..]));
                self.outbox.extend_from_slice(self.conn.send_end_of_message(lines).map_err(host)?);
                course.answer_over = true;
            }
        }
        Ok(())
    }
}

/// Done once the host has given up the stream that the connection is to become.
async fn given_up(switch: Option<&Switch>) {
    match switch {
        Some(switch) => switch.handover.given_up().thrown().await,
        None => std::future::pending().await,
    }
}

/// Room in the host's queue, once there is credit as well.
async fn room(credit: &Credit, outlet: &Outlet) -> Option<tokio::sync::OwnedSemaphorePermit> {
    credit.wait().await;
    outlet.room().await
}
