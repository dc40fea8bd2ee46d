//! `atls_exchange`: one request and its response.

use std::ffi::CString;
use std::sync::{Arc, OnceLock};

use super::blocking_exchange::{Blocking, await_answer, next_piece, rest};
use super::http::atls_http;
use super::request::atls_request;
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{another, put, release, require, share};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::text::head::atls_head;
use crate::client::HttpConnection;
use crate::client::call::CallBody;
use crate::client::client::{Client, Route};
use crate::client::exchange_task::{Carrier, Shared, drive};
use crate::error::{Error, Result, Status};
use crate::operation::events::Event;
use crate::operation::{Cancel, Credit, Outgoing};

/// One request and its response. Reference-counted, safe to share between threads; dropping the last reference before the response was read to its
/// end gives up the connection. It keeps what it needs: its atls_http or atls_client, and the runtime, may be freed first.
pub struct atls_exchange {
    mode: Mode,
    /// What atls_exchange_peer shows, once it was asked.
    pub(in crate::capi) peer: OnceLock<CString>,
    /// Kept: without it the exchange could not go on.
    _runtime: Option<Arc<atls_runtime>>,
}

enum Mode {
    Events(Arc<Shared>),
    Blocking(Box<Blocking>),
}

impl Drop for atls_exchange {
    fn drop(&mut self) {
        match &self.mode {
            Mode::Events(shared) => shared.cancel.cancel(),
            Mode::Blocking(blocking) => blocking.give_up(),
        }
    }
}

impl atls_exchange {
    /// Event-driven start on a connection of the host's own. `hand_over` writes the handle to its place, before the first event can run.
    pub(crate) fn start(
        http: &atls_http,
        runtime: &Arc<atls_runtime>,
        request: &atls_request,
        operation: Arc<Operation>,
        hand_over: impl FnOnce(*mut atls_exchange) -> Result<()>,
    ) -> Result<()> {
        let (complete, head) = request.complete()?;
        let connection = http.connection()?.clone();
        let reservation = connection.reserve()?;
        let credit = Credit::new(http.credit, http.automatic_credit);
        let (body, shared) = prepare(request, credit, Some(connection), &operation);
        let carrier = Carrier::Connection { reservation, request: complete, head, body: body.begin() };
        launch(carrier, shared, runtime, operation, hand_over)
    }

    /// Event-driven start through a client.
    pub(crate) fn send(
        client: &Arc<Client>,
        credit: Credit,
        runtime: &Arc<atls_runtime>,
        request: &atls_request,
        operation: Arc<Operation>,
        hand_over: impl FnOnce(*mut atls_exchange) -> Result<()>,
    ) -> Result<()> {
        request.complete()?;
        let (body, shared) = prepare(request, credit, None, &operation);
        let call = Box::new(request.call(body)?);
        let turn = client.queue(&call);
        launch(Carrier::Client { client: client.clone(), call, turn }, shared, runtime, operation, hand_over)
    }

    /// Blocking, sent already.
    pub(crate) fn sent(blocking: Blocking) -> *mut atls_exchange {
        Arc::into_raw(Arc::new(atls_exchange {
            mode: Mode::Blocking(Box::new(blocking)),
            peer: OnceLock::new(),
            _runtime: None,
        }))
        .cast_mut()
    }

    pub(in crate::capi) fn route(&self) -> Option<&Route> {
        match &self.mode {
            Mode::Events(shared) => shared.route.get(),
            Mode::Blocking(blocking) => blocking.route.get(),
        }
    }

    pub(in crate::capi) fn blocking(&self) -> Result<&Blocking> {
        match &self.mode {
            Mode::Blocking(blocking) => Ok(blocking),
            Mode::Events(_) => Err(Error::new(Status::InvalidState, "the exchange is event-driven")),
        }
    }

    pub(in crate::capi) fn outgoing(&self) -> Result<&Arc<Outgoing>> {
        let outgoing = match &self.mode {
            Mode::Events(shared) => &shared.outgoing,
            Mode::Blocking(blocking) => &blocking.outgoing,
        };
        outgoing.as_ref().ok_or_else(|| Error::new(Status::InvalidState, "the request's body is not a stream"))
    }
}

fn prepare(
    request: &atls_request,
    credit: Credit,
    connection: Option<Arc<HttpConnection>>,
    operation: &Arc<Operation>,
) -> (CallBody, Arc<Shared>) {
    let observer = operation.observer();
    let body = request.body.begin(Box::new(move || observer.post(Event::Writable, None)));
    let shared = Arc::new(Shared {
        credit: Arc::new(credit),
        outgoing: body.outgoing(),
        cancel: Cancel::default(),
        connection,
        options: request.options.clone(),
        route: OnceLock::new(),
    });
    (body, shared)
}

fn launch(
    carrier: Carrier,
    shared: Arc<Shared>,
    runtime: &Arc<atls_runtime>,
    operation: Arc<Operation>,
    hand_over: impl FnOnce(*mut atls_exchange) -> Result<()>,
) -> Result<()> {
    let made = Arc::new(atls_exchange {
        mode: Mode::Events(shared.clone()),
        peer: OnceLock::new(),
        _runtime: Some(runtime.clone()),
    });
    let registration = operation.register(&made, &shared, |shared| shared.cancel.cancel())?;
    hand_over(Arc::into_raw(made).cast_mut())?;
    runtime.handle().spawn(drive(carrier, shared, registration.begin()));
    Ok(())
}

