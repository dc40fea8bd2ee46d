//! `atls_exchange`: one request and its response.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::error::atls_error;
use super::event::{Operation, Poster};
use super::guard::{guard, guard_free};
use super::handle::{another, borrow, bytes, put, release, require};
use super::head::atls_head;
use super::http::atls_http;
use super::request::{Body, atls_request};
use super::runtime::atls_runtime;
use super::status::atls_status;
use crate::blocking::Driver;
use crate::connect::within;
use crate::error::{Error, Phase, Result, Status};
use crate::events::{Event, Observer, Outlet};
use crate::flow::{Cancel, Credit, Outgoing, lock};
use crate::http::drive::{Shared, drive};
use crate::http::{Exchange, HttpConnection, RequestBody, exchange};
use crate::pool;

/// Default deadline of a blocking read or write.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// One request and its response. Reference-counted, safe to share between threads; dropping the last reference before the response was
/// read to its end gives up the connection.
pub struct atls_exchange {
    mode: Mode,
}

enum Mode {
    Events(Arc<Shared>),
    Blocking(Box<Blocking>),
}

struct Blocking {
    driver: Arc<Driver>,
    connection: Arc<HttpConnection>,
    outgoing: Option<Arc<Outgoing>>,
    cancel: Cancel,
    state: Mutex<State>,
}

/// The response as far as it has come.
struct State {
    /// With a streamed body: where the response will arrive.
    pending: Option<oneshot::Receiver<Result<Exchange>>>,
    answer: Option<Exchange>,
    head: Option<Arc<atls_head>>,
    unread: Bytes,
    failed: Option<Error>,
    done: bool,
}

impl Drop for atls_exchange {
    fn drop(&mut self) {
        match &self.mode {
            Mode::Events(shared) => shared.cancel.cancel(),
            Mode::Blocking(blocking) => {
                if !lock(&blocking.state).done {
                    blocking.connection.closing.cancel();
                }
            }
        }
    }
}

impl atls_exchange {
    /// Event-driven start. `hand_over` writes the handle to its place, before the first event can run.
    pub(crate) fn start(
        http: &atls_http,
        runtime: &Arc<atls_runtime>,
        request: &atls_request,
        operation: Arc<Operation>,
        hand_over: impl FnOnce(*mut atls_exchange) -> Result<()>,
    ) -> Result<()> {
        let head = request.head()?;
        let connection = http.connection()?.clone();
        let reservation = connection.reserve()?;
        let observer: Arc<dyn Observer> = Arc::new(Poster(operation.clone()));
        let writable = observer.clone();
        let (body, outgoing) = make_body(&request.body, Box::new(move || writable.post(Event::Writable, None)));
        let shared = Arc::new(Shared {
            credit: Arc::new(Credit::new(http.credit, http.automatic_credit)),
            outgoing,
            cancel: Cancel::default(),
            connection,
            timeout: request.timeout,
        });
        let made = Arc::new(atls_exchange { mode: Mode::Events(shared.clone()) });
        operation.register(&made, &shared, |shared| shared.cancel.cancel())?;
        hand_over(Arc::into_raw(made).cast_mut())?;
        let outlet = Outlet::new(observer.clone());
        runtime.handle().spawn(drive(reservation, (request.request.clone(), head), body, shared, observer, outlet));
        Ok(())
    }

    /// Blocking start.
    pub(crate) fn fetch(
        driver: &Arc<Driver>,
        connection: &Arc<HttpConnection>,
        request: &atls_request,
    ) -> Result<*mut atls_exchange> {
        crate::blocking::check_may_block()?;
        let head = request.head()?;
        let reservation = connection.reserve()?;
        let (body, outgoing) = make_body(&request.body, Box::new(|| ()));
        let mut state =
            State { pending: None, answer: None, head: None, unread: Bytes::new(), failed: None, done: false };
        if let Some(outgoing) = &outgoing {
            outgoing.open();
            let (sender, receiver) = oneshot::channel();
            let (described, limit, sending) = (request.request.clone(), request.timeout, outgoing.clone());
            driver.spawn(async move {
                let answered = exchange(reservation, &described, head, body, |_| ());
                let answered = within(limit, Phase::Transfer, "waiting for the response head", answered).await;
                if let Err(error) = &answered {
                    sending.end(error.clone());
                }
                let _ = sender.send(answered);
            });
            state.pending = Some(receiver);
        } else {
            let answered = exchange(reservation, &request.request, head, body, |_| ());
            let answered = driver.run(request.timeout, "waiting for the response head", answered);
            state.take_answer(answered.inspect_err(|_| connection.closing.cancel())?);
        }
        let blocking = Blocking {
            driver: driver.clone(),
            connection: connection.clone(),
            outgoing,
            cancel: Cancel::default(),
            state: Mutex::new(state),
        };
        Ok(Arc::into_raw(Arc::new(atls_exchange { mode: Mode::Blocking(Box::new(blocking)) })).cast_mut())
    }

