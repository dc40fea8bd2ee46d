//! `atls_event`, `atls_sink`, and an event on its way to the host.

use std::any::Any;
use std::ffi::c_void;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::bytes::atls_buf;
use super::error::atls_error;
use super::operation::Operation;
use super::poison;
use super::status::{ATLS_OK, ATLS_PANIC, atls_status};
use crate::capi::text::head::atls_head;
use crate::error::Error;
use crate::message::ReceivedHead;
use crate::operation::{Credited, Delivery, OperationEvent, TransferEvent};

/// Kinds of events. Later versions add some: ignore what you do not know.
pub type atls_event_kind = u32;

/// The connection is established, and attested if there is a policy; the verdict is available. For a client's exchange with a streamed body: it has a
/// connection, and the body may be written.
pub const ATLS_EVENT_CONNECTED: atls_event_kind = 1;
/// An informational (1xx) response head, in `head`.
pub const ATLS_EVENT_INFORMATIONAL: atls_event_kind = 2;
/// The final response head, in `head`.
pub const ATLS_EVENT_HEAD: atls_event_kind = 3;
/// Bytes in `buf`. They count against the credit.
pub const ATLS_EVENT_DATA: atls_event_kind = 4;
/// Trailers after the body, in `head` (its status is 0).
pub const ATLS_EVENT_TRAILERS: atls_event_kind = 5;
/// The peer will send no more. On a stream, this side may continue to send.
pub const ATLS_EVENT_END: atls_event_kind = 6;
/// There is room again after a write that answered AGAIN.
pub const ATLS_EVENT_WRITABLE: atls_event_kind = 7;
/// A streamed request body must be written again from its beginning (atls_request_set_body_rewindable). Until atls_exchange_rewind is called, writes
/// are refused.
pub const ATLS_EVENT_REWIND: atls_event_kind = 20;
/// After atls_stream_finish: everything that was written has been sent, and so has the end of this direction.
pub const ATLS_EVENT_SENT: atls_event_kind = 21;
/// The last event. `status` and `error` say why the operation ended; OK after a regular end.
pub const ATLS_EVENT_CLOSED: atls_event_kind = 8;
/// A request has arrived at a server: `source` is the atls_server_request, `head` has its header fields (the status is 0). If you neither take a
/// reference nor start the request, it is dropped and answered with 500.
pub const ATLS_EVENT_REQUEST: atls_event_kind = 9;

/// A server refuses a peer, or a request that the host does not get to see: `error` says why, with atls_error_detail and atls_error_peer. Or a TLS
/// handshake has failed (atls_server_config_set_handshake_events; the phase is "tls"). Once the host is done with the event, or after a second, the
/// peer is answered with atls_error_http_status.
pub const ATLS_EVENT_REFUSED: atls_event_kind = 10;

/// One event. Owned by the library and valid during the callback or, on a polled queue, until atls_event_release. Minor versions may append fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_event {
    /// ATLS_EVENT_*; ignore what you do not know.
    pub kind: atls_event_kind,
    /// On CLOSED: why it ended. On REFUSED: why. OK otherwise.
    pub status: atls_status,
    /// From the sink.
    pub token: u64,
    /// The handle that the event is about (atls_stream, atls_http, atls_exchange, atls_server or atls_server_request); borrowed. NULL once
    /// the host has freed it.
    pub source: *mut c_void,
    /// DATA: borrowed; atls_buf_ref keeps it, without a copy. NULL otherwise.
    pub buf: *mut atls_buf,
    /// REFUSED, and CLOSED with a failure: borrowed; atls_error_ref keeps it. NULL otherwise.
    pub error: *mut atls_error,
    /// INFORMATIONAL, HEAD, TRAILERS, REQUEST: borrowed; atls_head_ref keeps it. NULL otherwise.
    pub head: *mut atls_head,
    /// The library's own.
    pub opaque: *mut c_void,
}

/// Where the events of one operation go. Copied when the operation starts; its layout never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_sink {
    /// Required; kept alive by the operation.
    pub queue: *mut super::queue::atls_queue,
    /// Returned in every event.
    pub token: u64,
    /// Dispatching and inline queues: receives the events; NULL if none is wanted. Polled queues ignore it.
    pub call: Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const atls_event)>,
    /// The host's own: what its functions are given.
    pub user_data: *mut c_void,
    /// Optional. Runs once, after CLOSED was delivered: the place to free user_data.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

