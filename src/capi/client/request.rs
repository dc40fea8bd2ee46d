//! `atls_request`: builds one HTTP request. Its body is in `request_body`, its options in `request_options`.

use std::ffi::c_char;

use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard_free;
use crate::capi::base::raw::guard;
use crate::capi::base::raw::{borrow_mut, bytes, destroy, put, require, text};
use crate::capi::base::status::atls_status;
use crate::client::ClientRequest;

/// A request: method, target, host, body, and header fields in the caller's order and case. A
/// builder: one thread at a time; copied when used, and may be used again.
pub struct atls_request {
    pub(in crate::capi) request: ClientRequest,
}

impl crate::capi::base::handle::Handle for atls_request {
    type Owner = Box<atls_request>;
}

/// Creates a request for an atls_http. Its parts are checked when it is used.
/// `method`: a token such as "GET".
/// `path`: path and query, the origin form of RFC 9112 section 3.2.1.
/// `host`: the value of the Host header field.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
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

/// Creates a request for an atls_client.
/// `method`: a token such as "GET".
/// `url`: begins with `https://`, or with `http://` for hosts that no policy covers. Its path is
/// sent as it is written; its fragment is not sent. `user:password@` in it, percent-decoded, has
/// the effect of atls_request_set_auth with ATLS_AUTH_BASIC.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (another scheme).
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

/// Sets the value of the Host header field, in place of the URL's host and port, for a server that
/// is reached by a name that is not its own. Certificate, policy, cookies and the choice of a
/// connection still go by the URL. After a redirect, Host is that of the new URL.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
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

/// Adds a header field. Host, Transfer-Encoding, Upgrade and Trailer are set by the library and
/// refused here. Content-Length is accepted if it is correct.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8 (`name`), HTTP_HEADER_INVALID (the name is not a token;
/// CR, LF or another control character in the value).
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
