//! Requests for evidence over HTTP/1.1: read and answered between those that the host sees. Touches the connection, and the clock.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ServerRequest;
use super::attestation::{Attestation, EvidenceRequest, JsonResponse};
use super::connection_task::{READ, ServerConnection, host, protocol};
use super::response_head::ResponseHead;
use super::transport::ServerTransport;
use crate::error::{Error, Phase, Result, Status};
use crate::h1::{EventKind, State};
use crate::io::deadline::{Wait, within};
use crate::message::body_reader::too_large;

impl<S: ServerTransport> ServerConnection<'_, S> {
    pub(super) fn evidence_request(&self, request: &ServerRequest) -> Option<EvidenceRequest> {
        self.session.as_ref()?;
        self.server.evidence_request(request.line.method(), request.line.target())
    }

    /// Answers the request. Whether the connection may serve another one.
    pub(super) async fn attest(&mut self, asked: EvidenceRequest, request: &ServerRequest) -> Result<bool> {
        let limit = self.server.evidence_request_limit(asked);
        let deadline = self.server.settings.limits.receive_head;
        let announced: Option<u64> =
            request.head.find("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let received = match announced {
            Some(length) if length > limit as u64 => Err(too_large(limit as u64)),
            _ => within(deadline, Wait::Evidence, self.read_small_body(limit)).await,
        };
        let body = match received {
            Ok(body) => body,
            Err(error) => return self.refuse(&error).await.map(|()| false),
        };
        let in_the_clear = || Error::new(Status::InvalidState, "a session in the clear");
        let session = self.session.as_ref().ok_or_else(in_the_clear)?;
        let attestation = Attestation { server: self.server, session, keys: &self.wire, peer: self.peer };
        let response = attestation.answer(asked, &body).await;
        let gives_up = attestation.gives_up();
        self.respond_json(response, gives_up).await
    }

    async fn respond_json(&mut self, (status, answer): JsonResponse, gives_up: bool) -> Result<bool> {
        let mut message = ResponseHead::new(status, None, None, Some(answer.len() as u64))?;
        message.add("Content-Type", "application/json");
        if status == 503 {
            message.add("Retry-After", "1");
        }
        if gives_up {
            message.add("Connection", "close");
        }
        // Evidence that is too old may be on its way to being renewed.
        self.put_head_and(&message, false)?;
        let _ = self.conn.send_data(answer.len() as u64).map_err(host)?;
        self.outbox.extend_from_slice(answer.as_bytes());
        let _ = self.conn.send_end_of_message(std::iter::empty()).map_err(host)?;
        let sending = async {
            let io = |error| Error::from_io(error, Phase::Transfer);
            self.wire.write_all_buf(&mut self.outbox).await.map_err(io)?;
            self.wire.flush().await.map_err(io)
        };
        within(self.server.settings.limits.send, Wait::Evidence, sending).await?;
        Ok(self.conn.our_state() == State::Done && self.conn.their_state() == State::Done)
    }

    /// Sends 100 (Continue) to a client that waits for it (RFC 9110 section 10.1.1).
    async fn send_continue(&mut self) -> Result<()> {
        let head = self.conn.send_response(100, b"Continue", std::iter::empty()).map_err(host)?.to_vec();
        let io = |error| Error::from_io(error, Phase::Transfer);
        self.wire.write_all(&head).await.map_err(io)?;
        self.wire.flush().await.map_err(io)
    }

    /// Reads a whole body, of at most `limit` bytes.
    async fn read_small_body(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let event = self.conn.next_event().map_err(protocol)?;
            match event.kind {
                EventKind::Data if body.len() + event.data.len() <= limit => body.extend_from_slice(event.data),
                EventKind::Data => return Err(too_large(limit as u64)),
                EventKind::NeedData => {
                    if self.conn.they_are_waiting_for_100_continue() {
                        self.send_continue().await?;
                    }
                    let read = self.wire.read_buf(self.conn.room(READ)).await;
                    let count = read.map_err(|error| self.broken_by(error))?;
                    self.received(count);
                }
                _ => return Ok(body),
            }
        }
    }
}
