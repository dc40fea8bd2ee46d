//! `atls_request`: one HTTP request, put together.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::bytes::atls_buf;
use super::error::atls_error;
use super::guard::{guard, guard_free};
use super::handle::{borrow, borrow_mut, bytes, destroy, put, require, text};
use super::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::flow::Outgoing;
use crate::http::client::{Call, CallBody};
use crate::http::text::{basic_credentials, http_date};
use crate::http::{Location, Request};

/// A request: method, path, host, header lines in the caller's order and case, body. A builder: one thread at a time; copied when
/// used, and may be used again.
pub struct atls_request {
    pub(crate) request: Request,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Duration>,
    /// For a client: where to, and how far redirects may lead.
    location: Option<Location>,
    redirects: u32,
    may_leave: bool,
}

#[derive(Clone)]
pub(crate) enum Body {
    Full(Bytes),
    Stream(Option<u64>),
}

/// Until the response head, where the request says nothing else.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// `method` is a token such as "GET"; `path` is the origin form, path and query; `host` goes into the Host header. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8; what they hold is checked when the request is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_new(
    method: *const c_char,
    path: *const c_char,
    host: *const c_char,
    request: *mut *mut atls_request,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(request, "request")?;
        let described = Request {
            method: unsafe { text(method, "method") }?.to_owned(),
            path: unsafe { text(path, "path") }?.to_owned(),
            host: unsafe { text(host, "host") }?.to_owned(),
            headers: Vec::new(),
        };
        let made = atls_request::new(described, None);
        unsafe { put(request, Box::into_raw(Box::new(made)), "request") }
    })
}

/// A request for a client (atls_client_send, atls_client_fetch). `url` begins with `https://`; its path goes on the wire as it is written,
/// its fragment does not. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (another scheme, credentials).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_new_url(
    method: *const c_char,
    url: *const c_char,
    request: *mut *mut atls_request,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(request, "request")?;
        let method = unsafe { text(method, "method") }?.to_owned();
        let location = Location::parse(unsafe { text(url, "url") }?)?;
        let (path, host) = (location.path.clone(), location.authority.clone());
        let described = Request { method, path, host, headers: Vec::new() };
        let made = atls_request::new(described, Some(location));
        unsafe { put(request, Box::into_raw(Box::new(made)), "request") }
    })
}

/// Adds an Authorization header with user and password (RFC 7617); it goes along with redirects at the same origin only. Statuses: NULL_ARGUMENT,
/// INVALID_UTF8, INVALID_ARGUMENT (a colon in the user, a control character), INVALID_STATE (the request has an Authorization header).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_basic_auth(
    request: *mut atls_request,
    user: *const c_char,
    password: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let (user, password) = unsafe { (text(user, "user")?, text(password, "password")?) };
        let wrong = || Error::new(Status::InvalidArgument, "a colon in the user, or a control character");
        let value = basic_credentials(user, password).ok_or_else(wrong)?;
        unsafe { borrow_mut(request, "request") }?.add_once("Authorization", value)
    })
}

/// Adds If-Modified-Since with a time in seconds since 1970; where nothing has changed since, the answer is a 304. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT (outside the years 1 to 9999), INVALID_STATE (the request has such a header).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_if_modified_since(
    request: *mut atls_request,
    seconds: i64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let beyond = || Error::new(Status::InvalidArgument, format!("time {seconds} is not in the years 1 to 9999"));
        let date = http_date(seconds).ok_or_else(beyond)?;
        unsafe { borrow_mut(request, "request") }?.add_once("If-Modified-Since", date)
    })
}

/// With a client: how many redirects to follow (5 by default, 0 for none), and whether one may lead away from an origin that was attested
/// (not by default; where it leads its own policy holds). 303 becomes a GET, as do 301 and 302 of a POST; at another origin Authorization and
/// Cookie are left out. A request with a streamed body is not redirected. The last response is shown where the limit is reached. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_redirects(
    request: *mut atls_request,
    most: u32,
    may_leave: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let request = unsafe { borrow_mut(request, "request") }?;
        (request.redirects, request.may_leave) = (most, may_leave);
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_free(request: *mut atls_request) {
    guard_free(|| unsafe { destroy(request) });
}

