//! `atls_headers`: a list of header fields to build, search and write.

use super::head::{atls_head, terminated};
use super::text::owned_bytes;
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, c_text, require, text};
use crate::capi::base::bytes::{atls_buf, atls_str};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::capi::client::request::atls_request;
use crate::error::{Error, Status};
use crate::message::header_fields::HeaderFields;
use crate::message::start_line::{request_line, status_line};

/// A list of header fields. Keeps their order; values are bytes; names are found in any case. A
/// builder: one thread at a time.
pub struct atls_headers {
    pub(in crate::capi) headers: HeaderFields,
}

impl Handle for atls_headers {
    type Owner = Box<atls_headers>;
}

/// Creates an empty list. Free it with atls_headers_free.
/// `preserve_case`: keeps names as they are written; otherwise they become `Http-Header-Case`.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_new(
    preserve_case: c_bool,
    headers: Out<*mut atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let headers = require(headers, "headers")?;
        let made = atls_headers { headers: HeaderFields::new(preserve_case.get()) };
        headers.give(Box::new(made));
        Ok(())
    })
}

/// Creates a list with the same fields. Free it with atls_headers_free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_copy(
    headers: Option<&atls_headers>,
    copy: Out<*mut atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let copy = require(copy, "copy")?;
        let made = atls_headers { headers: borrow(headers, "headers")?.headers.clone() };
        copy.give(Box::new(made));
        Ok(())
    })
}

/// Frees the list.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_free(headers: Owned<atls_headers>) {
    guard_free(|| destroy(headers));
}

/// Appends a field. Both are copied.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, HTTP_HEADER_INVALID (the name is not a token; the value
/// has a control character, or spaces or tabs around it).
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_add(
    headers: Option<&mut atls_headers>,
    name: c_text,
    value: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let (name, value) = (text(name, "name")?, bytes(value, "value")?);
        borrow_mut(headers, "headers")?.headers.add(name.as_bytes(), value)
    })
}

/// Like atls_headers_add, but replaces all fields with this name.
/// Statuses: as atls_headers_add.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_set(
    headers: Option<&mut atls_headers>,
    name: c_text,
    value: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        // A copy: it may be the list's own text, which the change frees.
        let (name, value) = (text(name, "name")?.to_owned(), bytes(value, "value")?.to_vec());
        borrow_mut(headers, "headers")?.headers.set(name.as_bytes(), &value)
    })
}

/// Removes all fields with this name, if there are any.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_remove(
    headers: Option<&mut atls_headers>,
    name: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let name = text(name, "name")?.to_owned();
        borrow_mut(headers, "headers")?.headers.remove(name.as_bytes());
        Ok(())
    })
}

/// Adds a field from its line on the wire, with or without the line end. A line that begins with a
/// space or tab continues the field before; an empty line adds nothing.
/// Statuses: NULL_ARGUMENT, HTTP_HEADER_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_parse_line(
    headers: Option<&mut atls_headers>,
    line: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let line = bytes(line, "line")?.to_vec();
        borrow_mut(headers, "headers")?.headers.parse_line(&line)
    })
}

/// Adds the fields of all lines of `block` or, if one is invalid, none.
/// Statuses: NULL_ARGUMENT, HTTP_HEADER_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_parse(
    headers: Option<&mut atls_headers>,
    block: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let block = bytes(block, "block")?;
        borrow_mut(headers, "headers")?.headers.parse(block)
    })
}

/// Adds the fields of a head, or of trailers: all of them or, if one is not allowed, none.
/// Statuses: NULL_ARGUMENT, HTTP_HEADER_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_add_head(
    headers: Option<&mut atls_headers>,
    head: Option<&atls_head>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let head = borrow(head, "head")?.head();
        let headers = &mut borrow_mut(headers, "headers")?.headers;
        headers.add_all(head.lines())
    })
}

/// Number of fields; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_count(headers: Option<&atls_headers>) -> usize {
    guard_value(0, || borrow(headers, "headers").map_or(0, |this| this.headers.len()))
}

/// Name of the field at `index`; "" past the end. Valid until the list changes.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_name(headers: Option<&atls_headers>, index: usize) -> atls_str {
    guard_value(atls_str::empty(), || {
        let line = borrow(headers, "headers").ok().and_then(|this| this.headers.line(index));
        terminated(line.map(|(name, _)| name))
    })
}

