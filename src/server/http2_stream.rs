//! One request over HTTP/2 and its response: a stream of a connection. May touch the clock, and the stream that it is given.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::attestation::{Attestation, EvidenceRequest, JsonResponse};
use super::exchange::{Ending, room};
use super::http2::Http2Connection;
use super::http2_body::Http2Body;
use super::http2_head::{ReceivedRequest, received_request};
use super::http2_response::Http2Response;
use super::response_head::ResponseHead;
use super::{ServerEvent, ServerRequest, place_of};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::io::alarm::Alarm;
use crate::io::deadline::{Wait, within};
use crate::log;
use crate::message::body_reader::{BodyReader, BodyStep, too_large};
use crate::operation::{Outlet, TransferEvent};
use crate::tls::HttpVersion;

/// A stream whose request has come.
pub(super) struct Http2Stream<'a> {
    connection: &'a Http2Connection<'a>,
    response: Http2Response<'a>,
    /// The peer waits for 100 (Continue).
    waits: bool,
    body_over: bool,
    body_until: Option<Instant>,
    /// Deadline for the peer to take more of the response.
    send_until: Option<Instant>,
    alarm: Alarm,
}

/// Serves one stream. `room` is that for its event.
pub(super) async fn serve_stream(
    connection: &Http2Connection<'_>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    room: OwnedSemaphorePermit,
) {
    let (parts, body) = request.into_parts();
    let mut stream = Http2Stream {
        connection,
        response: Http2Response::new(connection, respond),
        waits: false,
        body_over: false,
        body_until: None,
        send_until: None,
        alarm: Alarm::default(),
    };
    let server = connection.server;
    let received = match received_request(&parts, &connection.rules) {
        Ok(received) => received,
        Err(error) => {
            connection.was_reset();
            return connection.alive(stream.refuse_and_report(&error)).await.unwrap_or_default();
        }
    };
    if let Some(asked) = server.evidence_request(received.line.method(), received.line.target()) {
        return connection.alive(stream.attest(asked, &received, body)).await.unwrap_or_default();
    }
    let checked = async {
        match server.check_client(Some(&connection.session)).await {
            Ok(()) => Ok(true),
            Err(refusal) => {
                connection.leaving.cancel();
                stream.refuse_and_report(&refusal).await.map(|()| false)
            }
        }
    };
    if let Ok(true) = connection.alive(Box::pin(checked)).await {
        stream.run_exchange(received, body, room).await;
    }
}

/// Reads and answers a request for evidence when it is its turn, so that a connection holds the body of one of them at most. Nothing once the client has failed
/// too often: then the connection ends, whatever becomes of the stream.
async fn answer_in_turn(
    connection: &Http2Connection<'_>,
    asked: EvidenceRequest,
    body: RecvStream,
) -> Result<Option<JsonResponse>> {
    let (server, session) = (connection.server, &connection.session);
    let attestation = Attestation { server, session, keys: &connection.keys, peer: connection.peer };
    let _turn = connection.evidence.lock().await;
    if attestation.gives_up() {
        connection.leaving.cancel();
        return Ok(None);
    }
    let reading = Http2Body::whole(body, server.evidence_request_limit(asked));
    let body = within(server.settings.limits.receive_head, Wait::Evidence, reading).await?;
    let was_trusted = session.client_trust().is_some();
    let answer = attestation.answer(asked, &body).await;
    if was_trusted && session.client_trust().is_none() {
        connection.distrusted.cancel();
    }
    if attestation.gives_up() {
        connection.leaving.cancel();
    }
    Ok(Some(answer))
}

