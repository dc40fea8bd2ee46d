//! The receiving half of a connection: from bytes to events. Pure.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::body;
use super::body::{BodyParser, Chunk};
use super::buffer::WORTH;
use super::connection::{Connection, Message};
use super::error::{Checked, ProtocolError, Refusal, Side};
use super::fields::Method;
use super::head::{BlockKind, Fields};
use super::state::{EventKind, Role, State};
use crate::error::Detail;

/// What was received. Everything borrowed is valid until the next receiving call.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub kind: EventKind,
    /// Of a response.
    pub status: u16,
    /// Of a request or response: major << 8 | minor.
    pub version: u16,
    pub method: &'a [u8],
    pub target: &'a [u8],
    pub reason: &'a [u8],
    /// Of a head, or the trailers of an end of message.
    pub fields: Fields<'a>,
    /// Never empty in a Data event.
    pub data: &'a [u8],
    /// The data begins a chunk.
    pub chunk_start: bool,
    /// The data ends a chunk.
    pub chunk_end: bool,
}

/// What was read, before it is shown.
enum Got {
    Nothing,
    Paused,
    Head(BlockKind),
    Data { bytes: Range<usize>, chunk_start: bool, chunk_end: bool },
    End { trailers: bool },
    Closed,
}

impl Connection {
    /// The next event. An error is final for the peer's side, and later calls return it again; our side may still send.
    pub fn next_event(&mut self) -> Result<Event<'_>, ProtocolError> {
        self.next().map(|got| self.show(got))
    }

    /// Takes what has been received of a body, and the event that came last, without its data: Data if there may be more, EndOfMessage, or another event if there
    /// was nothing of a body. Pieces are joined until there are `most` bytes, so that a body of many small chunks comes in few pieces; a large piece is handed on
    /// as it is, without a copy. An error after some bytes comes from the next call.
    pub fn take_body(&mut self, most: usize) -> Result<(Bytes, Event<'_>), ProtocolError> {
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        let last = loop {
            match self.next() {
                Ok(Got::Data { bytes, .. }) => {
                    if first.is_empty() {
                        first = self.buffer.take_out(bytes);
                    } else {
                        if joined.is_empty() {
                            joined.extend_from_slice(&first);
                        }
                        joined.extend_from_slice(self.buffer.bytes(bytes));
                    }
                    if first.len() >= most.min(WORTH) || joined.len() >= most {
                        break None;
                    }
                }
                Ok(got @ Got::End { .. }) => break Some(got),
                Ok(_) | Err(_) if !first.is_empty() => break None,
                Ok(got) => break Some(got),
                Err(error) => return Err(error),
            }
        };
        let data = if joined.is_empty() { first } else { joined.freeze() };
        Ok((data, last.map_or(Event::of(EventKind::Data), |got| self.show(got))))
    }

    fn next(&mut self) -> Result<Got, ProtocolError> {
        let theirs = self.their_state();
        if theirs == State::Error {
            let first = self.their_refusal.clone();
            return Err(first.unwrap_or_else(|| Refusal::new("the peer broke the protocol before")).on(Side::Remote));
        }
        let paused = match theirs {
            State::Done => !self.buffer.is_empty(),
            State::MightSwitchProtocol | State::SwitchedProtocol => true,
            _ => false,
        };
        if paused {
            return Ok(Got::Paused);
        }
        match self.read().and_then(|got| self.accept(got)) {
            Ok(got) => Ok(got),
            Err(refusal) => {
                self.states.fail(self.role.other());
                self.their_refusal = Some(refusal.clone());
                Err(refusal.on(Side::Remote))
            }
        }
    }

    /// Skips the bytes at the front of `bytes` that belong to a body, for a caller that does not need to see them, and returns how many; only the
    /// rest must be received.
    pub fn pass_over(&mut self, bytes: &[u8]) -> usize {
        if !self.buffer.is_empty() || self.eof || self.their_state() != State::SendBody {
            return 0;
        }
        match &mut self.reader {
            BodyParser::Length { left, .. } => {
                let count = most(*left, bytes.len());
                *left -= count as u64;
                count
            }
            BodyParser::UntilClose => bytes.len(),
            BodyParser::Chunked { at, .. } => {
                let Chunk::Data { left, .. } = *at else { return 0 };
                let count = most(left, bytes.len());
                if count == 0 {
                    return 0;
                }
                *at = match left - count as u64 {
                    0 => Chunk::Footer(0),
                    left => Chunk::Data { left, first: false },
                };
                count
            }
        }
    }

    /// Reads what the peer's state calls for, and decides what the end of the connection means.
    fn read(&mut self) -> Checked<Got> {
        let state = self.their_state();
        let got = match state {
            State::Idle | State::SendResponse => self.read_head()?,
            State::SendBody => self.read_body()?,
            _ if !self.buffer.is_empty() => {
                return Err(Refusal::new("data where the connection should end"));
            }
            _ => Got::Nothing,
        };
        if !matches!(got, Got::Nothing) {
            return Ok(got);
        }
        if self.buffer.is_empty() && self.eof {
            if state != State::SendBody {
                return Ok(Got::Closed);
            }
            self.reader.at_eof().map_err(|it| it.about(Detail::MessageCut))?;
            return Ok(Got::End { trailers: false });
        }
        self.check_length()?;
        if self.eof {
            let refusal = Refusal::new("the peer closed the connection within a message");
            return Err(refusal.about(Detail::MessageCut));
        }
        Ok(Got::Nothing)
    }

    /// A block longer than the limit is never found to be complete, so the result does not depend on the pieces it comes in.
    fn check_length(&self) -> Checked<()> {
        if self.buffer.len() <= self.rules.max_incomplete {
            return Ok(());
        }
        Err(Refusal::hint(
            431,
            format!("more than {} bytes of head, trailers or chunk size", self.rules.max_incomplete),
        ))
    }

    fn read_head(&mut self) -> Checked<Got> {
        // One empty line before a request line, as some clients send after a body (RFC 9112 section 2.2).
        if self.role == Role::Server && !self.skipped && !self.rules.as_h11() {
            match self.buffer.live() {
                [b'\r'] => return Ok(Got::Nothing),
                [b'\r', b'\n', ..] => {
                    self.buffer.consume(2);
                    self.skipped = true;
                }
                _ => {}
            }
        }
        match self.buffer.live().first() {
            None => return Ok(Got::Nothing),
            Some(first) if *first < 0x21 => {
                let refusal = Refusal::of("a message cannot begin with", &self.buffer.live()[..1]);
                return Err(refusal.about(Detail::BadStartLine));
            }
            Some(_) => {}
        }
        let kind = match self.role {
            Role::Server => BlockKind::Request,
            Role::Client => BlockKind::Response,
        };
        if !self.read_block(kind)? {
            return Ok(Got::Nothing);
        }
        self.skipped = false;
        Ok(Got::Head(kind))
    }

    fn read_block(&mut self, kind: BlockKind) -> Checked<bool> {
        let Some(length) = self.buffer.find_block(self.rules.max_incomplete) else {
            return Ok(false);
        };
        let feeds = self.buffer.take_feeds();
        self.head.block = self.buffer.consume(length);
        let parsed = self.head.parse(self.buffer.bytes_mut(self.head.block.clone()), &feeds, kind, &self.rules);
        self.buffer.return_feeds(feeds);
        parsed.map(|()| true).map_err(|it| it.about(Detail::BadHeader))
    }

    fn read_body(&mut self) -> Checked<Got> {
        match &mut self.reader {
            BodyParser::Length { left: 0, .. } => Ok(Got::End { trailers: false }),
            BodyParser::Length { left, .. } => {
                let count = most(*left, self.buffer.len());
                *left -= count as u64;
                Ok(self.take_data(count, false, false))
            }
            BodyParser::UntilClose => Ok(self.take_data(self.buffer.len(), false, false)),
            BodyParser::Chunked { .. } => self.read_chunked().map_err(|it| it.about(Detail::BadChunk)),
        }
    }

    fn take_data(&mut self, count: usize, chunk_start: bool, chunk_end: bool) -> Got {
        if count == 0 {
            return Got::Nothing;
        }
        Got::Data { bytes: self.buffer.consume(count), chunk_start, chunk_end }
    }

    fn read_chunked(&mut self) -> Checked<Got> {
        loop {
            let BodyParser::Chunked { at, extensions } = &mut self.reader else {
                return Ok(Got::Nothing);
            };
            match *at {
                Chunk::Footer(seen) => {
                    let there = body::footer(seen, self.buffer.live())?;
                    self.buffer.consume(there);
                    let seen = seen + there as u8;
                    *at = if seen == 2 { Chunk::Size } else { Chunk::Footer(seen) };
                    if seen < 2 {
                        return Ok(Got::Nothing);
                    }
                }
                Chunk::Size => {
                    let Some(length) = self.buffer.find_line(self.rules.max_incomplete) else {
                        return Ok(Got::Nothing);
                    };
                    let size = body::chunk_size(&self.buffer.live()[..length], extensions, &self.rules)?;
                    *at = if size == 0 { Chunk::Trailers } else { Chunk::Data { left: size, first: true } };
                    self.buffer.consume(length);
                }
                Chunk::Data { left, first } => {
                    let count = most(left, self.buffer.len());
                    let end = count as u64 == left;
                    *at = match end {
                        true => Chunk::Footer(0),
                        false => Chunk::Data { left: left - count as u64, first: first && count == 0 },
                    };
                    return Ok(self.take_data(count, first, end));
                }
                Chunk::Trailers => {
                    return Ok(match self.read_block(BlockKind::Trailers)? {
                        true => Got::End { trailers: true },
                        false => Got::Nothing,
                    });
                }
            }
        }
    }

    /// Moves the state machines.
    fn accept(&mut self, got: Got) -> Checked<Got> {
        let peer = self.role.other();
        match &got {
            Got::Nothing | Got::Paused => {}
            Got::Head(_) => {
                let message = self.received();
                self.advance(peer, self.kind_of_head(), Some(&message))?;
            }
            Got::Data { .. } => self.advance(peer, EventKind::Data, None)?,
            Got::End { .. } => self.advance(peer, EventKind::EndOfMessage, None)?,
            Got::Closed => self.advance(peer, EventKind::ConnectionClosed, None)?,
        }
        Ok(got)
    }

    fn received(&self) -> Message {
        let method = match self.role {
            Role::Server => Method::of(&self.buffer.bytes(self.head.block.clone())[self.head.method.clone()]),
            Role::Client => Method::None,
        };
        Message { method, status: self.head.status, version: self.head.version, facts: self.head.facts }
    }

    fn kind_of_head(&self) -> EventKind {
        match (self.role, self.head.status) {
            (Role::Server, _) => EventKind::Request,
            (Role::Client, ..200) => EventKind::InformationalResponse,
            (Role::Client, _) => EventKind::Response,
        }
    }

    fn show(&self, got: Got) -> Event<'_> {
        // The block's position is valid only until more is received.
        let block = || self.buffer.bytes(self.head.block.clone());
        match got {
            Got::Nothing => Event::of(EventKind::NeedData),
            Got::Paused => Event::of(EventKind::Paused),
            Got::Closed => Event::of(EventKind::ConnectionClosed),
            Got::End { trailers } => Event {
                fields: if trailers { Fields::new(&self.head, block()) } else { Fields::none() },
                ..Event::of(EventKind::EndOfMessage)
            },
            Got::Data { bytes, chunk_start, chunk_end } => {
                Event { data: self.buffer.bytes(bytes), chunk_start, chunk_end, ..Event::of(EventKind::Data) }
            }
            Got::Head(kind) => {
                let block = block();
                let head = Event {
                    version: self.head.version,
                    fields: Fields::new(&self.head, block),
                    ..Event::of(self.kind_of_head())
                };
                match kind {
                    BlockKind::Request => Event {
                        method: &block[self.head.method.clone()],
                        target: &block[self.head.target.clone()],
                        ..head
                    },
                    _ => Event { status: self.head.status, reason: &block[self.head.reason.clone()], ..head },
                }
            }
        }
    }
}

impl Event<'_> {
    fn of(kind: EventKind) -> Self {
        Event {
            kind,
            status: 0,
            version: 0,
            method: &[],
            target: &[],
            reason: &[],
            fields: Fields::none(),
            data: &[],
            chunk_start: false,
            chunk_end: false,
        }
    }
}

/// The smaller of what is left of the body and what has been received.
fn most(left: u64, there: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(there)
}
