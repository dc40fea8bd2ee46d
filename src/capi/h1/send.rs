//! Sending on an `atls_h1_conn`: calls that check, move the state machines and give the bytes to write.

use super::conn::atls_h1_conn;
use super::types::{Headers, atls_h1_header, refused};
use crate::capi::base::arguments::{Out, bytes, c_bytes, require};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::status::atls_status;
use crate::error::{Error, Status};

/// Makes a request's head (RFC 9112 section 3). It needs exactly one Host, which is sent first; the version is HTTP/1.1. A body may follow only if
/// there is a Content-Length or `Transfer-Encoding: chunked`, not both. End the message with atls_h1_conn_send_end_of_message, even without a body.
/// On H1_LOCAL this side is in state ERROR for good. Sending domain.
/// `out`: the bytes to write.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL.
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

/// Makes a response's head, as HTTP/1.1 (RFC 9112 sections 4 and 6). A 1xx is sent as given; it may not have Content-Length or Transfer-Encoding, and
/// is refused for an HTTP/1.0 peer. Any other response is adjusted: without Content-Length the body is chunked or, for an HTTP/1.0 peer, lasts until the
/// connection closes; `Connection: close` is added if the connection ends, `Connection: Keep-Alive` if it stays open for an HTTP/1.0 peer;
/// Content-Length and Transfer-Encoding are removed from a 204. A 304 keeps the one that it has, and may not have both. A 2xx to CONNECT may have
/// neither. On H1_LOCAL this side is in state ERROR for good. Sending domain.
/// `reason`: may be empty.
/// `out`: the bytes to write.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL.
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

/// Accounts for `len` bytes of body (RFC 9112 section 7.1). The call does not see the bytes: write `before`, the bytes, then `after`, with writev,
/// sendfile or as you like. Both are empty unless the body is chunked. If `len` is 0 nothing is to be written. On H1_LOCAL this side is in state ERROR
/// for good. Sending domain. Statuses: NULL_ARGUMENT, H1_LOCAL (also more bytes than Content-Length announced; 2^63 or more).
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

/// Ends the message (RFC 9112 section 7.1.2). On H1_LOCAL this side is in state ERROR for good. Sending domain.
/// `trailers`: only with a chunked body; Host, Content-Length and Transfer-Encoding are not allowed.
/// `out`: the bytes to write; may be empty.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL (also fewer bytes than Content-Length announced).
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

/// Records that this side is about to close the connection, or its half of it. On H1_LOCAL this side is in state ERROR for good. Sending domain.
/// Statuses: NULL_ARGUMENT, H1_LOCAL (within a message).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_send_connection_closed(
    conn: Option<&mut atls_h1_conn>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || atls_h1_conn::enter(conn, |conn| conn.send_connection_closed().map_err(refused)))
}

/// Records that bytes returned by a sending call could not be written: this side is then in state ERROR for good. Repeating it changes nothing.
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
