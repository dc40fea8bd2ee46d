//! `atls_request`: one HTTP request, put together. Its body is in `request_body`, how it is carried out in `request_options`.

use std::ffi::c_char;

use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{borrow_mut, bytes, destroy, put, require, text};
use crate::capi::base::status::atls_status;
use crate::client::ClientRequest;

/// A request: method, path, host, header lines in the caller's order and case, body. A builder: one thread at a time; copied when
/// used, and may be used again.
pub struct atls_request {
    pub(in crate::capi) request: ClientRequest,
}

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
        let (method, path, host) = unsafe { (text(method, "method")?, text(path, "path")?, text(host, "host")?) };
        let made = atls_request { request: ClientRequest::new(method, path, host) };
        unsafe { put(request, Box::into_raw(Box::new(made)), "request") }
    })
}

/// A request for a client (atls_client_start, atls_client_fetch). `url` begins with `https://`, or with `http://` for hosts that no policy
/// covers; its path goes on the wire as it is written, its fragment does not. `user:password@` in it, percent-decoded, is as
/// atls_request_set_auth with ATLS_AUTH_BASIC. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (another scheme).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_new_url(
    method: *const c_char,
    url: *const c_char,
    request: *mut *mut atls_request,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(request, "request")?;
        let (method, url) = unsafe { (text(method, "method")?, text(url, "url")?) };
        let made = atls_request { request: ClientRequest::for_url(method, url)? };
        unsafe { put(request, Box::into_raw(Box::new(made)), "request") }
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_free(request: *mut atls_request) {
    guard_free(|| unsafe { destroy(request) });
}

/// The value of Host in place of the URL's host and port, for a server that is reached by another name than its own. Certificate, policy, cookies and
/// the choice of a connection still go by the URL, and the request after a redirect has the Host of its new URL. Statuses: NULL_ARGUMENT,
/// INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_set_host(
    request: *mut atls_request,
    host: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let host = unsafe { text(host, "host") }?;
        unsafe { borrow_mut(request, "request") }?.request.set_host(host)
    })
}

/// Adds a header line. Host, Transfer-Encoding, Upgrade and Trailer are the library's to set; Content-Length may be given if it is
/// right. Statuses: NULL_ARGUMENT, INVALID_UTF8 (name), HTTP_HEADER_INVALID (not a token, CR, LF or another control character).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_request_add_header(
    request: *mut atls_request,
    name: *const c_char,
    value: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let name = unsafe { text(name, "name") }?;
        let value = unsafe { bytes(value, "value") }?;
        unsafe { borrow_mut(request, "request") }?.request.add_header(name, value)
    })
}
