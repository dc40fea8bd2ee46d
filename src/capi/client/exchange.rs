//! `atls_exchange`: one request and its response.

use std::ffi::CString;
use std::sync::{Arc, OnceLock};

use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard_free;
use crate::capi::base::limit;
use crate::capi::base::operation::Operation;
use crate::capi::base::raw::guard;
use crate::capi::base::raw::{another, put, release, require, share};
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::text::head::atls_head;
use crate::capi::text::text::owned_bytes;
use crate::client::blocking_exchange::{BlockingExchange, CALL_TIMEOUT};
use crate::client::exchange_task::{OnWritable, Prepared, SharedExchange, run_exchange};
use crate::client::http_client::ResponseRoute;
use crate::error::{Error, Result, Status};
use crate::operation::{Outgoing, TransferEvent};

/// One request and its response. Reference-counted, safe to share between threads. Dropping the
/// last reference before the response was read to its end closes the connection. The exchange keeps
/// what it needs: its atls_http or atls_client, and the runtime, may be freed first.
pub struct atls_exchange {
    mode: Mode,
    /// What atls_exchange_peer returns, written at its first call.
    pub(in crate::capi) peer: OnceLock<CString>,
    /// Keeps the runtime alive that the exchange runs on.
    _runtime: Option<Arc<atls_runtime>>,
}

impl crate::capi::base::handle::Handle for atls_exchange {
    type Owner = std::sync::Arc<atls_exchange>;
}

enum Mode {
    Events(Arc<SharedExchange>),
    Blocking(Box<BlockingExchange>),
}

impl Drop for atls_exchange {
    fn drop(&mut self) {
        if let Mode::Events(shared) = &self.mode {
            shared.cancel.cancel();
        }
    }
}

impl atls_exchange {
    /// Event-driven. `prepare` gets what a streamed body calls when it can take more again; `hand_over` writes the handle to
    /// its place before the first event can run.
    pub(crate) fn start(
        runtime: &Arc<atls_runtime>,
        operation: Arc<Operation>,
        prepare: impl FnOnce(OnWritable) -> Result<Prepared>,
        hand_over: impl FnOnce(*mut atls_exchange) -> Result<()>,
    ) -> Result<()> {
        let observer = operation.observer();
        let prepared = prepare(Box::new(move || observer.post(TransferEvent::Writable, None)))?;
        let shared = prepared.shared.clone();
        let made = atls_exchange::new(Mode::Events(shared.clone()), Some(runtime.clone()));
        let registration = operation.register(&made, &shared, |shared| shared.cancel.cancel())?;
        hand_over(Arc::into_raw(made).cast_mut())?;
        runtime.handle().spawn(run_exchange(prepared, registration.begin()));
        Ok(())
    }

    /// Blocking; the request was sent already.
    pub(crate) fn sent(blocking: BlockingExchange) -> *mut atls_exchange {
        Arc::into_raw(atls_exchange::new(Mode::Blocking(Box::new(blocking)), None)).cast_mut()
    }

    fn new(mode: Mode, runtime: Option<Arc<atls_runtime>>) -> Arc<atls_exchange> {
        Arc::new(atls_exchange { mode, peer: OnceLock::new(), _runtime: runtime })
    }

    pub(in crate::capi) fn route(&self) -> Option<&ResponseRoute> {
        match &self.mode {
            Mode::Events(shared) => shared.route.get(),
            Mode::Blocking(blocking) => blocking.route(),
        }
    }

    pub(in crate::capi) fn blocking(&self) -> Result<&BlockingExchange> {
        match &self.mode {
            Mode::Blocking(blocking) => Ok(blocking),
            Mode::Events(_) => Err(Error::new(Status::InvalidState, "the exchange is event-driven")),
        }
    }

    pub(in crate::capi) fn events(&self) -> Result<&SharedExchange> {
        match &self.mode {
            Mode::Events(shared) => Ok(shared),
            Mode::Blocking(_) => Err(Error::new(Status::InvalidState, "the exchange is blocking")),
        }
    }

    /// The request body, if it is a stream, in either mode.
    pub(in crate::capi) fn outgoing(&self) -> Result<&Arc<Outgoing>> {
        let outgoing = match &self.mode {
            Mode::Events(shared) => shared.outgoing.as_ref(),
            Mode::Blocking(blocking) => blocking.outgoing(),
        };
        outgoing.ok_or_else(|| Error::new(Status::InvalidState, "the request's body is not a stream"))
    }

    fn cancel(&self) {
        match &self.mode {
            Mode::Events(shared) => shared.cancel.cancel(),
            Mode::Blocking(blocking) => blocking.cancel(),
        }
    }
}

