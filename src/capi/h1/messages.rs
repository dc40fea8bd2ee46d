//! Checking messages without a connection, and reading what headers say.

use super::headers::rules;
use super::types::{
    ATLS_H1_FRAMING_CHUNKED, ATLS_H1_FRAMING_CONTENT_LENGTH, ATLS_H1_FRAMING_UNTIL_CLOSE,
    ATLS_H1_INFORMATIONAL_RESPONSE, ATLS_H1_RESPONSE, Headers, atls_h1_event_kind, atls_h1_framing, atls_h1_header,
    refused,
};
use crate::capi::base::arguments::{Out, bytes, c_bytes, require};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_value};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::h1;
use crate::h1::{FieldFacts, Framing, Method, Rules};

/// Checks that a request with these parts would be accepted. On H1_LOCAL, atls_error_http_status is the status that a server might answer with.
/// `http_version`: major << 8 | minor.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_request_validate(
    method: c_bytes,
    target: c_bytes,
    http_version: u32,
    headers: *const atls_h1_header,
    headers_len: usize,
    flags: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let (method, target) = (bytes(method, "method")?, bytes(target, "target")?);
        let version = version(http_version)?;
        // SAFETY: the host says that there are as many; they are not used after the call.
        let headers = unsafe { Headers::new(headers, headers_len) }?;
        h1::validate_request(method, target, version, headers.iter(), &rules(flags)?).map(drop).map_err(refused)
    })
}

/// Checks that a response with these parts would be accepted. On H1_LOCAL, atls_error_http_status is set.
/// `kind`: ATLS_H1_INFORMATIONAL_RESPONSE (100-199, without Content-Length and Transfer-Encoding) or ATLS_H1_RESPONSE (200-999).
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_response_validate(
    kind: atls_h1_event_kind,
    status: u32,
    reason: c_bytes,
    headers: *const atls_h1_header,
    headers_len: usize,
    flags: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let informational = match kind {
            ATLS_H1_INFORMATIONAL_RESPONSE => true,
            ATLS_H1_RESPONSE => false,
            _ => return Err(Error::new(Status::InvalidArgument, format!("kind {kind} is not a response"))),
        };
        let status = u16::try_from(status).unwrap_or(u16::MAX);
        let reason = bytes(reason, "reason")?;
        // SAFETY: the host says that there are as many; they are not used after the call.
        let headers = unsafe { Headers::new(headers, headers_len) }?;
        h1::validate_response(informational, status, reason, headers.iter(), &rules(flags)?).map(drop).map_err(refused)
    })
}

/// Finds the next member of the comma-separated lists in all header fields called `name`, in any case. The member is returned as it is written,
/// without the spaces and tabs around it; empty members are skipped. Returns false at the end, and if the arguments are invalid.
/// `cursor`: set it to 0 before the first call, and do not change it between calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_header_token_next(
    headers: *const atls_h1_header,
    headers_len: usize,
    name: c_bytes,
    cursor: Option<&mut u64>,
    token: Out<atls_bytes>,
) -> bool {
    guard_value(false, || {
        let next = || -> Option<()> {
            let cursor = cursor?;
            let token = token.get()?;
            let name = bytes(name, "name").ok()?;
            // SAFETY: the host says that there are as many; they are not used after the call.
            let headers = unsafe { Headers::new(headers, headers_len) }.ok()?;
            let (found, after) = h1::member_after(headers.iter(), name, *cursor)?;
            *cursor = after;
            token.write(atls_bytes::of(found));
            Some(())
        };
        next().is_some()
    })
}

/// Returns whether one of the members that atls_h1_header_token_next finds is `token`, in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_header_has_token(
    headers: *const atls_h1_header,
    headers_len: usize,
    name: c_bytes,
    token: c_bytes,
) -> bool {
    guard_value(false, || {
        let found = || -> Result<bool> {
            let (name, token) = (bytes(name, "name")?, bytes(token, "token")?);
            // SAFETY: the host says that there are as many; they are not used after the call.
            let headers = unsafe { Headers::new(headers, headers_len) }?;
            Ok(h1::has_member(headers.iter(), name, token))
        };
        found().unwrap_or(false)
    })
}

/// Returns whether the connection may be used again after a message with these header fields: HTTP/1.1 (0x0101) and no `Connection: close`. False if
/// they are invalid, and for HTTP/1.0, where it depends on both messages: use an atls_h1_conn.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_keep_alive(
    http_version: u32,
    headers: *const atls_h1_header,
    headers_len: usize,
) -> bool {
    guard_value(false, || {
        // SAFETY: the host says that there are as many; they are not used after the call.
        let facts = unsafe { facts(headers, headers_len) };
        facts.is_ok_and(|facts| facts.keeps_alive(http_version))
    })
}

/// Returns whether a request with these header fields asks for 100-continue (RFC 9110 section 10.1.1).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_expects_100_continue(
    http_version: u32,
    headers: *const atls_h1_header,
    headers_len: usize,
) -> bool {
    guard_value(false, || {
        // SAFETY: the host says that there are as many; they are not used after the call.
        let facts = unsafe { facts(headers, headers_len) };
        facts.is_ok_and(|facts| facts.asks_to_continue(http_version))
    })
}

/// Determines how a body is framed (RFC 9112 section 6.3).
/// `request_method`: of the request that a response answers; may be empty.
/// `status`: of a response; 0 for a request.
/// `length`: written only for ATLS_H1_FRAMING_CONTENT_LENGTH.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL (invalid header fields).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_body_framing(
    request_method: c_bytes,
    status: u32,
    headers: *const atls_h1_header,
    headers_len: usize,
    framing: Out<atls_h1_framing>,
    length: Out<u64>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let framing = require(framing, "framing")?;
        let length = require(length, "length")?;
        let method = Method::of(bytes(request_method, "request_method")?);
        // SAFETY: the host says that there are as many; they are not used after the call.
        let facts = unsafe { facts(headers, headers_len) }?;
        let impossible = || Error::new(Status::InvalidArgument, format!("status {status} is impossible"));
        let number = match Framing::of(method, status, &facts).ok_or_else(impossible)? {
            Framing::ContentLength(bytes) => {
                length.write(bytes);
                ATLS_H1_FRAMING_CONTENT_LENGTH
            }
            Framing::Chunked => ATLS_H1_FRAMING_CHUNKED,
            Framing::UntilClose => ATLS_H1_FRAMING_UNTIL_CLOSE,
        };
        framing.write(number);
        Ok(())
    })
}

/// # Safety
/// As `Headers::new`.
unsafe fn facts(headers: *const atls_h1_header, count: usize) -> Result<FieldFacts> {
    let rules = Rules { flags: h1::flags::ALL, ..Rules::default() };
    // SAFETY: the caller's promise.
    h1::facts_of(unsafe { Headers::new(headers, count) }?.iter(), &rules).map_err(refused)
}

fn version(number: u32) -> Result<u16> {
    match number {
        0x0100 => Ok(0x0100),
        0x0101 => Ok(0x0101),
        other => {
            Err(Error::new(Status::InvalidArgument, format!("http_version {other:#x} is neither 0x0100 nor 0x0101")))
        }
    }
}