    fn blocking(&self) -> Result<&Blocking> {
        match &self.mode {
            Mode::Blocking(blocking) => Ok(blocking),
            Mode::Events(_) => Err(Error::new(Status::InvalidState, "the exchange is event-driven")),
        }
    }

    fn outgoing(&self) -> Result<&Arc<Outgoing>> {
        let outgoing = match &self.mode {
            Mode::Events(shared) => &shared.outgoing,
            Mode::Blocking(blocking) => &blocking.outgoing,
        };
        outgoing.as_ref().ok_or_else(|| Error::new(Status::InvalidState, "the request's body is not a stream"))
    }
}

impl State {
    fn take_answer(&mut self, mut answer: Exchange) {
        self.head = Some(Arc::new(atls_head::new(std::mem::take(&mut answer.head))));
        self.answer = Some(answer);
    }
}

impl Blocking {
    /// What is at hand without waiting: the network was driven by the call before, and small bodies have come with their head.
    fn at_hand(&self, cap: usize) -> Option<Bytes> {
        let mut state = self.state.try_lock().ok()?;
        if state.failed.is_some() || state.pending.is_some() || self.cancel.is_canceled() {
            return None;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let polled = pin!(next_piece(&mut state, cap)).poll(&mut cx);
        match polled {
            Poll::Ready(Ok(piece)) => Some(piece),
            Poll::Ready(Err(error)) => {
                state.failed = Some(error);
                self.connection.closing.cancel();
                None
            }
            Poll::Pending => None,
        }
    }

    /// Runs `work` on the state; a failure other than running out of time sticks.
    fn run<T>(&self, timeout_ms: u32, what: &str, work: impl AsyncFnOnce(&mut State) -> Result<T>) -> Result<T> {
        crate::blocking::check_may_block()?;
        let mut state = lock(&self.state);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let limit = super::limit(timeout_ms, DEFAULT_TIMEOUT);
        let done = self.driver.run(limit, what, self.cancel.guard(work(&mut state)));
        if let Err(error) = &done
            && error.status != Status::TimedOut
        {
            state.failed = Some(error.clone());
            self.connection.closing.cancel();
        }
        done
    }
}

async fn await_answer(state: &mut State) -> Result<()> {
    let Some(pending) = &mut state.pending else { return Ok(()) };
    let answered = pending.await.unwrap_or_else(|_| Err(Error::new(Status::Canceled, "the exchange was given up")));
    state.pending = None;
    state.take_answer(answered?);
    Ok(())
}

/// Up to `cap` bytes of the body; empty at its end.
async fn next_piece(state: &mut State, cap: usize) -> Result<Bytes> {
    if state.unread.is_empty() && !state.done {
        let answer = state.answer.as_mut().ok_or_else(|| Error::new(Status::Internal, "no response"))?;
        match answer.next().await? {
            Some(data) => state.unread = data,
            None => state.done = true,
        }
    }
    let count = state.unread.len().min(cap);
    Ok(state.unread.split_to(count))
}

fn make_body(body: &Body, on_writable: Box<dyn Fn() + Send + Sync>) -> (RequestBody, Option<Arc<Outgoing>>) {
    match body {
        Body::Full(data) => (RequestBody::full(data.clone()), None),
        Body::Stream(length) => {
            let outgoing = Arc::new(Outgoing::new(on_writable));
            (RequestBody::stream(outgoing.clone(), *length), Some(outgoing))
        }
    }
}

/// Blocking: waits for the response head. A new reference: free it. `timeout_ms` 0 means 60 seconds. Statuses: NULL_ARGUMENT,
/// INVALID_STATE (event-driven exchange), WOULD_DEADLOCK, TIMED_OUT, CANCELED, and as atls_http_fetch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_head(
    exchange: *const atls_exchange,
    head: *mut *mut atls_head,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(head, "head")?;
        let blocking = unsafe { borrow(exchange, "exchange") }?.blocking()?;
        let found = blocking.run(timeout_ms, "waiting for the response head", async |state| {
            await_answer(state).await?;
            state.head.clone().ok_or_else(|| Error::new(Status::Internal, "no response head"))
        })?;
        unsafe { put(head, Arc::into_raw(found).cast_mut(), "head") }
    })
}

