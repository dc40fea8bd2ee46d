//! `atls_request`, how it is carried out: deadlines, who we are, redirects, decoding, limits.

use std::ffi::c_char;
use std::time::Duration;

use super::request::atls_request;
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{borrow, borrow_mut, text};
use crate::capi::base::status::atls_status;
use crate::capi::connect::config::atls_config;
use crate::capi::connect::config_route::scheme;
use crate::client::options::{Deadlines, HeadLimits, Options};
use crate::error::{Error, Status};
use crate::message::credentials::Login;

/// From the call to the response head, redirects and all; 60 seconds by default.
pub const ATLS_REQUEST_DEADLINE_HEAD: u32 = 601;
/// Waiting for a turn, if the client has as many requests under way as it may.
pub const ATLS_REQUEST_DEADLINE_QUEUE: u32 = 602;
/// From dialling to the end of TLS and of the evidence exchange.
pub const ATLS_REQUEST_DEADLINE_CONNECT: u32 = 603;
/// From sending the request to its response head, for each request of a chain of redirects.
pub const ATLS_REQUEST_DEADLINE_FIRST_BYTE: u32 = 604;
/// Between pieces of the response body; event-driven exchanges only (blocking reads have one of their own).
pub const ATLS_REQUEST_DEADLINE_IDLE: u32 = 605;
/// From the call to the end of the response body.
pub const ATLS_REQUEST_DEADLINE_TOTAL: u32 = 606;

/// A redirect may lead away from an origin that was attested; the policy of the new origin then holds.
pub const ATLS_REDIRECT_ALLOW_OTHER_ORIGIN: u32 = 1;
/// A redirect may lead from https: to http:, to a host that no policy covers.
pub const ATLS_REDIRECT_ALLOW_DOWNGRADE: u32 = 2;

/// How long to wait for the response head, as ATLS_REQUEST_DEADLINE_HEAD. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_timeout(
    request: *mut atls_request,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(request, "request") }?.request.options_mut().deadlines.head =
            crate::capi::base::limit(timeout_ms, Deadlines::HEAD);
        Ok(())
    })
}

/// Sets one of the deadlines ATLS_REQUEST_DEADLINE_*; past it the exchange ends with TIMED_OUT, and its message and atls_error_phase say which it was.
/// None of those but ATLS_REQUEST_DEADLINE_HEAD is set by default. Those for a turn and for connecting need a client. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_deadline(
    request: *mut atls_request,
    which: u32,
    milliseconds: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let deadlines = &mut unsafe { borrow_mut(request, "request") }?.request.options_mut().deadlines;
        let limit = Some(milliseconds).filter(|some| !matches!(some, 0 | &u32::MAX));
        let limit = limit.map(|some| Duration::from_millis(some.into()));
        match which {
            ATLS_REQUEST_DEADLINE_HEAD => deadlines.head = crate::capi::base::limit(milliseconds, Deadlines::HEAD),
            ATLS_REQUEST_DEADLINE_QUEUE => deadlines.queue = limit,
            ATLS_REQUEST_DEADLINE_CONNECT => deadlines.connect = limit,
            ATLS_REQUEST_DEADLINE_FIRST_BYTE => deadlines.first_byte = limit,
            ATLS_REQUEST_DEADLINE_IDLE => deadlines.idle = limit,
            ATLS_REQUEST_DEADLINE_TOTAL => deadlines.total = limit,
            other => {
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!("which {other} is none of ATLS_REQUEST_DEADLINE_*"),
                ));
            }
        }
        Ok(())
    })
}

/// User and password for the server: `auth` is ATLS_AUTH_BASIC, or ATLS_AUTH_DIGEST, which needs a client and a body that can be sent twice. Takes
/// the place of an Authorization header; goes along with redirects at the same origin only. NULL for both takes it away. Statuses: NULL_ARGUMENT,
/// INVALID_UTF8, INVALID_ARGUMENT (a colon in the user, a control character, an unknown `auth`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_auth(
    request: *mut atls_request,
    user: *const c_char,
    password: *const c_char,
    auth: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let login = match (user.is_null(), password.is_null()) {
            (true, true) => None,
            _ => {
                let (user, password) = unsafe { (text(user, "user")?, text(password, "password")?) };
                Some(Login::new(user, password, scheme(auth)?)?)
            }
        };
        unsafe { borrow_mut(request, "request") }?.request.options_mut().login = login;
        Ok(())
    })
}

