//! Heads as they are spelled, and how far an exchange has come on the wire: what `tap` sees, and the exchange asks for. No I/O.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};

use super::faults::{check_framing, judged, too_large, too_many};
use super::judge::{Fault, Judge};
use crate::client::options::HeadLimits;
use crate::client::request_body::Progress;
use crate::error::{Error, Result};
use crate::io::sync::lock;
use crate::message::Head;

/// More than hyper will accept as a head, so that what it accepts is always recorded whole.
const MAX_RECORD: usize = 512 << 10;

/// The state of one exchange, shared between the adapter and the exchange.
#[derive(Clone, Default)]
pub struct Spelling(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    /// Head to send in place of hyper's, and how much of it has gone.
    pub(super) outgoing: Option<(Vec<u8>, usize)>,
    pub(super) recording: bool,
    incoming: BytesMut,
    limits: HeadLimits,
    /// Reads along, to the end of the response.
    judge: Option<Judge>,
    /// Informational heads that have come, and their bytes.
    informational: (u32, usize),
    /// Those that have not been delivered yet, and the task that waits for the next.
    untold: VecDeque<Head>,
    listener: Option<Waker>,
    /// What the server did wrong. hyper gets the error on its next read, since nothing else stops it between two informational heads.
    pub(super) fault: Option<Error>,
    /// Whether the final head came before all of the request had left, once it comes.
    pub(super) early: Option<bool>,
    /// Some of what hyper has handed over waits in here, or in TLS, for a socket that takes no more now.
    pub(super) stuck: bool,
    /// Sending failed. What hyper sends from now on is taken and forgotten, so that it reads what the server said before it went.
    pub(super) broken: Option<Error>,
    waiting: Option<Waker>,
    pub(super) progress: Option<Arc<Progress>>,
}

impl Spelling {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// An exchange begins: send `head`, record what comes back. hyper must have said that it is ready: then all that was written before has
    /// left it, and the next that it writes is a head.
    pub fn begin(&self, head: Vec<u8>, limits: HeadLimits, progress: Arc<Progress>) {
        let mut state = lock(&self.0);
        let judge = Some(Judge::new(&head, &limits));
        let (outgoing, progress) = (Some((head, 0)), Some(progress));
        *state = State { outgoing, recording: true, limits, judge, progress, ..State::default() };
    }

    /// What the record has, of a head that was not shown.
    pub fn received(&self) -> Vec<u8> {
        lock(&self.0).incoming.to_vec()
    }