/// Adds a header line. Host, Transfer-Encoding, Upgrade and Trailer are the library's to set; Content-Length may be given if it is
/// right. Statuses: NULL_ARGUMENT, INVALID_UTF8 (name), HTTP_HEADER_INVALID (not a token, CR, LF or another control character).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_add_header(
    request: *mut atls_request,
    name: *const c_char,
    value: *const u8,
    value_len: usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let name = unsafe { text(name, "name") }?;
        let value = unsafe { bytes(value, value_len, "value") }?;
        let request = unsafe { borrow_mut(request, "request") }?;
        crate::http::check_header(name, value)?;
        request.request.headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    })
}

/// Gives the request a body of `len` bytes; copied. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_body(
    request: *mut atls_request,
    data: *const u8,
    len: usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = Bytes::copy_from_slice(unsafe { bytes(data, len, "data") }?);
        unsafe { borrow_mut(request, "request") }?.body = Body::Full(data);
        Ok(())
    })
}

/// As atls_request_set_body, without a copy: the request takes a reference to the buffer. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_body_buf(
    request: *mut atls_request,
    buf: *const atls_buf,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = unsafe { borrow(buf, "buf") }?.bytes.clone();
        unsafe { borrow_mut(request, "request") }?.body = Body::Full(data);
        Ok(())
    })
}

/// The length that atls_request_set_body_stream takes for "unknown": the body is sent in chunks.
pub const ATLS_LENGTH_UNKNOWN: u64 = u64::MAX;

/// The body will be written to the exchange, piece by piece: `length` bytes, or ATLS_LENGTH_UNKNOWN. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_body_stream(
    request: *mut atls_request,
    length: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(request, "request") }?.body =
            Body::Stream((length != ATLS_LENGTH_UNKNOWN).then_some(length));
        Ok(())
    })
}

/// How long to wait for the response head: 0 for the default of 60 seconds, UINT32_MAX for ever. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_timeout(
    request: *mut atls_request,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(request, "request") }?.timeout = super::limit(timeout_ms, DEFAULT_TIMEOUT);
        Ok(())
    })
}

impl Body {
    /// As it is sent; `on_writable` is told when a stream takes more again.
    pub(crate) fn begin(&self, on_writable: Box<dyn Fn() + Send + Sync>) -> CallBody {
        match self {
            Body::Full(data) => CallBody::Full(data.clone()),
            Body::Stream(length) => CallBody::Stream(Arc::new(Outgoing::new(on_writable)), *length),
        }
    }
}

impl atls_request {
    fn new(request: Request, location: Option<Location>) -> atls_request {
        let body = Body::Full(Bytes::new());
        atls_request { request, body, timeout: Some(DEFAULT_TIMEOUT), location, redirects: 5, may_leave: false }
    }

    fn add_once(&mut self, name: &str, value: String) -> Result<()> {
        if self.request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            return Err(Error::new(Status::InvalidState, format!("the request has a header {name} already")));
        }
        self.request.headers.push((name.to_owned(), value.into_bytes()));
        Ok(())
    }

    /// The request as a client takes it. Statuses: InvalidArgument.
    pub(crate) fn call(&self, body: CallBody) -> Result<Call> {
        let missing = || Error::new(Status::InvalidArgument, "the request has no URL (atls_request_new_url)");
        let location = self.location.clone().ok_or_else(missing)?;
        let request = self.request.clone();
        Ok(Call { request, location, body, redirects: self.redirects, may_leave: self.may_leave })
    }

    /// The head as it will stand on the wire. Refuses what cannot be sent, before anything is reserved for it.
    pub(crate) fn head(&self) -> Result<Vec<u8>> {
        let length = match &self.body {
            Body::Full(data) => Some(data.len() as u64),
            Body::Stream(Some(0)) => return Err(Error::new(Status::InvalidArgument, "a streamed body of length 0")),
            Body::Stream(length) => *length,
        };
        self.request.head(length)
    }
}
