//! One connection: what it has received, what it may send, and the states of both sides. `receiving.rs` reads what comes in,
//! `sending.rs` writes what goes out. Pure.

use bytes::BufMut;

use super::body::{BodyParser, Framing};
use super::buffer::Buffer;
use super::error::{Checked, ProtocolError, Refusal, Side};
use super::fields::{FieldFacts, Method};
use super::head::Head;
use super::state::{EventKind, Role, State, States, switch};
use super::writer::{Removable, Writer};
use super::{Rules, flags};

/// A connection without I/O.
pub struct Connection {
    pub(super) role: Role,
    pub(super) rules: Rules,
    pub(super) states: States,
    /// Of the request of this cycle.
    pub(super) method: Method,
    /// Of what the peer sent last; 0 before it sent anything.
    pub(super) their_version: u16,
    waiting_for_100: bool,
    pub(super) buffer: Buffer,
    pub(super) eof: bool,
    /// The one empty line that is allowed before a request line has been received.
    pub(super) skipped: bool,
    pub(super) reader: BodyParser,
    pub(super) head: Head,
    pub(super) writer: Writer,
    pub(super) out: Vec<u8>,
    pub(super) removable: Removable,
    /// Why the peer's side is in error, and why ours is: later calls get the same error.
    pub(super) their_refusal: Option<Refusal>,
    pub(super) our_refusal: Option<Refusal>,
}

/// What the state machines need to know of a head.
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub method: Method,
    pub status: u16,
    pub version: u16,
    pub facts: FieldFacts,
}

impl Connection {
    /// `rules.max_incomplete` over 2^30 counts as 2^30.
    pub fn new(role: Role, mut rules: Rules) -> Connection {
        rules.max_incomplete = rules.max_incomplete.min(1 << 30);
        Connection {
            role,
            rules,
            states: States::default(),
            method: Method::None,
            their_version: 0,
            waiting_for_100: false,
            buffer: Buffer::default(),
            eof: false,
            skipped: false,
            reader: BodyParser::UntilClose,
            head: Head::default(),
            writer: Writer::UntilClose,
            out: Vec::new(),
            removable: Removable::default(),
            their_refusal: None,
            our_refusal: None,
        }
    }

    /// May be changed only before anything was received or sent.
    pub fn rules_mut(&mut self) -> &mut Rules {
        &mut self.rules
    }

    pub fn role(&self) -> Role {
        self.role
    }

    pub fn states(&self) -> &States {
        &self.states
    }

    pub fn our_state(&self) -> State {
        self.states.of(self.role)
    }

    pub fn their_state(&self) -> State {
        self.states.of(self.role.other())
    }

    /// Major << 8 | minor of what the peer sent last; 0 before it sent anything.
    pub fn their_http_version(&self) -> u16 {
        self.their_version
    }

    pub fn client_is_waiting_for_100_continue(&self) -> bool {
        self.waiting_for_100
    }

    pub fn they_are_waiting_for_100_continue(&self) -> bool {
        self.waiting_for_100 && self.role == Role::Server
    }

    /// Takes bytes; parses nothing. False after the end, and then nothing was taken.
    pub fn receive(&mut self, bytes: &[u8]) -> bool {
        if self.eof {
            return bytes.is_empty();
        }
        self.buffer.push(bytes);
        true
    }

    /// The peer closed its sending side.
    pub fn receive_eof(&mut self) {
        self.eof = true;
    }

    pub fn eof_received(&self) -> bool {
        self.eof
    }

    /// Room in the receive buffer, at least `least` bytes: what is put there is received.
    pub fn room(&mut self, least: usize) -> &mut impl BufMut {
        self.buffer.room(least)
    }

    /// Room as a slice of `least` bytes, for [`Connection::commit`].
    pub fn reserve(&mut self, least: usize) -> &mut [u8] {
        self.buffer.reserve(least)
    }

    /// The first `count` reserved bytes were filled. False if fewer were reserved.
    pub fn commit(&mut self, count: usize) -> bool {
        self.buffer.commit(count)
    }

    /// Whether all bytes that our head announced have been sent. The peer then has the whole message, and may leave before we end it.
    pub fn our_body_is_sent(&self) -> bool {
        self.our_state() == State::SendBody && matches!(self.writer, Writer::Length { left: 0 })
    }

    /// Whether a body is being sent that only the end of the connection will end.
    pub fn our_body_ends_with_connection(&self) -> bool {
        self.our_state() == State::SendBody && matches!(self.writer, Writer::UntilClose)
    }