impl Http2Stream<'_> {
    async fn refuse_and_report(&mut self, error: &Error) -> Result<()> {
        self.connection.server.report_refusal(&error.clone().peer(self.connection.peer)).await;
        self.response.refuse(error);
        Ok(())
    }

    /// Answers a request for evidence, which the host does not see.
    async fn attest(&mut self, asked: EvidenceRequest, received: &ReceivedRequest, body: RecvStream) -> Result<()> {
        let limit = self.connection.server.evidence_request_limit(asked) as u64;
        if received.length.is_some_and(|length| length > limit) {
            self.response.refuse(&too_large(limit));
            return Ok(());
        }
        if received.expects_continue && !body.is_end_stream() {
            self.response.put_head(&ResponseHead::new(100, None, None, None)?, false)?;
        }
        let answered = Box::pin(answer_in_turn(self.connection, asked, body));
        let answered = tokio::select! {
            biased;
            error = self.lost() => return Err(error),
            answered = answered => answered,
        };
        match answered {
            Ok(Some((status, answer))) => self.send_json(status, answer).await,
            Ok(None) => {
                self.response.turn_away();
                Ok(())
            }
            Err(error) => {
                self.response.refuse(&error);
                Ok(())
            }
        }
    }

    async fn send_json(&mut self, status: u16, answer: String) -> Result<()> {
        let limits = &self.connection.server.settings.limits;
        let mut head = ResponseHead::new(status, None, None, Some(answer.len() as u64))?;
        head.add("Content-Type", "application/json");
        if status == 503 {
            head.add("Retry-After", "1");
        }
        self.response.put_head(&head, false)?;
        self.response.rest = Bytes::from(answer);
        while !self.response.rest.is_empty() {
            within(limits.send, Wait::Evidence, self.response.advance(None)).await?;
        }
        self.response.end(&[])
    }

    /// Shows the request to the host and sees it through.
    async fn run_exchange(mut self, received: ReceivedRequest, mut body: RecvStream, room: OwnedSemaphorePermit) {
        let (connection, peer) = (self.connection, self.connection.peer);
        let server = connection.server;
        let (length, expects_continue) = (received.length, received.expects_continue);
        let shown = (received.line, received.head, HttpVersion::Http2);
        let request = Arc::new(server.request(shown, peer, Some(&connection.session)));
        server.counts.requests.fetch_add(1, Ordering::Relaxed);
        connection.account.requests.fetch_add(1, Ordering::Relaxed);
        server.observer.clone().post(ServerEvent::Request(request.clone()), Some(room));
        let mut ending = Ending(Some(&request));
        let started = tokio::select! {
            biased;
            outlet = request.started() => Ok(outlet),
            () = connection.distrusted.thrown() => Err(distrusted()),
            error = self.lost() => Err(Http2Body::own_reset(&mut body).unwrap_or(error)),
        };
        let outlet = match started {
            Ok(Some(outlet)) => outlet,
            Ok(None) => {
                self.response.refuse(&Error::new(Status::Internal, "the host dropped the request").http_status(500));
                return;
            }
            Err(error) => {
                self.response.refuse(&error);
                request.end(Some(&error.peer(peer)));
                ending.0 = None;
                return;
            }
        };
        let work = Box::pin(self.exchange(&request, &outlet, (body, length, expects_continue)));
        let done = connection.alive(request.cancel.guard(pin!(work))).await;
        // What was sent to its end is sent, whatever becomes of the connection before the host says that it was the end.
        let error = done.err().filter(|_| !self.response.is_over()).map(|error| error.peer(peer));
        request.end(error.as_ref());
        ending.0 = None;
        match &error {
            None => connection.completed(),
            Some(error) => {
                if error.detail != Detail::PeerGone && error.status != Status::Canceled {
                    log::emit(log::WARNING, || format!("server: {}: refused: {}", place_of(peer), log::reason(error)));
                }
                self.response.refuse(error);
            }
        }
        outlet.close(error);
    }

    async fn exchange(
        &mut self,
        request: &Arc<ServerRequest>,
        outlet: &Outlet,
        (stream, length, expects_continue): (RecvStream, Option<u64>, bool),
    ) -> Result<()> {
        let settings = &self.connection.server.settings;
        let (body_limit, body_deadline) = request.body_limits(&settings.limits);
        // Before a byte of it is read, and before it is asked for.
        if length.is_some_and(|length| length > body_limit) {
            return Err(too_large(body_limit));
        }
        let decoded = settings.decode.then_some(&request.head);
        let mut body = Http2Body::new(stream, BodyReader::new(body_limit, decoded)?);
        self.waits = expects_continue && !body.is_absent();
        self.body_until = body_deadline.map(|limit| Instant::now() + limit);
        let done = self.exchange_parts(request, outlet, &mut body).await;
        // A stream that is lost does not say by whom it was reset; its body does.
        done.map_err(|error| match error.detail {
            Detail::PeerGone => body.was_reset_by_us().unwrap_or(error),
            _ => error,
        })
    }

    async fn exchange_parts(
        &mut self,
        request: &Arc<ServerRequest>,
        outlet: &Outlet,
        body: &mut Http2Body,
    ) -> Result<()> {
        loop {
            // If the response is complete before the request, the rest of the request is not read: the stream ends.
            if self.response.is_over() && request.outgoing.get().is_none_or(|sent| sent.is_finished()) {
                return Ok(());
            }
            let wants_bytes = self.take_body(outlet, body).await?;
            self.step(request, outlet, body, wants_bytes).await?;
        }
    }

    /// Tells the host of the end of the body. Whether more of it is needed from the peer.
    async fn take_body(&mut self, outlet: &Outlet, body: &mut Http2Body) -> Result<bool> {
        if self.body_over {
            return Ok(false);
        }
        match body.reader.proceed()? {
            BodyStep::Bytes => Ok(false),
            BodyStep::Nothing => Ok(true),
            BodyStep::End(trailers) => {
                (self.body_over, self.body_until) = (true, None);
                if let Some(trailers) = trailers {
                    outlet.post(TransferEvent::Trailers(trailers)).await;
                }
                outlet.post_once(TransferEvent::End);
                Ok(false)
            }
        }
    }

    /// Waits for the next thing to happen, and handles it.
    async fn step(
        &mut self,
        request: &Arc<ServerRequest>,
        outlet: &Outlet,
        body: &mut Http2Body,
        wants_bytes: bool,
    ) -> Result<()> {
        let connection = self.connection;
        let limits = &connection.server.settings.limits;
        self.check_deadlines()?;
        self.send_until = match self.response.rest.is_empty() {
            true => None,
            false => self.send_until.or_else(|| limits.send.map(|limit| Instant::now() + limit)),
        };
        let takes = self.response.rest.is_empty() && !self.response.is_over();
        let asks = wants_bytes && self.waits && !request.is_answered();
        let (until, send_until) = (self.body_until, self.send_until);
        tokio::select! {
            biased;
            part = request.next_part(), if takes => self.response.put_part(request, part?),
            // What was sent with an END_STREAM is over for the peer: its host has only to say so.
            part = request.next_part(), if self.response.is_over() => part.map(drop),
            sent = self.response.advance(Some(request)) => {
                self.send_until = None;
                sent
            }
            received = body.receive(limits.piece, &connection.rules), if wants_bytes => {
                self.waits = false;
                received
            }
            permit = room(&request.credit, outlet), if body.reader.waits() => {
                let allowed = usize::try_from(request.credit.available()).unwrap_or(usize::MAX);
                let piece = body.reader.take(allowed.min(limits.piece));
                request.credit.take(piece.len() as u64);
                outlet.post_now(TransferEvent::Data(piece, request.clone()), permit);
                Ok(())
            }
            _ = request.credit.wait(), if asks => {
                self.waits = false;
                self.response.put_head(&ResponseHead::new(100, None, None, None)?, false)
            }
            () = self.alarm.rings(until, send_until) => Ok(()),
        }
    }

    fn check_deadlines(&self) -> Result<()> {
        let now = Instant::now();
        let late = |why, detail| Err(Error::new(Status::TimedOut, why).phase(Phase::Transfer).detail(detail));
        if self.body_until.is_some_and(|until| until <= now) {
            return late("the request body took too long", Detail::HeadTimeout);
        }
        if self.send_until.is_some_and(|until| until <= now) {
            return late("the peer takes nothing of the answer", Detail::IdleTimeout);
        }
        Ok(())
    }

    /// Waits until the stream is lost; for ever once its response is over.
    async fn lost(&mut self) -> Error {
        let connection = self.connection;
        tokio::select! {
            biased;
            () = connection.gone.thrown() => connection.why_gone(),
            error = poll_fn(|cx| self.response.poll_lost(cx)) => error,
        }
    }
}

fn distrusted() -> Error {
    Error::new(Status::NoEvidence, "the client's new evidence was refused").phase(Phase::Evidence).http_status(403)
}