/// Adds If-Modified-Since with a time in seconds since 1970; if nothing has changed since, the answer is a 304. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT (outside the years 1 to 9999), INVALID_STATE (the request has such a header).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_if_modified_since(
    request: *mut atls_request,
    seconds: i64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { borrow_mut(request, "request") }?.request.set_if_modified_since(seconds))
}

/// With a client: how many redirects to follow (5 by default, 0 for none), and what one may do otherwise refused (ATLS_REDIRECT_*, none by
/// default). 303 becomes a GET, as do 301 and 302 of a POST; at another origin Authorization and Cookie are left out. Where a body must be sent
/// again and cannot, or the limit is reached, the redirecting response itself is shown. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_redirects(
    request: *mut atls_request,
    most: u32,
    allowed: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let options = unsafe { borrow_mut(request, "request") }?.request.options_mut();
        if allowed & !(ATLS_REDIRECT_ALLOW_OTHER_ORIGIN | ATLS_REDIRECT_ALLOW_DOWNGRADE) != 0 {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("allowed {allowed:#x} has bits that mean nothing"),
            ));
        }
        options.redirects = most;
        options.may_leave = allowed & ATLS_REDIRECT_ALLOW_OTHER_ORIGIN != 0;
        options.may_downgrade = allowed & ATLS_REDIRECT_ALLOW_DOWNGRADE != 0;
        Ok(())
    })
}

/// Accepts gzip, deflate, br and zstd, and decodes them as the bytes come; an Accept-Encoding header of the caller's is replaced. The head that is
/// shown stays the server's. A coding that was not asked for, or broken, is CONTENT_CODING; one that ends too early is TRUNCATED. Several gzip
/// members or zstd frames in a row are one body (RFC 1952, RFC 8878); any other byte after the end, even a zero, is CONTENT_CODING. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_decode(
    request: *mut atls_request,
    decode: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(request, "request") }?.request.options_mut().decode = decode.get();
        Ok(())
    })
}

/// Bytes of the response body, after decoding, beyond which the exchange fails with BODY_TOO_LARGE; UINT64_MAX, the default, is no limit. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_max_response_body(
    request: *mut atls_request,
    bytes: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(request, "request") }?.request.options_mut().max_body = bytes;
        Ok(())
    })
}

/// Limits on what a response has before its body; beyond them the exchange fails with HTTP_PROTOCOL. `bytes` and `lines` of each head: 262144 and 256
/// by default, and at most. `informational` (1xx) heads: 64 by default; together they may not have more bytes than one head, and UINT32_MAX allows as
/// many as fit. 0 is the default. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_head_limits(
    request: *mut atls_request,
    bytes: u32,
    lines: u32,
    informational: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let limits = HeadLimits::chosen(bytes, lines, informational)?;
        unsafe { borrow_mut(request, "request") }?.request.options_mut().head = limits;
        Ok(())
    })
}

/// Event-driven: the response body comes as one DATA event, however large, and no credit is taken; set atls_request_set_max_response_body too. An empty
/// body comes as an empty one. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_buffered(
    request: *mut atls_request,
    buffered: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(request, "request") }?.request.options_mut().buffered = buffered.get();
        Ok(())
    })
}

/// Asks with `Expect: 100-continue` before the body is sent; after `wait_ms` without an answer (0: one second, UINT32_MAX: never) it is sent
/// unasked. A final answer is shown, and then the body stays here (RFC 9110 section 10.1.1). Has no effect without a body. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_expect_continue(
    request: *mut atls_request,
    wait_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let wait = crate::capi::base::limit(wait_ms, Options::EXPECT);
        unsafe { borrow_mut(request, "request") }?.request.options_mut().expect_continue(wait);
        Ok(())
    })
}

/// With a client: what this request's connections are like, in place of the client's own configuration: roots, client certificate, tunnel, proxy, own
/// address, timeouts, and the policy for hosts that none of atls_client_set_policy covers; where it has neither a policy nor is unattested, the
/// client's own holds. Host, port and credit are ignored. Copied; connections are shared by requests that were given the same configuration,
/// unchanged in between. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE, TRUST_ANCHOR, IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_config(
    request: *mut atls_request,
    config: *const atls_config,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let connector = unsafe { borrow(config, "config") }?.config.connector()?;
        unsafe { borrow_mut(request, "request") }?.request.options_mut().connector = Some(connector);
        Ok(())
    })
}
