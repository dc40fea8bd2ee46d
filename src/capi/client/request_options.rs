//! `atls_request`: options: deadlines, authentication, redirects, decoding, limits.

use super::request::atls_request;
use crate::capi::base::arguments::{Builder, Out, c_text, change, text};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{borrow, borrow_mut};
use crate::capi::base::status::atls_status;
use crate::capi::base::unknown;
use crate::capi::connect::config::atls_config;
use crate::capi::connect::config_route::atls_auth;
use crate::capi::connect::config_route::scheme;
use crate::client::request_options::{HeadLimits, RequestDeadline, RequestOptions};
use crate::error::{Error, Status};
use crate::io::deadline::ChosenDuration;
use crate::message::credentials::Login;

/// Deadlines of a request (atls_request_set_deadline).
pub type atls_request_deadline = u32;

/// From the call to the response head, including redirects; 60 seconds by default.
pub const ATLS_REQUEST_DEADLINE_HEAD: atls_request_deadline = 601;
/// Waiting for the request's turn, if the client has as many requests under way as it may.
pub const ATLS_REQUEST_DEADLINE_QUEUE: atls_request_deadline = 602;
/// From connecting to the end of the TLS handshake and the evidence exchange.
pub const ATLS_REQUEST_DEADLINE_CONNECT: atls_request_deadline = 603;
/// From sending the request to its response head, for each request of a chain of redirects.
pub const ATLS_REQUEST_DEADLINE_FIRST_BYTE: atls_request_deadline = 604;
/// Between pieces of the response body. Event-driven exchanges only: blocking reads have a timeout
/// of their own.
pub const ATLS_REQUEST_DEADLINE_IDLE: atls_request_deadline = 605;
/// From the call to the end of the response body.
pub const ATLS_REQUEST_DEADLINE_TOTAL: atls_request_deadline = 606;

/// What redirects may do (atls_request_set_redirects).
pub type atls_redirect_flag = u32;

/// A redirect may lead from an attested origin to another one. The policy of the new origin
/// applies.
pub const ATLS_REDIRECT_ALLOW_OTHER_ORIGIN: atls_redirect_flag = 1;
/// A redirect may lead from https: to http:, to a host that no policy covers.
pub const ATLS_REDIRECT_ALLOW_DOWNGRADE: atls_redirect_flag = 2;

/// Sets the deadline for the response head: atls_request_set_deadline with
/// ATLS_REQUEST_DEADLINE_HEAD.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_timeout(
    request: Option<&mut atls_request>,
    timeout_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let deadlines = &mut borrow_mut(request, "request")?.request.options_mut().deadlines;
        deadlines.set(RequestDeadline::Head, ChosenDuration::from_millis(timeout_ms));
        Ok(())
    })
}

/// Sets a deadline. If it passes, the exchange ends with TIMED_OUT; the error's message and
/// atls_error_phase say which deadline it was. By default only ATLS_REQUEST_DEADLINE_HEAD is set.
/// Those for the queue and for connecting have no effect without a client.
/// `which`: ATLS_REQUEST_DEADLINE_*.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`which`).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_deadline(
    request: Option<&mut atls_request>,
    which: atls_request_deadline,
    milliseconds: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let deadlines = &mut borrow_mut(request, "request")?.request.options_mut().deadlines;
        let deadline = match which {
            ATLS_REQUEST_DEADLINE_HEAD => RequestDeadline::Head,
            ATLS_REQUEST_DEADLINE_QUEUE => RequestDeadline::Queue,
            ATLS_REQUEST_DEADLINE_CONNECT => RequestDeadline::Connect,
            ATLS_REQUEST_DEADLINE_FIRST_BYTE => RequestDeadline::FirstByte,
            ATLS_REQUEST_DEADLINE_IDLE => RequestDeadline::Idle,
            ATLS_REQUEST_DEADLINE_TOTAL => RequestDeadline::Total,
            other => return Err(unknown("deadline", other)),
        };
        deadlines.set(deadline, ChosenDuration::from_millis(milliseconds));
        Ok(())
    })
}

/// Sets user and password for the server. They replace an Authorization header field, and follow
/// redirects within the same origin only. NULL for both removes them.
/// `user`: may be NULL, together with `password`.
/// `password`: may be NULL, together with `user`.
/// `auth`: ATLS_AUTH_BASIC, or ATLS_AUTH_DIGEST, which needs a client and a body that can be sent
/// twice.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (a colon in the user; a control
/// character; unknown `auth`).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_auth(
    request: Option<&mut atls_request>,
    user: c_text,
    password: c_text,
    auth: atls_auth,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let login = match (user.is_null(), password.is_null()) {
            (true, true) => None,
            _ => {
                let (user, password) = (text(user, "user")?, text(password, "password")?);
                Some(Login::new(user, password, scheme(auth)?)?)
            }
        };
        borrow_mut(request, "request")?.request.options_mut().login = login;
        Ok(())
    })
}

