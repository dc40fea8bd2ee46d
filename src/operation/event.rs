//! What operations report. No I/O.

use std::sync::Arc;

use bytes::Bytes;

use super::Credited;
use crate::error::Error;
use crate::message::ReceivedHead;

/// What an operation of one kind reports. An operation's events are in order, and one of them is always the last.
pub trait OperationEvent: Send + 'static {
    /// The last event, and why the operation ended, if that was an error.
    fn closed(error: Option<Error>) -> Self;

    fn is_closed(&self) -> bool;
}

/// What a transfer reports: a stream, an HTTP connection, a request with its response.
pub enum TransferEvent {
    Connected,
    Informational(ReceivedHead),
    Head(ReceivedHead),
    /// Bytes, taken from the credit; if that is automatic, they are granted again when the host is done with the event.
    Data(Bytes, Arc<dyn Credited>),
    Trailers(ReceivedHead),
    /// The peer will send no more; our direction may still be open.
    End,
    Writable,
    /// A streamed body is to be written once more.
    Rewind,
    /// Everything written has been sent, and so has the end of our direction.
    Sent,
    Closed(Option<Error>),
}

impl OperationEvent for TransferEvent {
    fn closed(error: Option<Error>) -> TransferEvent {
        TransferEvent::Closed(error)
    }

    fn is_closed(&self) -> bool {
        matches!(self, TransferEvent::Closed(_))
    }
}
