//! The sans-I/O connection of `h1`, in either role, run over a connected socket: what the host sends is checked at once and written as the peer takes it,
//! what comes is told by events. May touch the network and the clock.

mod connection_task;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Notify;

pub use connection_task::connection_task;

use crate::error::{Error, Phase, Result, Status};
use crate::h1::{Connection, ProtocolError, Role, Rules, State};
use crate::io::sync::lock;
use crate::operation::{Cancel, Credit, Observer, TransferEvent};
use crate::stream::PendingStream;
use crate::verdict::Verdict;

/// Beyond the high mark writes answer AGAIN; below the low mark a WRITABLE follows.
const HIGH: usize = 256 << 10;
const LOW: usize = 64 << 10;

#[derive(Clone, Debug)]
pub struct DriverSettings {
    pub role: Role,
    /// Leniency, as bits of `h1::flags`.
    pub flags: u32,
    /// Bytes of a head, and its lines.
    pub head: usize,
    pub fields: usize,
    /// Most bytes of a body that are told at once.
    pub piece: usize,
    /// Of each message that comes.
    pub body: u64,
    /// From when a head is due to its last byte.
    pub head_within: Option<Duration>,
    /// From head to end.
    pub body_within: Option<Duration>,
    /// Silence of the peer until TCP probes whether it is there.
    pub probe: Option<Duration>,
    pub keep_alive: bool,
    /// Bodies are decoded as their Content-Encoding says.
    pub decode: bool,
    pub credit: u64,
    pub automatic_credit: bool,
}

impl DriverSettings {
    /// The defaults.
    pub fn new(role: Role) -> DriverSettings {
        DriverSettings {
            role,
            flags: 0,
            head: 64 << 10,
            fields: Rules::MAX_FIELDS,
            piece: 64 << 10,
            body: 100 << 20,
            head_within: None,
            body_within: None,
            probe: Some(Duration::from_secs(15)),
            keep_alive: true,
            decode: false,
            credit: 256 << 10,
            automatic_credit: true,
        }
    }
}

/// A header line.
pub type FieldLine<'a> = (&'a [u8], &'a [u8]);

/// What the host and the driving task share.
pub struct H1Driver {
    pub settings: DriverSettings,
    pub credit: Arc<Credit>,
    pub cancel: Cancel,
    /// On the server, where the connection was attested.
    pub verdict: OnceLock<Arc<Verdict>>,
    state: Mutex<DriverState>,
    /// The host has said something.
    spoke: Notify,
    observer: Arc<dyn Observer>,
}

struct DriverState {
    conn: Connection,
    outbox: BytesMut,
    wants_writable: bool,
    /// The host has said the last that it will.
    closing: bool,
    handover: Option<PendingStream>,
    /// What the host has set for the message that comes in, or, between messages, for the next one.
    own: Own,
    /// The host was shown the end of the message that came last: once both ends are done, its next request may follow at once.
    told_end: bool,
    /// Of the request that came last.
    method: Vec<u8>,
    target: Vec<u8>,
    ended: Option<Error>,
}