/// Adds an If-Modified-Since header field. If nothing has changed since then, the response is a
/// 304.
/// `seconds`: since 1970-01-01 00:00:00 UTC.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (outside the years 1 to 9999), INVALID_STATE (the
/// request already has this field).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_if_modified_since(
    request: Option<&mut atls_request>,
    seconds: i64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || borrow_mut(request, "request")?.request.set_if_modified_since(seconds))
}

/// Sets how an atls_client follows redirects. 303 becomes a GET, as do 301 and 302 in response to a
/// POST. Authorization and Cookie are not sent to another origin. If the limit is reached, or a
/// body would have to be sent again and cannot be, the host gets the redirecting response itself.
/// `max`: how many redirects to follow; 5 by default, 0 for none.
/// `allowed`: what is otherwise refused, a combination of ATLS_REDIRECT_ALLOW_*; none by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`allowed`).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_redirects(
    request: Option<&mut atls_request>,
    max: u32,
    allowed: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let options = borrow_mut(request, "request")?.request.options_mut();
        if allowed & !(ATLS_REDIRECT_ALLOW_OTHER_ORIGIN | ATLS_REDIRECT_ALLOW_DOWNGRADE) != 0 {
            return Err(Error::new(Status::InvalidArgument, format!("unknown bits in allowed: {allowed:#x}")));
        }
        options.redirects = max;
        options.may_leave = allowed & ATLS_REDIRECT_ALLOW_OTHER_ORIGIN != 0;
        options.may_downgrade = allowed & ATLS_REDIRECT_ALLOW_DOWNGRADE != 0;
        Ok(())
    })
}

/// Accepts gzip, deflate, br and zstd, and decodes them as the bytes arrive. An Accept-Encoding
/// header field of the caller is replaced. The response head stays as the server sent it. Off by
/// default.
///
/// A coding that was not requested, or is malformed, is CONTENT_CODING; one that ends too early is
/// TRUNCATED. Consecutive gzip members or zstd frames form one body (RFC 1952, RFC 8878); any other
/// byte after the end, even a zero, is CONTENT_CODING.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_decode(
    request: Option<&mut atls_request>,
    decode: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(request, "request")?.request.options_mut().decode = decode.get();
        Ok(())
    })
}

/// Limits the response body, counted after decoding. A longer one ends the exchange with
/// BODY_TOO_LARGE: at its head if that gives the length, otherwise after the bytes up to the
/// limit; of a buffered body nothing is delivered.
/// `bytes`: UINT64_MAX, the default, is no limit.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_max_response_body(
    request: Option<&mut atls_request>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(request, "request")?.request.options_mut().max_body = bytes;
        Ok(())
    })
}

/// Limits what may come before a response body. A response beyond a limit ends the exchange with
/// HTTP_PROTOCOL. 0 is the default of each limit.
/// `bytes`: bytes of each head; 262,144 by default and at most.
/// `fields`: header fields of each head; 256 by default and at most.
/// `informational`: informational (1xx) heads; 64 by default. Together they may have no more bytes
/// than one head; UINT32_MAX allows as many as fit.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`bytes` or `fields` above its maximum).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_head_limits(
    request: Option<&mut atls_request>,
    bytes: u32,
    fields: u32,
    informational: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let limits = HeadLimits::chosen(bytes, fields, informational)?;
        borrow_mut(request, "request")?.request.options_mut().head = limits;
        Ok(())
    })
}

/// Event-driven: delivers the response body as one DATA event, whatever its size, without using
/// credit; an empty body is an empty DATA. Off by default. Also set
/// atls_request_set_max_response_body.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_buffered(
    request: Option<&mut atls_request>,
    buffered: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(request, "request")?.request.options_mut().buffered = buffered.get();
        Ok(())
    })
}

/// Sends `Expect: 100-continue` and waits for a response before sending the body. If a final
/// response comes first, the body is not sent (RFC 9110 section 10.1.1). No effect without a body.
/// `wait_ms`: how long to wait before the body is sent anyway; 1 second by default,
/// UINT32_MAX waits for a response however long it takes.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_expect_continue(
    request: Option<&mut atls_request>,
    wait_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let wait = crate::capi::base::limit(wait_ms, RequestOptions::EXPECT);
        borrow_mut(request, "request")?.request.options_mut().expect_continue(wait);
        Ok(())
    })
}

/// Sets the configuration of this request's connections, in place of the client's: roots, client
/// certificate, tunnel, proxy, local address, timeouts, and the policy for hosts that no pattern of
/// atls_client_set_policy matches. If it neither has a policy nor allows unattested connections,
/// the client's own applies. Host, port and credit are ignored. Requests share connections if they
/// were given the same configuration, unchanged in between.
/// `config`: copied.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE, TRUST_ANCHOR, IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_config(
    request: Builder<atls_request>,
    config: Option<&atls_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let connector = borrow(config, "config")?.config.connector()?;
        // The former connector is dropped after the request was let go of: its resolver may call the host.
        change(request, "request", |request| request.request.options_mut().connector.replace(connector)).map(drop)
    })
}
