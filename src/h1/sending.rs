//! The sending half of a connection: what may go out now, and its bytes. Pure.

use super::body::Framing;
use super::connection::{Connection, Message};
use super::error::{Checked, ProtocolError, Refusal, Side};
use super::fields::{FieldFacts, Known, MAX_SIZE, Method};
use super::state::{EventKind, State};
use super::{Rules, flags, syntax, writer};

const VERSION: u16 = 0x0101;

/// Bytes to put before and after a body's own.
pub type Around<'a> = (&'a [u8], &'a [u8]);

impl Connection {
    /// A request's head. `headers` are names, spelled as they are to appear on the wire, and values.
    ///
    /// If it is refused our side is in error for good, as after every refused sending call.
    pub fn send_request<'h>(
        &mut self,
        method: &[u8],
        target: &[u8],
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<&[u8], ProtocolError> {
        self.send(|this| {
            request_line(method, target, &mut this.out)?;
            let facts = writer::fields(headers, false, &this.rules, &mut this.out, &mut this.removable)?;
            this.out.extend_from_slice(b"\r\n");
            facts.allow_request(VERSION)?;
            facts.allow_framing()?;
            let message = Message { method: Method::of(method), status: 0, version: VERSION, facts };
            this.advance(this.role, EventKind::Request, Some(&message))
        })
    }

    /// As `send_request`, for a head that the caller writes itself, has checked, and knows these facts of.
    pub fn note_request(&mut self, method: &[u8], facts: FieldFacts) -> Result<(), ProtocolError> {
        let message = Message { method: Method::of(method), status: 0, version: VERSION, facts };
        self.send(|this| this.advance(this.role, EventKind::Request, Some(&message))).map(drop)
    }

    /// A response's head: 100-199 as given, 200-999 with its framing and `Connection` brought in line with what the peer understands.
    pub fn send_response<'h>(
        &mut self,
        status: u16,
        reason: &[u8],
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<&[u8], ProtocolError> {
        self.send(|this| {
            status_line(status, reason, &this.rules, &mut this.out)?;
            let facts = writer::fields(headers, false, &this.rules, &mut this.out, &mut this.removable)?;
            let mut message = Message { method: Method::None, status, version: VERSION, facts };
            let kind = match status {
                ..200 if facts.chunked || facts.content_length().is_some() => {
                    return Err(Refusal::new(format!("Content-Length or Transfer-Encoding in a {status}")));
                }
                ..200 if this.their_version == 0x0100 && !this.rules.as_h11() => {
                    return Err(Refusal::new(format!("{status} to an HTTP/1.0 peer, which does not understand 1xx")));
                }
                ..200 => EventKind::InformationalResponse,
                _ => {
                    this.fit(&mut message)?;
                    EventKind::Response
                }
            };
            this.out.extend_from_slice(b"\r\n");
            this.advance(this.role, kind, Some(&message))
        })
    }