/// Blocking: waits for the response head. A new reference: free it. `timeout_ms` 0 means 60 seconds. Statuses: NULL_ARGUMENT, INVALID_STATE
/// (event-driven exchange), WOULD_DEADLOCK, TIMED_OUT, CANCELED, AGAIN (the body must be written again: atls_exchange_rewind), and as
/// atls_http_fetch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_head(
    exchange: *const atls_exchange,
    head: *mut *mut atls_head,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(head, "head")?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        let blocking = exchange.blocking()?;
        let found = blocking.run(timeout_ms, "waiting for the response head", async |state| {
            await_answer(state).await?;
            state.head.clone().ok_or_else(|| Error::new(Status::Internal, "no response head"))
        })?;
        unsafe { put(head, Arc::into_raw(found).cast_mut(), "head") }
    })
}

/// Blocking: the next informational (1xx) head; waits until one is there, or until the final head is; then `*head` is NULL. At most 64 are kept until
/// they are asked for; later ones are discarded. A new reference: free it. `timeout_ms` 0 means 60 seconds. Statuses: as atls_exchange_head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_next_informational(
    exchange: *const atls_exchange,
    head: *mut *mut atls_head,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(head, "head")?;
        let found = unsafe { share(exchange, "exchange") }?.blocking()?.next_informational(timeout_ms)?;
        unsafe { put(head, found.map_or(std::ptr::null(), Arc::into_raw).cast_mut(), "head") }
    })
}

/// Blocking: waits for bytes of the response body and copies up to `cap` of them; `*n` is 0 only at its end, and then the connection is free for the
/// next request. If the time is up, nothing is lost. `timeout_ms` 0 means 60 seconds. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`cap` is 0),
/// INVALID_STATE (event-driven exchange), WOULD_DEADLOCK, TIMED_OUT, CANCELED, IO, TRUNCATED, HTTP_PROTOCOL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_read(
    exchange: *const atls_exchange,
    buf: *mut u8,
    cap: usize,
    n: *mut usize,
    timeout_ms: u32,
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
        crate::io::blocking::check_may_block()?;
        let piece = match blocking.at_hand(cap) {
            Some(piece) => piece,
            None => blocking.run(timeout_ms, "receiving", async |state| {
                await_answer(state).await?;
                next_piece(state, cap).await
            })?,
        };
        // SAFETY: the host says that `buf` has room for `cap` bytes, and the piece is no longer.
        unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), buf, piece.len()) };
        unsafe { put(n, piece.len(), "n") }
    })
}

/// Blocking: waits for the rest of the response body and gives all of it, NUL-terminated (its length does not count that); more than `max` bytes
/// are BODY_TOO_LARGE. *body is the caller's to free. `timeout_ms`, for all of it, 0 means 60 seconds; when the time is up nothing is lost, and
/// what came is there for the next call. Statuses: as atls_exchange_read, and BODY_TOO_LARGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_read_all(
    exchange: *const atls_exchange,
    max: usize,
    body: *mut *mut atls_buf,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(body, "body")?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        let blocking = exchange.blocking()?;
        let whole = blocking.run(timeout_ms, "receiving", async |state| {
            await_answer(state).await?;
            rest(state, max).await
        })?;
        let length = whole.len() - 1;
        unsafe { put(body, atls_buf::into_raw(whole.slice(..length)), "body") }
    })
}

/// Blocking: the trailers, once the body was read to its end; NULL in `*trailers` if there were none. Does not wait. A new reference: free it.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (event-driven exchange; the body is not at its end; another call on the exchange is under way).
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
        let handle = found.map_or(std::ptr::null(), |head| Arc::into_raw(Arc::new(atls_head::new(head))));
        unsafe { put(trailers, handle.cast_mut(), "trailers") }
    })
}

/// Event-driven: lets `bytes` more of the response body be received. Adds up, saturating. Statuses: NULL_ARGUMENT, INVALID_STATE
/// (blocking exchange).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_grant(
    exchange: *const atls_exchange,
    bytes: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || match &unsafe { share(exchange, "exchange") }?.mode {
        Mode::Events(shared) => {
            shared.credit.grant(bytes);
            Ok(())
        }
        Mode::Blocking(_) => Err(Error::new(Status::InvalidState, "the exchange is a blocking one")),
    })
}

/// Gives the exchange up, and with it the connection, unless it was over. Event-driven: CLOSED follows, with CANCELED. Blocking: calls of
/// other threads on this exchange return CANCELED. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_cancel(
    exchange: *const atls_exchange,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        match &unsafe { share(exchange, "exchange") }?.mode {
            Mode::Events(shared) => shared.cancel.cancel(),
            Mode::Blocking(blocking) => blocking.cancel.cancel(),
        }
        Ok(())
    })
}

/// Adds a reference; returns `exchange`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_ref(exchange: *mut atls_exchange) -> *mut atls_exchange {
    unsafe { another(exchange) }
}

/// Drops a reference. The last one gives the exchange up, as atls_exchange_cancel; CLOSED still comes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_free(exchange: *mut atls_exchange) {
    guard_free(|| unsafe { release(exchange) });
}