    /// hyper has met an informational head.
    pub fn informed(&self) {
        let mut state = lock(&self.0);
        if let Err(error) = state.take_informational() {
            state.fault.get_or_insert(error);
        }
        let listener = state.listener.take();
        drop(state);
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    /// The next informational head, as they came.
    pub fn poll_informational(&self, cx: &Context<'_>) -> Poll<Head> {
        let mut state = lock(&self.0);
        match state.untold.pop_front() {
            Some(head) => Poll::Ready(head),
            None => {
                state.listener = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub fn informational(&self) -> Option<Head> {
        lock(&self.0).untold.pop_front()
    }

    /// The final head, which hyper has shown as this status.
    pub fn final_head(&self, status: u16) -> Result<Option<Head>> {
        let mut state = lock(&self.0);
        if let Some(error) = &state.fault {
            return Err(error.clone());
        }
        loop {
            let Some(head) = state.next_head()? else { return Ok(None) };
            if head.status == status {
                state.recording = false;
                state.incoming = BytesMut::new();
                check_framing(&head)?;
                return Ok(Some(head));
            }
        }
    }

    pub fn fault(&self) -> Option<Error> {
        lock(&self.0).fault.clone()
    }

    /// Whether the answer came before all of the request was sent, or part of it still waits, or sending failed. The caller is woken if that becomes
    /// true.
    pub fn is_unsent(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.0);
        state.waiting = Some(cx.waker().clone());
        state.early == Some(true) || state.stuck || state.broken.is_some()
    }
}

impl State {
    fn next_head(&mut self) -> Result<Option<Head>> {
        let Some((head, length)) = parse(&self.incoming) else { return Ok(None) };
        if length > self.limits.bytes || head.count() > self.limits.lines {
            return Err(too_large(&self.limits));
        }
        self.incoming.advance(length);
        Ok(Some(head))
    }

    fn take_informational(&mut self) -> Result<()> {
        if self.fault.is_some() {
            return Ok(());
        }
        let before = self.incoming.len();
        let Some(head) = self.next_head()? else { return Ok(()) };
        check_framing(&head)?;
        self.informational.0 += 1;
        self.informational.1 += before - self.incoming.len();
        if self.informational.0 > self.limits.informational || self.informational.1 > self.limits.bytes {
            return Err(too_many(&self.limits));
        }
        self.untold.push_back(head);
        self.look_for_the_answer();
        Ok(())
    }

    /// Looks whether the final head has begun to come. Must be asked before anything more is written: a moment later the rest may have left.
    fn look_for_the_answer(&mut self) {
        let start = self.incoming.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        let line = self.incoming[start..].strip_prefix(b"HTTP/1.").and_then(|line| line.get(..3));
        if self.early.is_none() && matches!(line, Some([_, b' ', b'2'..=b'9'])) {
            self.early = Some(self.stuck || self.progress.as_ref().is_some_and(|progress| !progress.is_complete()));
        }
    }

    /// Records what has come, and looks at it: a head beyond its limit need not come to its end. False if hyper must not see it: it might take a body
    /// as complete that is not.
    pub(super) fn record(&mut self, came: &[u8]) -> bool {
        let fault = self.judge.as_mut().and_then(|judge| judge.see(came).err());
        self.judge.take_if(|judge| judge.is_over());
        self.record_head(came);
        let Some(fault) = fault else { return true };
        let error = self.refusal(&fault);
        self.fault.get_or_insert(error);
        !fault.in_body
    }

    fn refusal(&self, fault: &Fault) -> Error {
        let mut record = &self.incoming[..];
        while let Some((head, length)) = parse(record) {
            if let Err(error) = check_framing(&head) {
                return error;
            }
            record = &record[length..];
        }
        match fault.error.hint {
            431 if !fault.in_body => too_large(&self.limits),
            _ => judged(&fault.error, fault.in_body, record),
        }
    }

    fn record_head(&mut self, came: &[u8]) {
        if !self.recording || self.incoming.len() >= MAX_RECORD {
            return;
        }
        self.incoming.extend_from_slice(came);
        self.look_for_the_answer();
        let most = self.limits.bytes;
        if self.fault.is_none() && self.incoming.len() > most && !ends(&self.incoming[..most]) {
            self.fault = Some(too_large(&self.limits));
        }
    }

    pub(super) fn wake(mut state: MutexGuard<'_, State>) {
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// Whether a head ends in here.
fn ends(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

fn parse(bytes: &[u8]) -> Option<(Head, usize)> {
    // Most heads are short; the long table is set up only for those that are not.
    let config = super::faults::parser();
    let mut few = [httparse::EMPTY_HEADER; 24];
    let mut response = httparse::Response::new(&mut few);
    match config.parse_response(&mut response, bytes) {
        Ok(httparse::Status::Complete(length)) => return Some((head_of(&response, bytes)?, length)),
        Err(httparse::Error::TooManyHeaders) => {}
        _ => return None,
    }
    let mut many = vec![httparse::EMPTY_HEADER; crate::client::connection::MAX_HEADERS];
    let mut response = httparse::Response::new(&mut many);
    match config.parse_response(&mut response, bytes) {
        Ok(httparse::Status::Complete(length)) => Some((head_of(&response, bytes)?, length)),
        _ => None,
    }
}

fn head_of(response: &httparse::Response<'_, '_>, bytes: &[u8]) -> Option<Head> {
    let mut head = Head::new(response.code?, response.version?, reason_of(bytes));
    for line in response.headers.iter() {
        match line.value.contains(&b'\n') {
            false => head.add(line.name.as_bytes(), line.value),
            true => head.add(line.name.as_bytes(), &unfolded(line.value)),
        }
    }
    Some(head)
}

/// A value that goes on over several lines, as one (RFC 9112 section 5.2).
fn unfolded(value: &[u8]) -> Vec<u8> {
    let lines = value.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.map(|(index, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if index == 0 { line } else { &line[blanks..] }
    });
    lines.collect::<Vec<_>>().join(&b' ')
}

/// The reason phrase as it came: the parser gives none where it has bytes beyond ASCII, which RFC 9110 allows.
fn reason_of(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let line = bytes[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_phrase_is_kept_as_it_came() {
        for (line, reason) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], &b"OK"[..]),
            (b"\r\nHTTP/1.1 200 Sch\xc3\xb6n so\r\n", b"Sch\xc3\xb6n so"),
            (b"HTTP/1.1 200 \xe9\n", b"\xe9"),
            (b"HTTP/1.1 200 \r\n", b""),
            (b"HTTP/1.1 200\r\n", b""),
        ] {
            let (head, _) = parse(&[line, b"\r\n"].concat()).unwrap();
            assert_eq!(head.reason(), [reason, b"\0"].concat());
        }
    }
}
