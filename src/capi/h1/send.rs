//! Sending on an `atls_h1_conn`: calls that check, move the state machines and give the bytes to write.

use super::conn::atls_h1_conn;
use super::types::{Headers, atls_h1_header, refused};
use crate::capi::base::arguments::{Out, bytes, c_bytes, require};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::status::atls_status;
use crate::error::{Error, Status};

/// A request's head. Needs exactly one Host; is sent as HTTP/1.1, `Host` first. A body follows only with Content-Length or `Transfer-Encoding:
/// chunked`, not both; end the message with atls_h1_conn_send_end_of_message, even without a body. *out: the bytes to write. Sending domain.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT; H1_LOCAL, and then our side is in state ERROR for good (RFC 9112 section 3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_conn_send_request(
    conn: Option<&mut atls_h1_conn>,
    method: c_bytes,
    target: c_bytes,
    headers: *const atls_h1_header,
    headers_len: usize,
    out: Out<atls_bytes>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let out = require(out, "out")?;
        let (method, target) = (bytes(method, "method")?, bytes(target, "target")?);
        // SAFETY: the host says that there are as many; they are not used after the call.
        let headers = unsafe { Headers::new(headers, headers_len) }?;
        let bytes = atls_h1_conn::enter(conn, |conn| {
            conn.send_request(method, target, headers.iter()).map(atls_bytes::of).map_err(refused)
        })?;
        out.write(bytes);
        Ok(())
    })
}

/// A response's head, as HTTP/1.1. 100-199 is sent as given and may not have Content-Length or Transfer-Encoding. 200-999 is brought in line: without
/// Content-Length the body is chunked, or lasts until the connection closes if the peer speaks HTTP/1.0; `Connection: close` is added if the
/// connection ends, `Connection: Keep-Alive` if it stays open for an HTTP/1.0 peer; Content-Length and Transfer-Encoding are removed from a 204; a
/// 304 keeps the one that it is given, and may not have both; a 2xx to CONNECT may have neither. HTTP/1.0 peers get no 1xx. `reason` may be empty.
/// *out: the bytes to write. Sending domain. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT; H1_LOCAL, and then our side is in state ERROR for good (RFC
/// 9112 sections 4 and 6).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_conn_send_response(
    conn: Option<&mut atls_h1_conn>,
    status: u32,
    reason: c_bytes,
    headers: *const atls_h1_header,
    headers_len: usize,
    out: Out<atls_bytes>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let out = require(out, "out")?;
        let status = u16::try_from(status)
            .map_err(|_| Error::new(Status::InvalidArgument, format!("status {status} is impossible")))?;
        let reason = bytes(reason, "reason")?;
        // SAFETY: the host says that there are as many; they are not used after the call.
        let headers = unsafe { Headers::new(headers, headers_len) }?;
        let bytes = atls_h1_conn::enter(conn, |conn| {
            conn.send_response(status, reason, headers.iter()).map(atls_bytes::of).map_err(refused)
        })?;
        out.write(bytes);
        Ok(())
    })
}

/// Accounts for `len` bytes of body. The bytes themselves are not seen: write `before`, them, and `after`, with writev, sendfile or as you like. Both
/// are empty unless the body is chunked, and with `len` 0, for which nothing is to be written. Sending domain. Statuses: NULL_ARGUMENT; H1_LOCAL,
/// also for more bytes than Content-Length said and for 2^63 or more, and then our side is in state ERROR for good (RFC 9112 section 7.1).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_send_data(
    conn: Option<&mut atls_h1_conn>,
    len: u64,
    before: Out<atls_bytes>,
    after: Out<atls_bytes>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let before = require(before, "before")?;
        let after = require(after, "after")?;
        let (front, back) = atls_h1_conn::enter(conn, |conn| {
            let around = conn.send_data(len).map_err(refused)?;
            Ok((atls_bytes::of(around.0), atls_bytes::of(around.1)))
        })?;
        before.write(front);
        after.write(back);
        Ok(())
    })
}

/// Ends the message. Trailers are possible only if it is chunked, and may not be Host, Content-Length or Transfer-Encoding. *out: the bytes to write,
/// maybe none. Sending domain. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT; H1_LOCAL, also if Content-Length announced more, and then our side is in
/// state ERROR for good (RFC 9112 section 7.1.2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_conn_send_end_of_message(
    conn: Option<&mut atls_h1_conn>,
    trailers: *const atls_h1_header,
    trailers_len: usize,
    out: Out<atls_bytes>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let out = require(out, "out")?;
        // SAFETY: the host says that there are as many; they are not used after the call.
        let trailers = unsafe { Headers::new(trailers, trailers_len) }?;
        let bytes = atls_h1_conn::enter(conn, |conn| {
            conn.send_end_of_message(trailers.iter()).map(atls_bytes::of).map_err(refused)
        })?;
        out.write(bytes);
        Ok(())
    })
}

/// Says that we are about to close the connection, or our half of it. Sending domain. Statuses: NULL_ARGUMENT; H1_LOCAL within a message,
/// and then our side is in state ERROR for good.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_send_connection_closed(
    conn: Option<&mut atls_h1_conn>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || atls_h1_conn::enter(conn, |conn| conn.send_connection_closed().map_err(refused)))
}

/// Says that bytes which were given to be written could not be: our side is in state ERROR for good. Doing it again changes nothing.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_send_failed(
    conn: Option<&mut atls_h1_conn>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let failed = |conn: &mut crate::h1::Connection| {
            conn.send_failed();
            Ok(())
        };
        atls_h1_conn::enter(conn, failed)
    })
}
