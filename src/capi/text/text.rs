//! Small texts of HTTP: dates, credentials, query strings, host and port.

use std::ffi::c_char;

use bytes::Bytes;

use crate::capi::base::bytes::{atls_buf, atls_str};
use crate::capi::base::error::atls_error;
use crate::capi::base::raw::guard;
use crate::capi::base::raw::{optional_text, put, require, text};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Status};
use crate::message::credentials::basic_credentials;
use crate::message::date::{http_date, parse_http_date};
use crate::message::host::split_host_port;
use crate::message::query::url_concat;

/// A buffer that holds `text`, followed by a NUL that its length does not count.
pub(in crate::capi) fn owned(text: String) -> *mut atls_buf {
    owned_bytes(text.into_bytes())
}

/// As `owned`.
pub(in crate::capi) fn owned_bytes(mut text: Vec<u8>) -> *mut atls_buf {
    let length = text.len();
    text.push(0);
    atls_buf::into_raw(Bytes::from(text).slice(..length))
}

/// Formats a time as an HTTP date such as "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7).
/// `seconds`: since 1970-01-01 00:00:00 UTC.
/// `date`: NUL-terminated; the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (outside the years 1 to 9999).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_format_http_date(
    seconds: i64,
    date: *mut *mut atls_buf,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(date, "date")?;
        unsafe { put(date, owned(http_date(seconds)?), "date") }
    })
}

/// Parses an HTTP date in any of its three forms (RFC 9110 section 5.6.7).
/// `seconds`: since 1970-01-01 00:00:00 UTC.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_parse_http_date(
    date: *const c_char,
    seconds: *mut i64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(seconds, "seconds")?;
        let date = unsafe { text(date, "date") }?;
        let wrong = || Error::new(Status::InvalidArgument, format!("\"{}\" is not an HTTP date", date.escape_debug()));
        unsafe { put(seconds, parse_http_date(date).ok_or_else(wrong)?, "seconds") }
    })
}

/// Adds pairs to the query of a URL. The query that the URL already has is kept and written in the
/// same way: "+" for a space, %XX for everything but letters, digits and "_.-~".
/// `pairs`: names and values in turn, 2 * `count` strings; may be NULL with a count of 0.
/// `count`: number of pairs.
/// `result`: NUL-terminated; the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_url_add_query(
    url: *const c_char,
    pairs: *const *const c_char,
    count: usize,
    result: *mut *mut atls_buf,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(result, "result")?;
        let url = unsafe { text(url, "url") }?;
        if count > 0 {
            require(pairs.cast_mut(), "pairs")?;
        }
        let mut list = Vec::new();
        for index in 0..count {
            // SAFETY: the header requires 2 * count strings.
            let (name, value) = unsafe { (*pairs.add(2 * index), *pairs.add(2 * index + 1)) };
            list.push(unsafe { (text(name, "pairs")?, text(value, "pairs")?) });
        }
        unsafe { put(result, owned(url_concat(url, list.into_iter())), "result") }
    })
}

/// Formats the value of an Authorization header field for basic authentication (RFC 7617).
/// `value`: NUL-terminated; the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (a colon in the user; a control
/// character).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_basic_credentials(
    user: *const c_char,
    password: *const c_char,
    value: *mut *mut atls_buf,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(value, "value")?;
        let (user, password) = unsafe { (text(user, "user")?, text(password, "password")?) };
        let wrong =
            || Error::new(Status::InvalidArgument, "the user has a colon, or user or password a control character");
        unsafe { put(value, owned(basic_credentials(user, password).ok_or_else(wrong)?), "value") }
    })
}

/// Splits `host:port` at its last colon.
/// `host`: points into `authority` and is not NUL-terminated. All of it if there is no port.
/// `port`: 0 if there is none.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_split_host_port(
    authority: *const c_char,
    host: *mut atls_str,
    port: *mut u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(host, "host")?;
        require(port, "port")?;
        let (name, number) = split_host_port(unsafe { text(authority, "authority") }?);
        unsafe { put(host, atls_str { ptr: name.as_ptr().cast(), len: name.len() }, "host") }?;
        unsafe { put(port, number.unwrap_or(0).into(), "port") }
    })
}

/// The authority that a request is for, for servers built on atls_h1_driver or atls_h1_conn (RFC
/// 9112 section 3.3): that of a target in absolute form, whatever Host says; the target of a
/// CONNECT; else that of Host.
/// `host`: the value of the Host header field; may be NULL.
/// `authority`: the host, with the port if there is one; empty if the authority is invalid or has
/// user information. NUL-terminated; the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_effective_authority(
    method: *const c_char,
    target: *const c_char,
    host: *const c_char,
    authority: *mut *mut atls_buf,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(authority, "authority")?;
        let (method, target) = unsafe { (text(method, "method")?, text(target, "target")?) };
        let host = unsafe { optional_text(host, "host") }?.map(str::as_bytes);
        let found = crate::message::target::authority(method.as_bytes(), target.as_bytes(), host);
        unsafe { put(authority, owned_bytes(found.unwrap_or_default().to_vec()), "authority") }
    })
}
