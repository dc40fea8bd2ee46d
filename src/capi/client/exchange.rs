//! `atls_exchange`: one request and its response.

use std::ffi::CString;
use std::sync::{Arc, OnceLock};

use crate::capi::base::arguments::{Counted, Out, Owned, Place, require};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, add_ref, release, share};
use crate::capi::base::limit;
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::text::head::atls_head;
use crate::capi::text::text::owned_bytes;
use crate::client::blocking_exchange::{BlockingExchange, CALL_TIMEOUT};
use crate::client::exchange_task::{Prepared, SharedExchange, run_exchange};
use crate::client::http_client::ResponseRoute;
use crate::error::{Error, Result, Status};
use crate::io::pieces;
use crate::io::turn::in_turn;
use crate::operation::{Observer, SendQueue};

/// One request and its response. Reference-counted, safe to share between threads. Dropping the
/// last reference before the response was read to its end closes the connection; over HTTP/2, where
/// others share it, it resets the request's stream. The exchange keeps
/// what it needs: its atls_http or atls_client, and the runtime, may be freed first.
pub struct atls_exchange {
    mode: Mode,
    /// What atls_exchange_peer returns, written at its first call.
    pub(in crate::capi) peer: OnceLock<CString>,
    /// Keeps the runtime alive that the exchange runs on.
    _runtime: Option<Arc<atls_runtime>>,
}

impl Handle for atls_exchange {
    type Owner = Arc<atls_exchange>;
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
    /// Event-driven. `prepare` gets what a streamed body tells when it can take more again.
    pub(crate) fn start(
        runtime: &Arc<atls_runtime>,
        operation: Arc<Operation>,
        prepare: impl FnOnce(Arc<dyn Observer>) -> Result<Prepared>,
        place: Place<*mut atls_exchange>,
    ) -> Result<()> {
        let prepared = prepare(operation.clone())?;
        let shared = prepared.shared.clone();
        let made = atls_exchange::new(Mode::Events(shared.clone()), Some(runtime.clone()));
        let registration = operation.register(&made, &shared)?;
        // Before the first event can run.
        place.give(made);
        runtime.handle().spawn(in_turn(run_exchange(prepared, registration.begin())));
        Ok(())
    }

    /// Blocking; the request was sent already.
    pub(crate) fn sent(blocking: BlockingExchange) -> Arc<atls_exchange> {
        atls_exchange::new(Mode::Blocking(Box::new(blocking)), None)
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
    pub(in crate::capi) fn outgoing(&self) -> Result<&Arc<SendQueue>> {
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
pub extern "C" fn atls_exchange_head(
    exchange: Counted<atls_exchange>,
    timeout_ms: u32,
    head: Out<*mut atls_head>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let head = require(head, "head")?;
        let found = share(exchange, "exchange")?.blocking()?.head(limit(timeout_ms, CALL_TIMEOUT))?;
        head.write(atls_head::into_raw(found));
        Ok(())
    })
}

/// Blocking: waits for the next informational (1xx) head, or for the final head, in which case
/// *head is NULL. At most 64 informational heads are kept until they are taken; later ones are
/// discarded. The head is a new reference: free it.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: as atls_exchange_head.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_next_informational(
    exchange: Counted<atls_exchange>,
    timeout_ms: u32,
    head: Out<*mut atls_head>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let head = require(head, "head")?;
        let exchange = share(exchange, "exchange")?;
        let found = exchange.blocking()?.next_informational(limit(timeout_ms, CALL_TIMEOUT))?;
        head.write(found.map_or(std::ptr::null_mut(), atls_head::into_raw));
        Ok(())
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
    exchange: Counted<atls_exchange>,
    buf: *mut u8,
    cap: usize,
    timeout_ms: u32,
    n: Out<usize>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let n = require(n, "n")?;
        if buf.is_null() {
            return Err(Error::new(Status::NullArgument, "buf is NULL"));
        }
        let exchange = share(exchange, "exchange")?;
        let blocking = exchange.blocking()?;
        if cap == 0 {
            return Err(Error::new(Status::InvalidArgument, "cap is 0"));
        }
        let piece = blocking.read(cap, limit(timeout_ms, CALL_TIMEOUT))?;
        // SAFETY: the header requires room for `cap` bytes, and the piece is no longer than that.
        let place = unsafe { std::slice::from_raw_parts_mut(buf.cast::<std::mem::MaybeUninit<u8>>(), piece.len()) };
        pieces::put(&mut tokio::io::ReadBuf::uninit(place), &piece);
        n.write(piece.len());
        Ok(())
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
pub extern "C" fn atls_exchange_read_all(
    exchange: Counted<atls_exchange>,
    max: usize,
    timeout_ms: u32,
    body: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let body = require(body, "body")?;
        let exchange = share(exchange, "exchange")?;
        let whole = exchange.blocking()?.read_all(max, limit(timeout_ms, CALL_TIMEOUT))?;
        body.write(owned_bytes(whole));
        Ok(())
    })
}

/// Blocking: the trailers, once the body was read to its end; *trailers is NULL if there were none.
/// Does not wait. The trailers are a new reference: free it.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (event-driven exchange; the body is not at its end;
/// another call on the exchange is under way).
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_trailers(
    exchange: Counted<atls_exchange>,
    trailers: Out<*mut atls_head>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let trailers = require(trailers, "trailers")?;
        let exchange = share(exchange, "exchange")?;
        let found = exchange.blocking()?.trailers()?;
        trailers.write(found.map_or(std::ptr::null_mut(), |found| atls_head::into_raw(Arc::new(found))));
        Ok(())
    })
}

/// Event-driven: allows `bytes` more of the response body to be received. Grants add up; the sum
/// saturates.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (blocking exchange).
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_grant(
    exchange: Counted<atls_exchange>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        share(exchange, "exchange")?.events()?.credit.grant(bytes);
        Ok(())
    })
}

/// Cancels the exchange and, unless it was over, closes its connection; over HTTP/2 it resets its
/// stream, and others on the connection go on. Event-driven: CLOSED
/// follows, with CANCELED. Blocking: calls of other threads on this exchange return CANCELED.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_cancel(exchange: Counted<atls_exchange>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        share(exchange, "exchange")?.cancel();
        Ok(())
    })
}

/// Adds a reference; returns `exchange`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_ref(exchange: Counted<atls_exchange>) -> *mut atls_exchange {
    add_ref(exchange)
}

/// Drops a reference. The last one cancels the exchange, like atls_exchange_cancel; CLOSED still
/// comes.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_free(exchange: Owned<atls_exchange>) {
    guard_free(|| release(exchange));
}