/// Value of the field at `index`; "" past the end. Valid until the list changes.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_value(headers: Option<&atls_headers>, index: usize) -> atls_str {
    guard_value(atls_str::empty(), || {
        let line = borrow(headers, "headers").ok().and_then(|this| this.headers.line(index));
        terminated(line.map(|(_, value)| value))
    })
}

/// Value of the first field with this name, in any case. "" if there is none, or if its value is
/// empty; atls_headers_find tells which. Valid until the list changes.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_get(headers: Option<&atls_headers>, name: c_text) -> atls_str {
    guard_value(atls_str::empty(), || {
        let (Ok(this), Ok(name)) = (borrow(headers, "headers"), text(name, "name")) else {
            return atls_str::empty();
        };
        let first = this.headers.positions(name.as_bytes(), 0).next();
        terminated(first.and_then(|index| this.headers.line(index)).map(|(_, value)| value))
    })
}

/// Index of the first field with this name, in any case, at or after index `from`; SIZE_MAX if
/// there is none.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_find(headers: Option<&atls_headers>, name: c_text, from: usize) -> usize {
    guard_value(usize::MAX, || {
        let (Ok(this), Ok(name)) = (borrow(headers, "headers"), text(name, "name")) else {
            return usize::MAX;
        };
        this.headers.positions(name.as_bytes(), from).next().unwrap_or(usize::MAX)
    })
}

/// Joins the values of all fields with this name by commas (RFC 9110 section 5.3). *joined is NULL
/// if there is none; otherwise it is NUL-terminated, and the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_joined(
    headers: Option<&atls_headers>,
    name: c_text,
    joined: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let joined = require(joined, "joined")?;
        let name = text(name, "name")?;
        let found = borrow(headers, "headers")?.headers.joined(name.as_bytes());
        joined.write(found.map_or(std::ptr::null_mut(), owned_bytes));
        Ok(())
    })
}

/// Writes all fields as they appear on the wire.
/// `block`: NUL-terminated; the caller's to free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_headers_serialize(
    headers: Option<&atls_headers>,
    block: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let block = require(block, "block")?;
        let text = borrow(headers, "headers")?.headers.serialize();
        block.write(owned_bytes(text));
        Ok(())
    })
}

/// Adds each field to the request, as atls_request_add_header does: all of them or, if one is not
/// allowed, none.
/// Statuses: NULL_ARGUMENT, HTTP_HEADER_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_add_headers(
    request: Option<&mut atls_request>,
    headers: Option<&atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let headers = &borrow(headers, "headers")?.headers;
        borrow_mut(request, "request")?.request.add_headers(headers)
    })
}

/// Parses a request line, `METHOD SP target SP HTTP/1.d`, without its line end (RFC 9112 section
/// 3).
/// `method`, `target`: point into `line` and are not NUL-terminated.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_parse_request_line(
    line: c_bytes,
    method: Out<atls_str>,
    target: Out<atls_str>,
    minor_version: Out<u32>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let method = require(method, "method")?;
        let target = require(target, "target")?;
        let minor_version = require(minor_version, "minor_version")?;
        let line = bytes(line, "line")?;
        let (found, place, minor) = request_line(line).ok_or_else(|| no_line("request", line))?;
        method.write(part(found));
        target.write(part(place));
        minor_version.write(minor.into());
        Ok(())
    })
}

/// Parses a status line, `HTTP/1.d SP status SP [reason]`, without its line end (RFC 9112 section
/// 4).
/// `reason`: points into `line` and is not NUL-terminated.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_parse_status_line(
    line: c_bytes,
    minor_version: Out<u32>,
    status: Out<u32>,
    reason: Out<atls_str>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let minor_version = require(minor_version, "minor_version")?;
        let status = require(status, "status")?;
        let reason = require(reason, "reason")?;
        let line = bytes(line, "line")?;
        let (minor, number, phrase) = status_line(line).ok_or_else(|| no_line("status", line))?;
        minor_version.write(minor.into());
        status.write(number.into());
        reason.write(part(phrase));
        Ok(())
    })
}

fn part(text: &[u8]) -> atls_str {
    atls_str { ptr: text.as_ptr().cast(), len: text.len() }
}

fn no_line(what: &str, line: &[u8]) -> Error {
    Error::new(Status::InvalidArgument, format!("\"{}\" is not a {what} line", line.escape_ascii()))
}
