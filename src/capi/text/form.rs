//! `atls_form`: names and values of a query, of cookies, or of a form in a body.

use std::ffi::c_char;

use super::head::terminated;
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::bytes::atls_str;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard_free, guard_value};
use crate::capi::base::raw::guard;
use crate::capi::base::raw::{borrow, bytes, destroy, optional_text, put, require, text};
use crate::capi::base::status::atls_status;
use crate::error::Result;
use crate::message::arguments::{Argument, FormLimits, cookies, form_arguments, query_arguments};

/// The names and values of a query, of cookies, or of a form in a body, and its files, in the order
/// in which they came. Immutable.
pub struct atls_form {
    lines: Vec<Line>,
}

impl crate::capi::base::handle::Handle for atls_form {
    type Owner = Box<atls_form>;
}

/// Each part, the value included, ends with a NUL that does not belong to it.
struct Line {
    name: Vec<u8>,
    value: Vec<u8>,
    file_name: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
}

impl Line {
    fn new(argument: Argument) -> Line {
        let ended = |mut text: Vec<u8>| {
            text.push(0);
            text
        };
        Line {
            name: ended(argument.name),
            value: ended(argument.value),
            file_name: argument.file_name.map(|text| ended(text.into_bytes())),
            content_type: argument.content_type.map(|text| ended(text.into_bytes())),
        }
    }
}

unsafe fn give(found: Vec<Argument>, form: *mut *mut atls_form) -> Result<()> {
    let made = atls_form { lines: found.into_iter().map(Line::new).collect() };
    unsafe { put(form, Box::into_raw(Box::new(made)), "form") }
}

/// Parses a query (what follows the '?' of a target) or text of the same form: pairs separated by
/// '&', '+' for a space, %XX for a byte.
/// `form`: the caller's to free.
/// Statuses: NULL_ARGUMENT, HTTP_PROTOCOL (more than 10,000 pairs).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_parse_query(
    query: atls_bytes,
    form: *mut *mut atls_form,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(form, "form")?;
        let found = query_arguments(unsafe { bytes(query, "query") }?)?;
        unsafe { give(found, form) }
    })
}

/// Parses the value of a Cookie header field. If a name is duplicated, the last one counts; text
/// without a '=' is a value without a name; quotes around a value are removed.
/// `form`: the caller's to free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_parse_cookies(
    cookie: atls_bytes,
    form: *mut *mut atls_form,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(form, "form")?;
        let found = cookies(unsafe { bytes(cookie, "cookie") }?);
        unsafe { give(found, form) }
    })
}

/// Parses a whole body as its Content-Type says: application/x-www-form-urlencoded or
/// multipart/form-data. A body of another type gives an empty form, which is not an error.
/// `content_encoding`: the value of that header field; may be NULL. Anything but "identity" is an
/// error: decode the body first (atls_server_config_set_decode).
/// `form`: the caller's to free.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, HTTP_PROTOCOL (atls_error_http_status is the status that
/// a server may respond with).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_parse_body(
    content_type: *const c_char,
    content_encoding: *const c_char,
    body: atls_bytes,
    form: *mut *mut atls_form,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { parse_body((content_type, content_encoding), body, (0, 0, 0), form) })
}

/// Like atls_form_parse_body, with other limits. 0 is the default of each limit.
/// `content_encoding`: may be NULL.
/// `parts`: parts of a multipart form; 100 by default.
/// `part_head`: bytes of the head of each part; 10,240 by default.
/// `pairs`: pairs of a urlencoded form; 10,000 by default.
/// `form`: the caller's to free.
/// Statuses: as atls_form_parse_body.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_parse_body_with_limits(
    content_type: *const c_char,
    content_encoding: *const c_char,
    body: atls_bytes,
    parts: usize,
    part_head: usize,
    pairs: usize,
    form: *mut *mut atls_form,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { parse_body((content_type, content_encoding), body, (parts, part_head, pairs), form) })
}

/// The limits are those of parts, of a part's head, and of pairs.
unsafe fn parse_body(
    (content_type, content_encoding): (*const c_char, *const c_char),
    body: atls_bytes,
    (parts, part_head, pairs): (usize, usize, usize),
    form: *mut *mut atls_form,
) -> Result<()> {
    require(form, "form")?;
    let content_type = unsafe { text(content_type, "content_type") }?;
    let coding = unsafe { optional_text(content_encoding, "content_encoding") }?;
    let body = unsafe { bytes(body, "body") }?;
    let limits = FormLimits::chosen(parts, part_head, pairs);
    unsafe { give(form_arguments(content_type, coding, body, limits)?, form) }
}

/// Number of entries; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_count(form: *const atls_form) -> usize {
    guard_value(0, || unsafe { borrow(form, "form") }.map_or(0, |form| form.lines.len()))
}

/// Index of the first entry with this name, at or after index `from`; SIZE_MAX if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_find(form: *const atls_form, name: *const c_char, from: usize) -> usize {
    guard_value(usize::MAX, || {
        let (Ok(form), Ok(name)) = (unsafe { borrow(form, "form") }, unsafe { text(name, "name") }) else {
            return usize::MAX;
        };
        let is_it = |line: &&Line| line.name[..line.name.len() - 1] == *name.as_bytes();
        let found = form.lines.iter().enumerate().skip(from).find(|(_, line)| is_it(line));
        found.map_or(usize::MAX, |(index, _)| index)
    })
}

/// Name of the entry at `index`: bytes, usually UTF-8. "" past the end. Valid as long as the form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_name(form: *const atls_form, index: usize) -> atls_str {
    line(form, index, |line| Some(&line.name))
}

/// Value of the entry at `index`, or the bytes of its file. "" past the end. Valid as long as the
/// form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_value(form: *const atls_form, index: usize) -> atls_str {
    line(form, index, |line| Some(&line.value))
}

/// File name of the entry at `index`, as the client sent it: never use it as a path. "" if the
/// entry is not a file. Valid as long as the form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_file_name(form: *const atls_form, index: usize) -> atls_str {
    line(form, index, |line| line.file_name.as_ref())
}

/// Content type of the entry at `index`, as the client sent it; "" if it sent none. Valid as long
/// as the form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_content_type(form: *const atls_form, index: usize) -> atls_str {
    line(form, index, |line| line.content_type.as_ref())
}

/// Frees the form.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_form_free(form: *mut atls_form) {
    guard_free(|| unsafe { destroy(form) });
}

fn line(form: *const atls_form, index: usize, of: impl Fn(&Line) -> Option<&Vec<u8>>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let form = unsafe { borrow(form, "form") }.ok();
        let found = form.and_then(|form| form.lines.get(index)).and_then(of);
        terminated(found.map(Vec::as_slice))
    })
}
