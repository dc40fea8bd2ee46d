//! Small texts of HTTP: dates, credentials, query strings, host and port.

use std::ffi::c_char;

use bytes::Bytes;

use crate::capi::base::arguments::{Out, c_text, optional_text, require, text};
use crate::capi::base::bytes::{atls_buf, atls_str};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
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
pub extern "C" fn atls_format_http_date(
    seconds: i64,
    date: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let date = require(date, "date")?;
        date.write(owned(http_date(seconds)?));
        Ok(())
    })
}

/// Parses an HTTP date in any of its three forms (RFC 9110 section 5.6.7).
/// `seconds`: since 1970-01-01 00:00:00 UTC.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_parse_http_date(date: c_text, seconds: Out<i64>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        let seconds = require(seconds, "seconds")?;
        let date = text(date, "date")?;
        let wrong = || Error::new(Status::InvalidArgument, format!("\"{}\" is not an HTTP date", date.escape_debug()));
        seconds.write(parse_http_date(date).ok_or_else(wrong)?);
        Ok(())
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
    url: c_text,
    pairs: *const *const c_char,
    count: usize,
    result: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let result = require(result, "result")?;
        let url = text(url, "url")?;
        if count > 0 && pairs.is_null() {
            return Err(Error::new(Status::NullArgument, "pairs is NULL"));
        }
        // SAFETY: the header requires `2 * count` strings, each NUL-terminated or NULL, which is refused.
        let string = |index| text(unsafe { c_text::from_raw(*pairs.add(index)) }, "pairs");
        let list: Result<Vec<_>> = (0..count).map(|pair| Ok((string(2 * pair)?, string(2 * pair + 1)?))).collect();
        let list = list?;
        result.write(owned(url_concat(url, list.into_iter())));
        Ok(())
    })
}

/// Formats the value of an Authorization header field for basic authentication (RFC 7617).
/// `value`: NUL-terminated; the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (a colon in the user; a control
/// character).
#[unsafe(no_mangle)]
pub extern "C" fn atls_basic_credentials(
    user: c_text,
    password: c_text,
    value: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let value = require(value, "value")?;
        let (user, password) = (text(user, "user")?, text(password, "password")?);
        let wrong =
            || Error::new(Status::InvalidArgument, "the user has a colon, or user or password a control character");
        value.write(owned(basic_credentials(user, password).ok_or_else(wrong)?));
        Ok(())
    })
}

/// Splits `host:port` at its last colon.
/// `host`: points into `authority` and is not NUL-terminated. All of it if there is no port.
/// `port`: 0 if there is none.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_split_host_port(
    authority: c_text,
    host: Out<atls_str>,
    port: Out<u32>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let host = require(host, "host")?;
        let port = require(port, "port")?;
        let (name, number) = split_host_port(text(authority, "authority")?);
        host.write(atls_str { ptr: name.as_ptr().cast(), len: name.len() });
        port.write(number.unwrap_or(0).into());
        Ok(())
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
pub extern "C" fn atls_effective_authority(
    method: c_text,
    target: c_text,
    host: c_text,
    authority: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let authority = require(authority, "authority")?;
        let (method, target) = (text(method, "method")?, text(target, "target")?);
        let host = optional_text(host, "host")?.map(str::as_bytes);
        let found = crate::message::request_target::authority(method.as_bytes(), target.as_bytes(), host);
        authority.write(owned_bytes(found.unwrap_or_default().to_vec()));
        Ok(())
    })
}