    /// Accounts for `length` body bytes, fewer than 2^63; write what is returned before and after them. For length 0 nothing is to be written.
    pub fn send_data(&mut self, length: u64) -> Result<Around<'_>, ProtocolError> {
        let mut after: &[u8] = b"";
        self.send(|this| {
            if length > MAX_SIZE {
                return Err(Refusal::new(format!("{length} bytes at once: 2^63 or more")));
            }
            this.advance(this.role, EventKind::Data, None)?;
            after = this.writer.data(length, &mut this.out)?;
            Ok(())
        })
        .map(|before| (before, after))
    }

    /// Ends the message; trailers are possible only in a chunked one.
    pub fn send_end_of_message<'h>(
        &mut self,
        trailers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<&[u8], ProtocolError> {
        self.send(|this| {
            this.advance(this.role, EventKind::EndOfMessage, None)?;
            if matches!(this.writer, writer::Writer::Chunked) {
                this.out.extend_from_slice(b"0\r\n");
            }
            let start = this.out.len();
            writer::fields(trailers, true, &this.rules, &mut this.out, &mut this.removable)?;
            this.writer.may_end(this.out.len() > start)?;
            if matches!(this.writer, writer::Writer::Chunked) {
                this.out.extend_from_slice(b"\r\n");
            }
            Ok(())
        })
    }

    /// We are about to close the connection, or our half of it.
    pub fn send_connection_closed(&mut self) -> Result<(), ProtocolError> {
        self.send(|this| this.advance(this.role, EventKind::ConnectionClosed, None)).map(drop)
    }

    /// Bytes that were returned for sending could not be sent.
    pub fn send_failed(&mut self) {
        self.states.fail(self.role);
    }

    fn send(&mut self, body: impl FnOnce(&mut Self) -> Checked<()>) -> Result<&[u8], ProtocolError> {
        self.out.clear();
        let done = match self.our_state() {
            State::Error => Err(self.our_refusal.clone().unwrap_or_else(|| Refusal::new("sending failed before"))),
            _ => body(self),
        };
        match done {
            Ok(()) => Ok(&self.out),
            Err(refusal) => {
                self.out.clear();
                self.states.fail(self.role);
                self.our_refusal.get_or_insert_with(|| refusal.clone());
                Err(refusal.on(Side::Local))
            }
        }
    }

    /// Gives a final response framing that the peer understands, and `Connection` if the connection ends or stays open for an HTTP/1.0 peer.
    fn fit(&mut self, message: &mut Message) -> Checked<()> {
        let request = if self.method == Method::Head { Method::Other } else { self.method };
        let tunnel = self.method == Method::Connect && (200..300).contains(&message.status);
        if tunnel && !self.rules.as_h11() && (message.facts.chunked || message.facts.content_length().is_some()) {
            let status = message.status;
            return Err(Refusal::new(format!("Content-Length or Transfer-Encoding in a {status} to CONNECT")));
        }
        let mut close = !self.states.keep_alive;
        match Framing::of_response(request, message.status, &message.facts) {
            Framing::ContentLength(_) if message.status == 204 => {
                self.drop_length(message);
                self.drop_coding(message);
            }
            Framing::ContentLength(_) => message.facts.allow_framing()?,
            Framing::Chunked | Framing::UntilClose => {
                self.drop_length(message);
                self.drop_coding(message);
                if self.their_version < VERSION {
                    close |= self.method != Method::Head;
                } else {
                    writer::line(b"Transfer-Encoding", b"chunked", &mut self.out);
                    message.facts.chunked = true;
                }
            }
        }
        if close {
            self.say_close();
            message.facts.close = true;
        } else if self.their_version == 0x0100 && !message.facts.close && !message.facts.keep_alive {
            writer::line(b"Connection", b"Keep-Alive", &mut self.out);
        }
        Ok(())
    }

    fn drop_length(&mut self, message: &mut Message) {
        if message.facts.content_length().is_some() {
            self.removable.remove(Known::ContentLength, &mut self.out);
            message.facts = message.facts.without_content_length();
        }
    }

    fn drop_coding(&mut self, message: &mut Message) {
        if std::mem::take(&mut message.facts.chunked) {
            self.removable.remove(Known::TransferEncoding, &mut self.out);
        }
    }

    /// `Connection` keeps its members, sorted and in lower case, without keep-alive and with close; one line each.
    fn say_close(&mut self) {
        let values = self.removable.values(Known::Connection, &self.out);
        let mut members: Vec<_> = values.flat_map(syntax::list).map(<[u8]>::to_ascii_lowercase).collect();
        members.retain(|member| member != b"keep-alive");
        members.push(b"close".to_vec());
        members.sort_unstable();
        members.dedup();
        self.removable.remove(Known::Connection, &mut self.out);
        members.iter().for_each(|member| writer::line(b"Connection", member, &mut self.out));
    }
}

pub fn request_line(method: &[u8], target: &[u8], out: &mut Vec<u8>) -> Checked<()> {
    if !syntax::is_token(method) {
        return Err(Refusal::of("illegal method", method));
    }
    if !syntax::is_target(target) {
        return Err(Refusal::of("illegal target", target.split(|&b| b == b'?').next().unwrap_or_default()));
    }
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    Ok(())
}

pub fn status_line(status: u16, reason: &[u8], rules: &Rules, out: &mut Vec<u8>) -> Checked<()> {
    if !(100..1000).contains(&status) {
        return Err(Refusal::new(format!("impossible status {status}")));
    }
    if !syntax::is_text(reason, rules.allow(flags::ALLOW_CTL_IN_VALUE)) {
        return Err(Refusal::new("illegal reason phrase"));
    }
    let digits = [100, 10, 1].map(|unit| b'0' + (status / unit % 10) as u8);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    Ok(())
}
