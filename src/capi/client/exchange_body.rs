//! `atls_exchange`: writing a request body that is a stream.

use super::exchange::atls_exchange;
use crate::capi::base::arguments::{Counted, Out, bytes, c_bytes};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::share;
use crate::capi::base::limit;
use crate::capi::base::status::atls_status;
use crate::client::blocking_exchange::CALL_TIMEOUT;
use crate::io::buffers;

/// Event-driven: copies all of `data` for the request body, or returns AGAIN and takes nothing; one
/// WRITABLE event follows each AGAIN. At most 256 KiB are queued, counted as by
/// atls_server_request_write.
/// Statuses: NULL_ARGUMENT, AGAIN, INVALID_STATE (the body is not a stream; already finished;
/// blocking exchange), CLOSED (the server responded, or closed the connection, before it had the
/// whole body; the response still comes), or why the exchange ended.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_write(
    exchange: Counted<atls_exchange>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        let exchange = share(exchange, "exchange")?;
        exchange.events()?;
        exchange.outgoing()?.write(buffers::copy(data))
    })
}

/// Blocking: writes a piece of the request body, and waits until the library has taken all of it.
/// Pieces from several threads are sent in the order of the calls; the timeout includes waiting for
/// earlier pieces.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream; already finished; event-driven
/// exchange), WOULD_DEADLOCK, TIMED_OUT (nothing was taken), CANCELED, AGAIN (the body must be
/// written again: atls_exchange_rewind), CLOSED (the server responded, or closed the connection,
/// before it had the whole body; the response can still be read), or why the exchange ended.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_write_all(
    exchange: Counted<atls_exchange>,
    data: c_bytes,
    timeout_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        let exchange = share(exchange, "exchange")?;
        exchange.blocking()?.write_all(buffers::copy(data), limit(timeout_ms, CALL_TIMEOUT))
    })
}

/// Ends a streamed request body. Does nothing if the exchange is already over without an error,
/// because the server has all bytes of an announced length or responded early.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream; already finished), AGAIN (the
/// body must be written again: atls_exchange_rewind), or why the exchange failed.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_finish(exchange: Counted<atls_exchange>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || share(exchange, "exchange")?.outgoing()?.finish())
}

/// Starts a streamed body again, after ATLS_EVENT_REWIND, or AGAIN with ATLS_DETAIL_REWIND. The
/// next bytes written are its beginning.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream; no rewind was requested), or
/// why the exchange ended.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_rewind(exchange: Counted<atls_exchange>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || share(exchange, "exchange")?.outgoing()?.rewind())
}
