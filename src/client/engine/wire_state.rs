//! How far an exchange has come on the wire: what `tap` sees, and the exchange asks for. No I/O.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::response_reader::ResponseReader;
use crate::client::request_body::BodyProgress;
use crate::client::request_options::HeadLimits;
use crate::error::{Error, Result};
use crate::io::sync::lock;
use crate::message::ReceivedHead;

/// The state of one exchange, shared between the tap and the exchange.
#[derive(Clone, Default)]
pub struct WireState(Arc<Mutex<ExchangeWire>>);

#[derive(Default)]
pub(super) struct ExchangeWire {
    /// The head to send in place of hyper's, and how much of it was written.
    pub(super) outgoing: Option<(Vec<u8>, usize)>,
    /// Until the response has been read to its end.
    reader: Option<ResponseReader>,
    /// Bytes that came after it.
    unasked: usize,
    /// Informational heads that have not been delivered yet, and the task that waits for the next.
    informational: VecDeque<ReceivedHead>,
    listener: Option<Waker>,
    /// Until the exchange takes it.
    final_head: Option<ReceivedHead>,
    /// An exchange has begun, and its final head has not arrived yet.
    pub(super) head_is_due: bool,
    /// What the server did wrong. hyper gets this error instead of the bytes.
    pub(super) fault: Option<Error>,
    /// Whether the final head arrived before all of the request was sent; `None` until it arrives.
    pub(super) early: Option<bool>,
    /// Some of what hyper has written is still here or in TLS: the socket takes no more at present.
    pub(super) stuck: bool,
    /// Sending failed. What hyper writes from now on is discarded, so that hyper reads what the server sent before it closed.
    pub(super) broken: Option<Error>,
    waiting: Option<Waker>,
    pub(super) progress: Option<Arc<BodyProgress>>,
}

impl WireState {
    pub(super) fn state(&self) -> MutexGuard<'_, ExchangeWire> {
        lock(&self.0)
    }

    /// An exchange begins: send `head`, and read what comes back. hyper must have said that it is ready: then all that was written before has left it, and
    /// the next that it writes is a head. Errors: those of `ResponseReader::new`.
    pub fn begin(&self, head: Vec<u8>, limits: HeadLimits, progress: Arc<BodyProgress>) -> Result<()> {
        let reader = Some(ResponseReader::new(&head, limits)?);
        let (outgoing, progress) = (Some((head, 0)), Some(progress));
        *lock(&self.0) = ExchangeWire { outgoing, reader, head_is_due: true, progress, ..ExchangeWire::default() };
        Ok(())
    }

    /// Reads what has arrived, before hyper does. Errors: HttpProtocol; hyper must then not see it, since it might take an incomplete message for complete.
    pub(super) fn receive(&self, came: &[u8]) -> Result<()> {
        let mut state = lock(&self.0);
        let done = state.receive(came);
        let listener = if state.informational.is_empty() { None } else { state.listener.take() };
        drop(state);
        if let Some(listener) = listener {
            listener.wake();
        }
        done
    }

    /// The next informational head, in the order in which they came.
    pub fn poll_informational(&self, cx: &Context<'_>) -> Poll<ReceivedHead> {
        let mut state = lock(&self.0);
        match state.informational.pop_front() {
            Some(head) => Poll::Ready(head),
            None => {
                state.listener = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The final head; `None` unless its status is the one that hyper reports. Errors: what the server did wrong.
    pub fn final_head(&self, status: u16) -> Result<Option<ReceivedHead>> {
        let mut state = lock(&self.0);
        match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(state.final_head.take().filter(|head| head.status == status)),
        }
    }

    /// Bytes that came after the last response.
    pub fn unasked(&self) -> usize {
        lock(&self.0).unasked
    }

    pub fn head_is_due(&self) -> bool {
        lock(&self.0).head_is_due
    }

    pub fn fault(&self) -> Option<Error> {
        lock(&self.0).fault.clone()
    }

    /// Whether the response arrived before all of the request was sent, some of the request is still unsent, or sending failed. Wakes the caller when that becomes
    /// true.
    pub fn is_unsent(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.0);
        state.waiting = Some(cx.waker().clone());
        state.early == Some(true) || state.stuck || state.broken.is_some()
    }
}

impl ExchangeWire {
    fn receive(&mut self, came: &[u8]) -> Result<()> {
        let Some(mut reader) = self.reader.take() else {
            self.unasked += came.len();
            return Ok(());
        };
        let done = reader.read(came, |head| self.take_head(head));
        // Checked before anything more is written: a moment later the rest of the request may have been sent.
        if self.early.is_none() && reader.final_head_has_begun() {
            self.early = Some(self.stuck || self.progress.as_ref().is_some_and(|progress| !progress.is_complete()));
        }
        match reader.is_over() {
            true => self.unasked = reader.left_over(),
            false => self.reader = Some(reader),
        }
        done.inspect_err(|fault| self.fault = Some(fault.clone()))
    }

    fn take_head(&mut self, head: ReceivedHead) {
        match head.status {
            // After a 101 the connection is no longer HTTP: hyper takes it as final.
            101 | 200.. => {
                (self.final_head, self.head_is_due) = (Some(head), false);
                return;
            }
            100 => self.progress.iter().for_each(|progress| progress.let_go()),
            _ => {}
        }
        self.informational.push_back(head);
    }

    pub(super) fn wake(mut state: MutexGuard<'_, ExchangeWire>) {
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
