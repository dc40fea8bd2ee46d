//! The response on a stream of HTTP/2, part by part, within the windows that the peer grants. Touches the stream that it is given.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};

use super::ServerRequest;
use super::http2::{Http2Connection, http2_error};
use super::http2_head::{closes, response, response_trailers};
use super::request::ResponsePart;
use super::response_head::ResponseHead;
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::message::refusal_status;

/// Most bytes of a response that are handed over at once.
const PIECE: usize = 64 << 10;

/// How far the response has come.
enum Sending {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    Over,
}

pub(super) struct Http2Response<'a> {
    connection: &'a Http2Connection<'a>,
    sending: Sending,
    /// Bytes that the peer's window had no room for yet.
    pub rest: Bytes,
    /// The framing allows trailers.
    trailers: bool,
    /// Bytes that are missing from the length that the head announced, if it did.
    missing: Option<u64>,
}

impl<'a> Http2Response<'a> {
    pub fn new(connection: &'a Http2Connection<'a>, respond: SendResponse<Bytes>) -> Http2Response<'a> {
        let sending = Sending::Head(respond);
        Http2Response { connection, sending, rest: Bytes::new(), trailers: false, missing: None }
    }

    /// Whether its end was sent, or a reset.
    pub fn is_over(&self) -> bool {
        matches!(self.sending, Sending::Over)
    }

    /// Answers with the error's status, unless the response has begun: then the peer must not take it for complete.
    pub fn refuse(&mut self, error: &Error) {
        match (&mut self.sending, refusal_status(error)) {
            (Sending::Head(respond), Some(status)) => {
                let made = ResponseHead::new(status, None, None, Some(0));
                let made = made.and_then(|head| response(&head, self.connection.server.date().as_ref()));
                match made {
                    Ok(made) => drop(respond.send_response(made, true)),
                    Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
                }
            }
            (Sending::Head(respond), None) => respond.send_reset(Reason::CANCEL),
            (Sending::Body(stream), _) => stream.send_reset(Reason::INTERNAL_ERROR),
            (Sending::Over, _) => {}
        }
        self.sending = Sending::Over;
    }

    /// Says that nothing was done with the request.
    pub fn turn_away(&mut self) {
        if let Sending::Head(respond) = &mut self.sending {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        self.sending = Sending::Over;
    }

    /// Sends a head; with `ends` a final one is all.
    pub fn put_head(&mut self, message: &ResponseHead, ends: bool) -> Result<()> {
        let Sending::Head(respond) = &mut self.sending else { return Err(internal("a second response head")) };
        if message.status < 200 {
            return respond.send_informational(response(message, None)?).map_err(|error| http2_error(&error));
        }
        let date = self.connection.server.date();
        let stream = respond.send_response(response(message, date.as_ref())?, ends);
        let stream = stream.map_err(|error| http2_error(&error))?;
        self.sending = if ends { Sending::Over } else { Sending::Body(stream) };
        Ok(())
    }

    /// Takes a part of the response from the host.
    pub fn put_part(&mut self, request: &ServerRequest, part: ResponsePart) -> Result<()> {
        match part {
            ResponsePart::Head(message) if message.status < 200 => self.put_head(&message, false),
            ResponsePart::Head(message) => {
                if closes(&message) || self.connection.session.client_is_too_old() {
                    self.connection.leaving.cancel();
                }
                let has_body = request.has_body(&message);
                self.trailers = has_body && message.length.is_none();
                self.missing = message.length.filter(|_| has_body);
                if let Some(outgoing) = request.outgoing.get().filter(|_| !has_body) {
                    outgoing.discard();
                    return self.put_head(&message, true);
                }
                match request.next_part_now() {
                    Some(Ok(ResponsePart::End)) => {
                        let trailers = self.trailers_of(request);
                        self.check_complete()?;
                        self.put_head(&message, trailers.is_empty())?;
                        self.end(&trailers)
                    }
                    None => self.put_head(&message, false),
                    Some(next) => {
                        self.put_head(&message, false)?;
                        self.put_part(request, next?)
                    }
                }
            }
            ResponsePart::Piece(piece) => {
                self.rest = piece;
                Ok(())
            }
            ResponsePart::End => {
                let trailers = self.trailers_of(request);
                self.end(&trailers)
            }
            ResponsePart::Switch(_) => Err(internal("a switch of protocols")),
        }
    }

    fn trailers_of(&self, request: &ServerRequest) -> Vec<(Vec<u8>, Vec<u8>)> {
        let trailers = request.trailers();
        if self.trailers { trailers } else { Vec::new() }
    }

    /// A body that is shorter than its head has announced must not end well. Errors: InvalidState.
    fn check_complete(&self) -> Result<()> {
        match self.missing {
            None | Some(0) => Ok(()),
            Some(missing) => {
                let why = format!("the body ends {missing} bytes before the length that its head announced");
                Err(Error::new(Status::InvalidState, why).phase(Phase::Transfer))
            }
        }
    }

    /// Ends the response, if it is not over.
    pub fn end(&mut self, trailers: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        self.check_complete()?;
        let Sending::Body(stream) = &mut self.sending else { return Ok(()) };
        let ended = match trailers {
            [] => stream.send_data(Bytes::new(), true),
            some => stream.send_trailers(response_trailers(some)?),
        };
        ended.map_err(|error| http2_error(&error))?;
        self.sending = Sending::Over;
        Ok(())
    }

    /// Sends more of what the peer's window had no room for. Errors: why the stream is over before its response is.
    pub async fn advance(&mut self, request: Option<&ServerRequest>) -> Result<()> {
        poll_fn(|cx| {
            if let Poll::Ready(error) = self.poll_lost(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_send(cx, request)
        })
        .await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, request: Option<&ServerRequest>) -> Poll<Result<()>> {
        let Sending::Body(stream) = &mut self.sending else { return Poll::Pending };
        if self.rest.is_empty() {
            return Poll::Pending;
        }
        stream.reserve_capacity(self.rest.len().min(PIECE));
        let mut room = stream.capacity();
        if room == 0 {
            room = match ready!(stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(http2_error(&error))),
                None => return Poll::Ready(Err(gone("the peer has ended the stream"))),
            };
        }
        let piece = self.rest.split_to(self.rest.len().min(room));
        self.missing = self.missing.map(|missing| missing.saturating_sub(piece.len() as u64));
        // The last bytes leave together with the end, if it is known.
        let next = request.filter(|_| self.rest.is_empty()).and_then(ServerRequest::next_part_now);
        let ends = match &next {
            Some(Ok(ResponsePart::End)) => request.map(|request| self.trailers_of(request)),
            _ => None,
        };
        let is_last = ends.as_ref().is_some_and(Vec::is_empty) && self.missing.is_none_or(|missing| missing == 0);
        let Sending::Body(stream) = &mut self.sending else { return Poll::Pending };
        if let Err(error) = stream.send_data(piece, is_last) {
            return Poll::Ready(Err(http2_error(&error)));
        }
        if is_last {
            self.sending = Sending::Over;
        }
        Poll::Ready(match (ends, next, request) {
            (Some(trailers), ..) => self.end(&trailers),
            (None, Some(next), Some(request)) => next.and_then(|next| self.put_part(request, next)),
            _ => Ok(()),
        })
    }

    pub fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let lost = match &mut self.sending {
            Sending::Head(respond) => ready!(respond.poll_reset(cx)),
            Sending::Body(stream) => ready!(stream.poll_reset(cx)),
            Sending::Over => return Poll::Pending,
        };
        Poll::Ready(match lost {
            Ok(reason) => {
                self.connection.was_reset();
                gone(&format!("the stream was reset: {}", reason.description()))
            }
            Err(error) => http2_error(&error),
        })
    }
}

fn gone(why: &str) -> Error {
    Error::new(Status::Io, why).phase(Phase::Transfer).detail(Detail::PeerGone)
}

fn internal(what: &str) -> Error {
    Error::new(Status::Internal, format!("HTTP/2: {what}")).phase(Phase::Transfer)
}
