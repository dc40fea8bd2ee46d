//! `atls_request`: one HTTP request, put together.

use std::ffi::c_char;
use std::time::Duration;

use bytes::Bytes;

use super::bytes::atls_buf;
use super::error::atls_error;
use super::guard::{guard, guard_free};
use super::handle::{borrow, borrow_mut, bytes, destroy, put, require, text};
use super::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::http::Request;

/// A request: method, path, host, header lines in the caller's order and case, body. A builder: one thread at a time; copied when
/// used, and may be used again.
pub struct atls_request {
    pub(crate) request: Request,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Duration>,
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
        let made = atls_request { request: described, body: Body::Full(Bytes::new()), timeout: Some(DEFAULT_TIMEOUT) };
        unsafe { put(request, Box::into_raw(Box::new(made)), "request") }
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

impl atls_request {
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