/// Blocking: waits for the response head. The head is a new reference: free it.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (event-driven exchange), WOULD_DEADLOCK, TIMED_OUT,
/// CANCELED, AGAIN (the body must be written again: atls_exchange_rewind), and as atls_http_fetch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_head(
    exchange: *const atls_exchange,
    timeout_ms: u32,
    head: *mut *mut atls_head,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(head, "head")?;
        let found = unsafe { share(exchange, "exchange") }?.blocking()?.head(limit(timeout_ms, CALL_TIMEOUT))?;
        unsafe { put(head, atls_head::into_raw(found), "head") }
    })
}

/// Blocking: waits for the next informational (1xx) head, or for the final head, in which case
/// *head is NULL. At most 64 informational heads are kept until they are taken; later ones are
/// discarded. The head is a new reference: free it.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: as atls_exchange_head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_next_informational(
    exchange: *const atls_exchange,
    timeout_ms: u32,
    head: *mut *mut atls_head,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(head, "head")?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        let found = exchange.blocking()?.next_informational(limit(timeout_ms, CALL_TIMEOUT))?;
        unsafe { put(head, found.map_or(std::ptr::null_mut(), atls_head::into_raw), "head") }
    })
}

/// Blocking: waits for bytes of the response body and copies up to `cap` of them into `buf`. *n is
/// 0 only at the end of the body; the connection is then free for the next request. After TIMED_OUT
/// nothing is lost: call again.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`cap` is 0), INVALID_STATE (event-driven exchange),
/// WOULD_DEADLOCK, TIMED_OUT, CANCELED, IO, TRUNCATED, HTTP_PROTOCOL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_read(
    exchange: *const atls_exchange,
    buf: *mut u8,
    cap: usize,
    timeout_ms: u32,
    n: *mut usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(n, "n")?;
        require(buf, "buf")?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        let blocking = exchange.blocking()?;
        if cap == 0 {
            return Err(Error::new(Status::InvalidArgument, "cap is 0"));
        }
        let piece = blocking.read(cap, limit(timeout_ms, CALL_TIMEOUT))?;
        // SAFETY: the host says that `buf` has room for `cap` bytes, and the piece is no longer.
        unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), buf, piece.len()) };
        unsafe { put(n, piece.len(), "n") }
    })
}

/// Blocking: waits for the rest of the response body and returns all of it, followed by a NUL that
/// its length does not count. After TIMED_OUT nothing is lost: the next call includes what has
/// arrived.
/// `max`: most bytes to accept; a longer body is BODY_TOO_LARGE.
/// `timeout_ms`: for the whole body; 60 seconds by default.
/// `body`: the caller's to free.
/// Statuses: as atls_exchange_read, and BODY_TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_read_all(
    exchange: *const atls_exchange,
    max: usize,
    timeout_ms: u32,
    body: *mut *mut atls_buf,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(body, "body")?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        let whole = exchange.blocking()?.read_all(max, limit(timeout_ms, CALL_TIMEOUT))?;
        unsafe { put(body, owned_bytes(whole), "body") }
    })
}

/// Blocking: the trailers, once the body was read to its end; *trailers is NULL if there were none.
/// Does not wait. The trailers are a new reference: free it.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (event-driven exchange; the body is not at its end;
/// another call on the exchange is under way).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_trailers(
    exchange: *const atls_exchange,
    trailers: *mut *mut atls_head,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(trailers, "trailers")?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        let found = exchange.blocking()?.trailers()?;
        unsafe { put(trailers, found.map_or(std::ptr::null_mut(), atls_head::into_raw), "trailers") }
    })
}

/// Event-driven: allows `bytes` more of the response body to be received. Grants add up; the sum
/// saturates.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (blocking exchange).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_grant(
    exchange: *const atls_exchange,
    bytes: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { share(exchange, "exchange") }?.events()?.credit.grant(bytes);
        Ok(())
    })
}

/// Cancels the exchange and, unless it was over, closes its connection. Event-driven: CLOSED
/// follows, with CANCELED. Blocking: calls of other threads on this exchange return CANCELED.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_cancel(
    exchange: *const atls_exchange,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { share(exchange, "exchange") }?.cancel();
        Ok(())
    })
}

/// Adds a reference; returns `exchange`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_ref(exchange: *mut atls_exchange) -> *mut atls_exchange {
    unsafe { another(exchange) }
}

/// Drops a reference. The last one cancels the exchange, like atls_exchange_cancel; CLOSED still
/// comes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_free(exchange: *mut atls_exchange) {
    guard_free(|| unsafe { release(exchange) });
}