/// Of one message, in place of the settings'.
#[derive(Clone, Copy, Default)]
struct Own {
    body: Option<u64>,
    body_within: Option<Option<Duration>>,
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
            own: Own::default(),
            told_end: false,
            method: Vec::new(),
            target: Vec::new(),
            ended: None,
        };
        H1Driver {
            credit: Arc::new(Credit::new(settings.credit, settings.automatic_credit)),
            cancel: Cancel::default(),
            verdict: OnceLock::new(),
            state: Mutex::new(shared),
            spoke: Notify::new(),
            observer,
            settings,
        }
    }

    /// A request's head, as client. Errors: H1Local, and why the connection ended.
    pub fn send_request<'a>(
        &self,
        method: &[u8],
        target: &[u8],
        lines: impl Iterator<Item = FieldLine<'a>> + Clone,
    ) -> Result<()> {
        let close = self.close_line(lines.clone());
        self.say(|shared| {
            if shared.told_end {
                shared.go_on();
            }
            let head = shared.conn.send_request(method, target, lines.chain(close)).map_err(local)?;
            shared.outbox.extend_from_slice(head);
            Ok(())
        })
    }

    /// The host is about to be shown the end of a message.
    fn tell_end(&self) {
        let mut shared = lock(&self.state);
        (shared.own, shared.told_end) = (Own::default(), true);
    }

    /// A response's head, as server. Errors: as `send_request`.
    pub fn send_response<'a>(
        &self,
        status: u16,
        reason: &[u8],
        lines: impl Iterator<Item = FieldLine<'a>> + Clone,
    ) -> Result<()> {
        let close = self.close_line(lines.clone()).filter(|_| status >= 200);
        self.say(|shared| {
            let head = shared.conn.send_response(status, reason, lines.chain(close)).map_err(local)?;
            shared.outbox.extend_from_slice(head);
            Ok(())
        })
    }

    /// What is added to a final head where the connection serves one message only.
    fn close_line<'a>(&self, mut lines: impl Iterator<Item = FieldLine<'a>>) -> Option<FieldLine<'static>> {
        let said = lines.any(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
        (!self.settings.keep_alive && !said).then_some((&b"Connection"[..], &b"close"[..]))
    }

    /// Some of our body, all of it or nothing. Errors: Again, and as `send_request`.
    pub fn write(&self, data: &[u8]) -> Result<()> {
        self.say(|shared| {
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

    /// The end of our message. Errors: as `send_request`.
    pub fn finish<'a>(&self, trailers: impl Iterator<Item = FieldLine<'a>> + Clone) -> Result<()> {
        self.say(|shared| {
            let end = shared.conn.send_end_of_message(trailers).map_err(local)?;
            shared.outbox.extend_from_slice(end);
            Ok(())
        })
    }

    /// Another limit for the body that comes, or comes next, and another time for all of it, than the settings'.
    pub fn set_body_limit(&self, bytes: u64) {
        lock(&self.state).own.body = Some(bytes);
        self.spoke.notify_one();
    }

    pub fn set_body_deadline(&self, deadline: Option<Duration>) {
        lock(&self.state).own.body_within = Some(deadline);
        self.spoke.notify_one();
    }

    /// No more messages: what was said still goes out, then the connection ends.
    pub fn close(&self) {
        lock(&self.state).closing = true;
        self.spoke.notify_one();
    }

    /// Takes the connection out of HTTP, with what has come beyond it. Errors: InvalidState (a message is under way), and as `send_request`.
    pub fn detach(&self, handover: PendingStream) -> Result<()> {
        self.say(|shared| {
            shared.check_detachable()?;
            shared.handover = Some(handover);
            Ok(())
        })
    }

    pub fn check_detachable(&self) -> Result<()> {
        lock(&self.state).check_detachable()
    }

    /// Method and target of the request that came last.
    pub fn request(&self) -> (Vec<u8>, Vec<u8>) {
        let shared = lock(&self.state);
        (shared.method.clone(), shared.target.clone())
    }

    fn say(&self, say: impl FnOnce(&mut DriverState) -> Result<()>) -> Result<()> {
        let mut shared = lock(&self.state);
        if let Some(error) = &shared.ended {
            return Err(error.clone());
        }
        if shared.closing || shared.handover.is_some() {
            return Err(Error::new(Status::InvalidState, "the connection was closed or detached"));
        }
        let said = say(&mut shared);
        drop(shared);
        // Also where it may not be said: that breaks the connection, which the task has to end.
        self.spoke.notify_one();
        said
    }

    fn announce(&self, wanted: bool) {
        if wanted {
            self.observer.post(TransferEvent::Writable, None);
        }
    }
}

impl DriverState {
    /// On to the next message, if both ends are done with this one.
    fn go_on(&mut self) {
        if (self.conn.our_state(), self.conn.their_state()) == (State::Done, State::Done) {
            self.told_end = false;
            let _ = self.conn.start_next_cycle();
        }
    }

    /// As server: the peer has asked, and has no whole answer yet.
    fn owes_an_answer(&self, role: Role) -> bool {
        role == Role::Server && matches!(self.conn.our_state(), State::SendResponse | State::SendBody)
    }

    fn check_detachable(&mut self) -> Result<()> {
        if self.told_end {
            self.go_on();
        }
        let state = (self.conn.our_state(), self.conn.their_state());
        match state {
            _ if self.ended.is_some() => Err(Error::new(Status::Closed, "the connection is over")),
            (State::SwitchedProtocol, _) | (State::Idle, State::Idle) => Ok(()),
            _ => Err(Error::new(Status::InvalidState, format!("a message is under way: {state:?}"))),
        }
    }
}

/// The host may not say that now.
fn local(error: ProtocolError) -> Error {
    Error::new(Status::H1Local, error.message).phase(Phase::Transfer).http_status(error.hint)
}