/// An event on its way to the host, with all that must be given back when the host is done with it.
pub struct Posted {
    kind: u32,
    status: atls_status,
    operation: Arc<Operation>,
    source: Option<Arc<dyn Any + Send + Sync>>,
    buf: Option<Arc<atls_buf>>,
    error: Option<Arc<atls_error>>,
    head: Option<Arc<atls_head>>,
    regrant: Option<(Arc<dyn Credited>, u64)>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// An event as the host is shown it.
pub trait HostEvent: OperationEvent {
    /// Puts what the event carries into `posted`; answers its ATLS_EVENT_*.
    fn show(self, posted: &mut Posted) -> u32;
}

impl HostEvent for TransferEvent {
    fn show(self, posted: &mut Posted) -> u32 {
        match self {
            TransferEvent::Connected => ATLS_EVENT_CONNECTED,
            TransferEvent::Informational(head) => posted.show_head(ATLS_EVENT_INFORMATIONAL, head),
            TransferEvent::Head(head) => posted.show_head(ATLS_EVENT_HEAD, head),
            TransferEvent::Trailers(head) => posted.show_head(ATLS_EVENT_TRAILERS, head),
            TransferEvent::End => ATLS_EVENT_END,
            TransferEvent::Writable => ATLS_EVENT_WRITABLE,
            TransferEvent::Rewind => ATLS_EVENT_REWIND,
            TransferEvent::Sent => ATLS_EVENT_SENT,
            TransferEvent::Data(bytes, credit) => {
                posted.regrant = credit.credit().automatic.then_some((credit, bytes.len() as u64));
                posted.buf = Some(Arc::new(atls_buf { bytes }));
                ATLS_EVENT_DATA
            }
            TransferEvent::Closed(error) => posted.show_closed(error),
        }
    }
}

impl Posted {
    pub(in crate::capi) fn new(
        operation: &Arc<Operation>,
        event: impl HostEvent,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Posted {
        let mut posted = Posted {
            kind: 0,
            status: ATLS_OK,
            operation: operation.clone(),
            source: operation.source(),
            buf: None,
            error: None,
            head: None,
            regrant: None,
            _permit: permit,
        };
        posted.kind = event.show(&mut posted);
        posted
    }

    fn show_head(&mut self, kind: u32, head: ReceivedHead) -> u32 {
        self.head = Some(Arc::new(atls_head::new(head)));
        kind
    }

    /// The event is about `source` instead of the operation's handle.
    pub(in crate::capi) fn show_request<H: Send + Sync + 'static>(&mut self, source: H, head: Arc<atls_head>) -> u32 {
        self.source = Some(Arc::new(source));
        self.head = Some(head);
        ATLS_EVENT_REQUEST
    }

    pub(in crate::capi) fn show_refused(&mut self, error: Error) -> u32 {
        self.status = error.status as atls_status;
        self.error = Some(Arc::new(atls_error::new(error)));
        ATLS_EVENT_REFUSED
    }

    pub(in crate::capi) fn show_closed(&mut self, error: Option<Error>) -> u32 {
        self.status = error.as_ref().map_or(ATLS_OK, |error| error.status as atls_status);
        if let (ATLS_PANIC, Some(source)) = (self.status, &self.source) {
            poison::spoil(Arc::as_ptr(source).cast());
            // Keeps the address from being used again, wherever the handle is freed.
            std::mem::forget(Arc::downgrade(source));
        }
        self.error = error.map(|error| Arc::new(atls_error::new(error)));
        ATLS_EVENT_CLOSED
    }

    /// The event as C sees it; `opaque` is what atls_event_release gets back.
    pub fn view(&self, opaque: *mut c_void) -> atls_event {
        fn pointer<T>(value: &Option<Arc<T>>) -> *mut T {
            value.as_ref().map_or(std::ptr::null_mut(), |value| Arc::as_ptr(value).cast_mut())
        }
        atls_event {
            kind: self.kind,
            status: self.status,
            token: self.operation.token,
            source: self
                .source
                .as_ref()
                .map_or(std::ptr::null_mut(), |source| Arc::as_ptr(source).cast::<c_void>().cast_mut()),
            buf: pointer(&self.buf),
            error: pointer(&self.error),
            head: pointer(&self.head),
            opaque,
        }
    }
}

impl Delivery for Posted {
    fn deliver(self) {
        self.operation.call(|| self.view(std::ptr::null_mut()));
        self.release();
    }

    /// Credit and room are given back; after CLOSED the host's object is released too.
    fn release(self) {
        if let Some((credit, bytes)) = &self.regrant {
            credit.credit().grant(*bytes);
        }
        let closed = (self.kind == ATLS_EVENT_CLOSED).then(|| self.operation.clone());
        drop(self);
        if let Some(operation) = closed {
            operation.release();
        }
    }
}
