//! The connection of `h1`, in either role, run over a connected socket: what the host sends is checked at once and written as the peer takes it, what is
//! received is reported by events. May touch the network and the clock.

mod connection_task;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, OnceLock};

use bytes::BytesMut;
use tokio::sync::Notify;

pub use connection_task::{connect_task, connection_task};
pub use settings::{DriverDeadline, DriverLimit, DriverSettings};

use crate::error::{Error, Phase, Result, Status};
use crate::h1::{Connection, ProtocolError, Role, Rules, State};
use crate::io::deadline::ChosenDuration;
use crate::io::sync::lock;
use crate::operation::{Cancel, Credit, Observer, Running, TransferEvent};
use crate::stream::PendingStream;
use crate::verdict::Verdict;
use crate::verifier::Standing;

/// Beyond the high mark writes answer AGAIN; below the low mark a WRITABLE follows.
const HIGH: usize = 256 << 10;
const LOW: usize = 64 << 10;

/// Name and value of a header field.
pub type FieldLine<'a> = (&'a [u8], &'a [u8]);

/// What the host and the connection's task share.
pub struct H1Driver {
    pub settings: DriverSettings,
    pub credit: Arc<Credit>,
    pub cancel: Cancel,
    /// The trust in the server, if the connection was attested.
    pub trust: OnceLock<Arc<Standing>>,
    state: Mutex<DriverState>,
    /// The host has sent or set something.
    host_acted: Notify,
    observer: Arc<dyn Observer>,
}

struct DriverState {
    conn: Connection,
    outbox: BytesMut,
    wants_writable: bool,
    /// The host will send nothing more.
    closing: bool,
    handover: Option<PendingStream>,
    /// The host's own limits for the message that is being received, or, between messages, for the next one.
    limits: MessageLimits,
    /// The host was told the end of the last message: once both sides are done, its next request may follow at once.
    told_end: bool,
    /// Of the last request received.
    method: Vec<u8>,
    target: Vec<u8>,
    ended: Option<Error>,
}

/// Limits of one message in place of those of the settings.
#[derive(Clone, Copy, Default)]
struct MessageLimits {
    body: Option<u64>,
    body_within: ChosenDuration,
}

impl Running for H1Driver {
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl H1Driver {
    pub fn new(settings: DriverSettings, observer: Arc<dyn Observer>) -> H1Driver {
        let rules = Rules { flags: settings.flags, max_incomplete: settings.head, max_fields: settings.fields };
        let shared = DriverState {
            conn: Connection::new(settings.role, rules),
            outbox: BytesMut::new(),
            wants_writable: false,
            closing: false,
            handover: None,
            limits: MessageLimits::default(),
            told_end: false,
            method: Vec::new(),
            target: Vec::new(),
            ended: None,
        };
        H1Driver {
            credit: Arc::new(Credit::new(settings.credit, settings.automatic_credit)),
            cancel: Cancel::default(),
            trust: OnceLock::new(),
            state: Mutex::new(shared),
            host_acted: Notify::new(),
            observer,
            settings,
        }
    }

    /// On the server, if the connection was attested: the last one.
    pub fn verdict(&self) -> Option<Arc<Verdict>> {
        self.trust.get().map(|trust| trust.verdict())
    }

    /// Sends a request's head, as client. Errors: H1Local, and why the connection ended.
    pub fn send_request<'a>(
        &self,
        method: &[u8],
        target: &[u8],
        lines: impl Iterator<Item = FieldLine<'a>> + Clone,
    ) -> Result<()> {
        let close = self.close_field(lines.clone());
        self.send(|shared| {
            if shared.told_end {
                shared.start_next();
            }
            let head = shared.conn.send_request(method, target, lines.chain(close)).map_err(local)?;
            shared.outbox.extend_from_slice(head);
            Ok(())
        })
    }

    /// The host is about to be told the end of a message.
    fn end_of_message(&self) {
        let mut shared = lock(&self.state);
        (shared.limits, shared.told_end) = (MessageLimits::default(), true);
    }

