//! `atls_exchange`, its request's body where that is a stream.

use super::blocking_exchange::DEFAULT_TIMEOUT;
use super::error::atls_error;
use super::exchange::atls_exchange;
use super::guard::guard;
use super::handle::{bytes, share};
use super::status::atls_status;
use crate::deadline::Wait;
use crate::error::{Error, Status};
use crate::pool;

/// Event-driven: copies all of the bytes for the request body, or answers AGAIN and takes nothing; one WRITABLE event follows each time
/// it did. At most 256 KiB wait, counted as by atls_server_request_write. Statuses: NULL_ARGUMENT, AGAIN, INVALID_STATE (the body is not a stream; already finished; blocking exchange), or why the
/// exchange is over; CLOSED where the server has answered, or gone, before it had all of the body: the answer comes all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_write(
    exchange: *const atls_exchange,
    data: *const u8,
    len: usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = unsafe { bytes(data, len, "data") }?;
        let exchange = unsafe { share(exchange, "exchange") }?;
        if exchange.blocking().is_ok() {
            return Err(Error::new(Status::InvalidState, "the exchange is a blocking one"));
        }
        exchange.outgoing()?.write(pool::copy(data))
    })
}

/// Blocking: sends a piece of the request body; waits until the library has taken all of it. Pieces of several threads go one after the other, in the
/// order of the calls, and the time covers the wait for those before. `timeout_ms` 0 means 60 seconds. Statuses:
/// NULL_ARGUMENT, INVALID_STATE (the body is not a stream; already finished; event-driven exchange), WOULD_DEADLOCK, TIMED_OUT (nothing
/// was taken), CANCELED, AGAIN (atls_exchange_rewind), or why the exchange is over; CLOSED where the server has answered, or gone, before it had all of
/// the body: the answer can be read all the same.
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
        let exchange = unsafe { share(exchange, "exchange") }?;
        let (blocking, outgoing) = (exchange.blocking()?, exchange.outgoing()?);
        let limit = super::limit(timeout_ms, DEFAULT_TIMEOUT);
        let work = outgoing.write_all(pool::copy(data));
        blocking.driver.run(limit, Wait::Call("sending"), blocking.cancel.guard(work))
    })
}

/// Ends a streamed request body. Where the exchange is over as it should be, which a server can bring about once it has all of an announced
/// length, or has answered before, there is nothing to do. Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream; already finished), AGAIN
/// (atls_exchange_rewind), or why the exchange failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_finish(
    exchange: *const atls_exchange,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { share(exchange, "exchange") }?.outgoing()?.finish())
}

/// Begins a streamed body anew, after ATLS_EVENT_REWIND or an AGAIN with the detail ATLS_DETAIL_REWIND: what is written from now on is the beginning.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream; nobody asked), or why the exchange is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_exchange_rewind(
    exchange: *const atls_exchange,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { share(exchange, "exchange") }?.outgoing()?.rewind())
}