    /// Frees memory that is not in use now, except about `keep` bytes in each of the buffers for what is received, parsed and sent. Invalidates what
    /// events and sending calls returned before.
    pub fn rest(&mut self, keep: usize) {
        self.buffer.rest(keep);
        self.head.rest(keep);
        self.removable.rest(keep);
        if self.out.capacity() > keep {
            self.out = Vec::new();
        }
    }

    /// Bytes that were not parsed, and whether the end follows them.
    pub fn trailing_data(&self) -> (&[u8], bool) {
        (self.buffer.live(), self.eof)
    }

    /// Applies an event of `role` to both sides, whoever sent it. Errors: the rule that forbids it.
    pub(super) fn advance(&mut self, role: Role, kind: EventKind, message: Option<&Message>) -> Checked<()> {
        let request = (kind == EventKind::Request).then_some(message).flatten();
        if let (Role::Client, Some(request)) = (role, request) {
            self.states.propose(self.proposals(request));
        }
        let status = if role == Role::Server { message.map_or(0, |message| message.status) } else { 0 };
        let pending = self.states.proposals & switch::CONNECT != 0;
        let accepted = match status {
            101 => switch::UPGRADE,
            200..300 if pending => switch::CONNECT,
            _ => switch::NONE,
        };
        self.states.event(role, kind, accepted).map_err(Refusal::new)?;
        if let Some(request) = request {
            self.method = request.method;
        }
        if let Some(message) = message {
            self.note(role, kind, message);
        }
        self.expect_100(role, kind, message);
        Ok(())
    }

    fn proposals(&self, request: &Message) -> u8 {
        let upgrade = request.facts.upgrade
            && request.version > 0x0100
            && (request.facts.connection_upgrade || self.rules.allow(flags::UPGRADE_WITHOUT_CONNECTION));
        (if request.method == Method::Connect { switch::CONNECT } else { 0 })
            | (if upgrade { switch::UPGRADE } else { 0 })
    }

    /// Version, keep-alive and framing, as a head says them.
    fn note(&mut self, role: Role, kind: EventKind, message: &Message) {
        if role != self.role {
            self.their_version = message.version;
        }
        if kind == EventKind::InformationalResponse {
            return;
        }
        if message.facts.close || !self.may_live_on(role, message) {
            self.states.disable_keep_alive();
        }
        if self.states.of(role) == State::SendBody {
            let framing = match role {
                Role::Client => Framing::of_request(&message.facts),
                Role::Server => Framing::of_response(self.method, message.status, &message.facts),
            };
            match role == self.role {
                true => self.writer = Writer::new(framing),
                false => self.reader = BodyParser::new(framing),
            }
        }
    }

    /// HTTP/1.1 keeps the connection alive unless it says otherwise; HTTP/1.0 does so if it asks for it and says where its message ends (RFC 9112
    /// section 9.3). An HTTP/1.0 request whose method usually has a body may have one even without Content-Length.
    fn may_live_on(&self, role: Role, message: &Message) -> bool {
        if message.version >= 0x0101 {
            return true;
        }
        let framed = match role {
            Role::Client => {
                message.facts.content_length().is_some() || matches!(message.method, Method::Get | Method::Head)
            }
            Role::Server => Framing::of_response(self.method, message.status, &message.facts) != Framing::UntilClose,
        };
        message.facts.keep_alive && framed && !self.rules.as_h11()
    }

    /// The length of the body that the peer's head has announced.
    pub fn their_body_length(&self) -> Option<u64> {
        match self.reader {
            BodyParser::Length { expected, .. } if self.their_state() == State::SendBody => Some(expected),
            _ => None,
        }
    }

    fn expect_100(&mut self, role: Role, kind: EventKind, message: Option<&Message>) {
        match (role, kind) {
            (Role::Client, EventKind::Request) => {
                let expects = |message: &Message| message.facts.expects_continue && message.version >= 0x0101;
                self.waiting_for_100 = message.is_some_and(expects);
            }
            (Role::Client, EventKind::Data | EventKind::EndOfMessage)
            | (Role::Server, EventKind::Response | EventKind::InformationalResponse) => self.waiting_for_100 = false,
            _ => {}
        }
    }

    /// Both sides are done: starts again, with what was received beyond the message. A client that has received more than its response gets an error
    /// instead: those bytes, which no request asked for, would be taken for the next response.
    pub fn start_next_cycle(&mut self) -> Result<(), ProtocolError> {
        let local = |message: String| Refusal::new(message).on(Side::Local);
        if self.role == Role::Client && self.our_state() == State::Done && !self.buffer.is_empty() {
            return Err(local(format!("{} unread bytes after the response", self.buffer.len())));
        }
        self.states.start_next_cycle().map_err(local)?;
        self.method = Method::None;
        Ok(())
    }
}
