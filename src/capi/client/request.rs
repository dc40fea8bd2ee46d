//! `atls_request`: one HTTP request, put together. Its body is in `request_body`, how it is carried out in `request_options`.

use std::ffi::c_char;
use std::sync::Arc;

use bytes::Bytes;

use super::request_body::Body;
use super::request_options::DEFAULT_TIMEOUT;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{borrow_mut, bytes, destroy, put, require, text};
use crate::capi::base::status::atls_status;
use crate::client::Location;
use crate::client::call::{Call, CallBody};
use crate::client::location::credentials;
use crate::client::options::Options;
use crate::error::{Error, Result, Status};
use crate::message::credentials::Login;
use crate::message::credentials::Scheme;
use crate::message::{Request, check_host};

/// A request: method, path, host, header lines in the caller's order and case, body. A builder: one thread at a time; copied when
/// used, and may be used again.
pub struct atls_request {
    /// Shared with the exchanges that were made with it; so are the options.
    pub(crate) request: Arc<Request>,
    pub(crate) body: Body,
    pub(crate) options: Arc<Options>,
    /// For a client: where to.
    location: Option<Location>,
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
        let described = Request {
            method: unsafe { text(method, "method") }?.to_owned(),
            path: unsafe { text(path, "path") }?.to_owned(),
            host: unsafe { text(host, "host") }?.to_owned(),
            host_line: None,
            absolute: false,
            headers: Vec::new(),
        };
        let made = atls_request::new(described, None);
        unsafe { put(request, Box::into_raw(Box::new(made)), "request") }
    })
}

/// A request for a client (atls_client_send, atls_client_fetch). `url` begins with `https://`, or with `http://` for hosts that no policy
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
        let method = unsafe { text(method, "method") }?.to_owned();
        let url = unsafe { text(url, "url") }?;
        let location = Location::parse(url)?;
        let (path, host) = (location.path.clone(), location.authority.clone());
        let described = Request { method, path, host, host_line: None, absolute: false, headers: Vec::new() };
        let mut made = atls_request::new(described, Some(location));
        if let Some((user, password)) = credentials(url) {
            made.options_mut().login = Some(Login::new(&user, &password, Scheme::Basic)?);
        }
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
        check_host(host)?;
        unsafe { borrow_mut(request, "request") }?.request_mut().host_line = Some(host.to_owned());
        Ok(())
    })
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
        crate::message::check_header(name, value)?;
        request.request_mut().headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    })
}

impl atls_request {
    fn new(request: Request, location: Option<Location>) -> atls_request {
        let mut options = Options::default();
        options.deadlines.head = Some(DEFAULT_TIMEOUT);
        let (request, options) = (Arc::new(request), Arc::new(options));
        atls_request { request, body: Body::Full(Bytes::new()), options, location }
    }

    pub(in crate::capi) fn request_mut(&mut self) -> &mut Request {
        Arc::make_mut(&mut self.request)
    }

    pub(in crate::capi) fn options_mut(&mut self) -> &mut Options {
        Arc::make_mut(&mut self.options)
    }

    pub(in crate::capi) fn add_once(&mut self, name: &str, value: String) -> Result<()> {
        if self.request.has(name) {
            return Err(Error::new(Status::InvalidState, format!("the request has a header {name} already")));
        }
        self.request_mut().add(name, value);
        Ok(())
    }

    /// The request as a client takes it. Statuses: InvalidArgument.
    pub(crate) fn call(&self, body: CallBody) -> Result<Call> {
        let missing = || Error::new(Status::InvalidArgument, "the request has no URL (atls_request_new_url)");
        let location = self.location.clone().ok_or_else(missing)?;
        Ok(Call::new(self.request.clone(), location, body, self.options.clone()))
    }

    /// The request with all its lines, and its head as it will stand on the wire on a connection of the host's own. Refuses what cannot be
    /// sent, before anything is reserved for it.
    pub(crate) fn complete(&self) -> Result<(Arc<Request>, Vec<u8>)> {
        let length = self.body.length()?;
        let mut request = self.request.clone();
        if let Some(value) = self.options.login.as_ref().and_then(Login::unasked) {
            let request = Arc::make_mut(&mut request);
            request.remove(&["authorization"]);
            request.add("Authorization", value);
        }
        self.options.complete(&mut request, length);
        let head = request.head(length)?;
        Ok((request, head))
    }
}