    /// Sends a response's head, as server. Errors: as `send_request`.
    pub fn send_response<'a>(
        &self,
        status: u16,
        reason: &[u8],
        lines: impl Iterator<Item = FieldLine<'a>> + Clone,
    ) -> Result<()> {
        let close = self.close_field(lines.clone()).filter(|_| status >= 200);
        self.send(|shared| {
            let head = shared.conn.send_response(status, reason, lines.chain(close)).map_err(local)?;
            shared.outbox.extend_from_slice(head);
            Ok(())
        })
    }

    /// What is added to a final head if the connection serves one message only.
    fn close_field<'a>(&self, mut lines: impl Iterator<Item = FieldLine<'a>>) -> Option<FieldLine<'static>> {
        let said = lines.any(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
        (!self.settings.keep_alive && !said).then_some((&b"Connection"[..], &b"close"[..]))
    }

    /// Sends a piece of the body, all of it or nothing. Errors: Again, and as `send_request`.
    pub fn write(&self, data: &[u8]) -> Result<()> {
        self.send(|shared| {
            let waiting = shared.outbox.len();
            if waiting > 0 && waiting + data.len() > HIGH {
                shared.wants_writable = true;
                return Err(Error::new(Status::Again, "no room now; a WRITABLE event follows"));
            }
            let (before, after) = shared.conn.send_data(data.len() as u64).map_err(local)?;
            [before, data, after].iter().for_each(|part| shared.outbox.extend_from_slice(part));
            Ok(())
        })
    }

    /// Ends the message that is being sent. Errors: as `send_request`.
    pub fn finish<'a>(&self, trailers: impl Iterator<Item = FieldLine<'a>> + Clone) -> Result<()> {
        self.send(|shared| {
            let end = shared.conn.send_end_of_message(trailers).map_err(local)?;
            shared.outbox.extend_from_slice(end);
            Ok(())
        })
    }

    /// Limits the body that is being received, or is received next, in place of the settings.
    pub fn set_body_limit(&self, bytes: u64) {
        lock(&self.state).limits.body = Some(bytes);
        self.host_acted.notify_one();
    }

    /// As `set_body_limit`; the default is the deadline of the settings.
    pub fn set_body_deadline(&self, chosen: ChosenDuration) {
        lock(&self.state).limits.body_within = chosen;
        self.host_acted.notify_one();
    }

    /// Sends no more messages: what was sent before still goes out, then the connection ends.
    pub fn close(&self) {
        lock(&self.state).closing = true;
        self.host_acted.notify_one();
    }

    /// Takes the connection out of HTTP, with what was received beyond it. Errors: InvalidState (a message is under way), and as `send_request`.
    pub fn detach(&self, handover: PendingStream) -> Result<()> {
        self.send(|shared| {
            shared.check_detachable()?;
            shared.handover = Some(handover);
            Ok(())
        })
    }

    pub fn check_detachable(&self) -> Result<()> {
        lock(&self.state).check_detachable()
    }

    /// Method and target of the last request received.
    pub fn request(&self) -> (Vec<u8>, Vec<u8>) {
        let shared = lock(&self.state);
        (shared.method.clone(), shared.target.clone())
    }

    fn send(&self, act: impl FnOnce(&mut DriverState) -> Result<()>) -> Result<()> {
        let mut shared = lock(&self.state);
        if let Some(error) = &shared.ended {
            return Err(error.clone());
        }
        if shared.closing || shared.handover.is_some() {
            return Err(Error::new(Status::InvalidState, "the connection was closed or detached"));
        }
        let done = act(&mut shared);
        drop(shared);
        // Also if it was refused: that breaks the connection, and the task must end it.
        self.host_acted.notify_one();
        done
    }

    fn announce(&self, wanted: bool) {
        if wanted {
            self.observer.clone().post(TransferEvent::Writable, None);
        }
    }
}

impl DriverState {
    /// Starts the next message, if both sides are done with this one.
    fn start_next(&mut self) {
        if (self.conn.our_state(), self.conn.their_state()) == (State::Done, State::Done) {
            self.told_end = false;
            let _ = self.conn.start_next_cycle();
        }
    }

    /// As server: a request was received that has no complete response yet.
    fn owes_response(&self, role: Role) -> bool {
        role == Role::Server && matches!(self.conn.our_state(), State::SendResponse | State::SendBody)
    }

    fn check_detachable(&mut self) -> Result<()> {
        if self.told_end {
            self.start_next();
        }
        let state = (self.conn.our_state(), self.conn.their_state());
        match state {
            _ if self.ended.is_some() => Err(Error::new(Status::Closed, "the connection is over")),
            (State::SwitchedProtocol, _) | (State::Idle, State::Idle) => Ok(()),
            _ => Err(Error::new(Status::InvalidState, format!("a message is under way: {state:?}"))),
        }
    }
}

/// The host asked for something that HTTP does not allow now.
fn local(error: ProtocolError) -> Error {
    Error::new(Status::H1Local, error.message).phase(Phase::Transfer).http_status(error.hint)
}
