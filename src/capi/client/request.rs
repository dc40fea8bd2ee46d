//! `atls_request`: builds one HTTP request. Its body is in `request_body`, its options in `request_options`.

use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, c_text, require, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::client::ClientRequest;

/// A request: method, target, host, body, and header fields in the caller's order and case. A
/// builder: one thread at a time; copied when used, and may be used again.
pub struct atls_request {
    pub(in crate::capi) request: ClientRequest,
}

impl Handle for atls_request {
    type Owner = Box<atls_request>;
}

/// Creates a request for an atls_http. Its parts are checked when it is used.
/// `method`: a token such as "GET".
/// `path`: path and query, the origin form of RFC 9112 section 3.2.1.
/// `host`: the value of the Host header field.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_new(
    method: c_text,
    path: c_text,
    host: c_text,
    request: Out<*mut atls_request>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let request = require(request, "request")?;
        let (method, path, host) = (text(method, "method")?, text(path, "path")?, text(host, "host")?);
        let made = atls_request { request: ClientRequest::new(method, path, host) };
        request.give(Box::new(made));
        Ok(())
    })
}

/// Creates a request for an atls_client.
/// `method`: a token such as "GET".
/// `url`: begins with `https://`, or with `http://` for hosts that no policy covers. Its path is
/// sent as it is written; its fragment is not sent. `user:password@` in it, percent-decoded, has
/// the effect of atls_request_set_auth with ATLS_AUTH_BASIC.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (another scheme).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_new_url(
    method: c_text,
    url: c_text,
    request: Out<*mut atls_request>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let request = require(request, "request")?;
        let (method, url) = (text(method, "method")?, text(url, "url")?);
        let made = atls_request { request: ClientRequest::for_url(method, url)? };
        request.give(Box::new(made));
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_free(request: Owned<atls_request>) {
    guard_free(|| destroy(request));
}

/// Sets the value of the Host header field, in place of the URL's host and port, for a server that
/// is reached by a name that is not its own. Certificate, policy, cookies and the choice of a
/// connection still go by the URL. After a redirect, Host is that of the new URL.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_host(
    request: Option<&mut atls_request>,
    host: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let host = text(host, "host")?;
        borrow_mut(request, "request")?.request.set_host(host)
    })
}

/// Adds a header field. Host, Transfer-Encoding, Upgrade and Trailer are set by the library and
/// refused here. Content-Length is accepted if it is correct.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8 (`name`), HTTP_HEADER_INVALID (the name is not a token;
/// CR, LF or another control character in the value).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_add_header(
    request: Option<&mut atls_request>,
    name: c_text,
    value: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let name = text(name, "name")?;
        let value = bytes(value, "value")?;
        borrow_mut(request, "request")?.request.add_header(name, value)
    })
}