/// Blocking: waits for bytes of the response body and copies up to `cap` of them; `*n` is 0 only at its end, and then the connection is
/// free for the next request. When the time is up nothing is lost. `timeout_ms` 0 means 60 seconds. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT (`cap` is 0), INVALID_STATE (event-driven exchange), WOULD_DEADLOCK, TIMED_OUT, CANCELED, IO, TRUNCATED, HTTP_PROTOCOL.
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
        let blocking = unsafe { borrow(exchange, "exchange") }?.blocking()?;
        if cap == 0 {
            return Err(Error::new(Status::InvalidArgument, "cap is 0"));
        }
        crate::blocking::check_may_block()?;
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

/// Blocking: the trailers, once the body was read to its end; NULL in `*trailers` where there were none. A new reference: free it.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (event-driven exchange; the body is not at its end).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_trailers(
    exchange: *const atls_exchange,
    trailers: *mut *mut atls_head,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(trailers, "trailers")?;
        let state = lock(&unsafe { borrow(exchange, "exchange") }?.blocking()?.state);
        if !state.done {
            return Err(Error::new(Status::InvalidState, "the body was not read to its end"));
        }
        let found = state.answer.as_ref().and_then(|answer| answer.trailers.clone());
        let handle = found.map_or(std::ptr::null(), |head| Arc::into_raw(Arc::new(atls_head::new(head))));
        unsafe { put(trailers, handle.cast_mut(), "trailers") }
    })
}

/// Event-driven: copies all of the bytes for the request body, or answers AGAIN and takes nothing; one WRITABLE event follows each time
/// it did. Statuses: NULL_ARGUMENT, AGAIN, INVALID_STATE (the body is not a stream; already finished; blocking exchange), or why the
/// exchange is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_write(
    exchange: *const atls_exchange,
    data: *const u8,
    len: usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = unsafe { bytes(data, len, "data") }?;
        let exchange = unsafe { borrow(exchange, "exchange") }?;
        if matches!(exchange.mode, Mode::Blocking(_)) {
            return Err(Error::new(Status::InvalidState, "the exchange is a blocking one"));
        }
        exchange.outgoing()?.write(pool::copy(data))
    })
}

/// Blocking: sends a piece of the request body; waits until the library has taken all of it. `timeout_ms` 0 means 60 seconds. Statuses:
/// NULL_ARGUMENT, INVALID_STATE (the body is not a stream; already finished; event-driven exchange), WOULD_DEADLOCK, TIMED_OUT (nothing
/// was taken), CANCELED, or why the exchange is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_write_all(
    exchange: *const atls_exchange,
    data: *const u8,
    len: usize,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = unsafe { bytes(data, len, "data") }?;
        let exchange = unsafe { borrow(exchange, "exchange") }?;
        let (blocking, outgoing) = (exchange.blocking()?, exchange.outgoing()?);
        let limit = super::limit(timeout_ms, DEFAULT_TIMEOUT);
        let work = outgoing.write_all(pool::copy(data));
        blocking.driver.run(limit, "sending", blocking.cancel.guard(work))
    })
}

/// Ends a streamed request body. Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream; already finished), or why the exchange
/// is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_finish(
    exchange: *const atls_exchange,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { borrow(exchange, "exchange") }?.outgoing()?.finish())
}

/// Event-driven: lets `bytes` more of the response body be received. Adds up, saturating. Statuses: NULL_ARGUMENT, INVALID_STATE
/// (blocking exchange).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_grant(
    exchange: *const atls_exchange,
    bytes: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || match &unsafe { borrow(exchange, "exchange") }?.mode {
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
        match &unsafe { borrow(exchange, "exchange") }?.mode {
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
