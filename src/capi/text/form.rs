//! `atls_form`: names and values of a query, of cookies, or of a form in a body.

use super::head::terminated;
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, c_text, optional_text, require, text};
use crate::capi::base::bytes::atls_str;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, borrow, destroy};
use crate::capi::base::status::atls_status;
use crate::error::Result;
use crate::message::arguments::{Argument, FormLimits, cookies, form_arguments, query_arguments};

/// The names and values of a query, of cookies, or of a form in a body, and its files, in the order
/// in which they came. Immutable.
pub struct atls_form {
    lines: Vec<Line>,
}

impl Handle for atls_form {
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

impl atls_form {
    fn new(found: Vec<Argument>) -> Box<atls_form> {
        Box::new(atls_form { lines: found.into_iter().map(Line::new).collect() })
    }
}

/// Parses a query (what follows the '?' of a target) or text of the same form: pairs separated by
/// '&', '+' for a space, %XX for a byte.
/// `form`: the caller's to free.
/// Statuses: NULL_ARGUMENT, HTTP_PROTOCOL (more than 10,000 pairs).
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_parse_query(
    query: c_bytes,
    form: Out<*mut atls_form>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let form = require(form, "form")?;
        let found = query_arguments(bytes(query, "query")?)?;
        form.give(atls_form::new(found));
        Ok(())
    })
}

/// Parses the value of a Cookie header field. If a name is duplicated, the last one counts; text
/// without a '=' is a value without a name; quotes around a value are removed.
/// `form`: the caller's to free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_parse_cookies(
    cookie: c_bytes,
    form: Out<*mut atls_form>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let form = require(form, "form")?;
        let found = cookies(bytes(cookie, "cookie")?);
        form.give(atls_form::new(found));
        Ok(())
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
pub extern "C" fn atls_form_parse_body(
    content_type: c_text,
    content_encoding: c_text,
    body: c_bytes,
    form: Out<*mut atls_form>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || parse_body((content_type, content_encoding), body, (0, 0, 0), form))
}

/// Like atls_form_parse_body, with other limits. 0 is the default of each limit.
/// `content_encoding`: may be NULL.
/// `parts`: parts of a multipart form; 100 by default.
/// `part_head`: bytes of the head of each part; 10,240 by default.
/// `pairs`: pairs of a urlencoded form; 10,000 by default.
/// `form`: the caller's to free.
/// Statuses: as atls_form_parse_body.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_parse_body_with_limits(
    content_type: c_text,
    content_encoding: c_text,
    body: c_bytes,
    parts: usize,
    part_head: usize,
    pairs: usize,
    form: Out<*mut atls_form>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || parse_body((content_type, content_encoding), body, (parts, part_head, pairs), form))
}

/// The limits are those of parts, of a part's head, and of pairs.
fn parse_body(
    (content_type, content_encoding): (c_text, c_text),
    body: c_bytes,
    (parts, part_head, pairs): (usize, usize, usize),
    form: Out<*mut atls_form>,
) -> Result<()> {
    let form = require(form, "form")?;
    let content_type = text(content_type, "content_type")?;
    let coding = optional_text(content_encoding, "content_encoding")?;
    let body = bytes(body, "body")?;
    let limits = FormLimits::chosen(parts, part_head, pairs);
    form.give(atls_form::new(form_arguments(content_type, coding, body, limits)?));
    Ok(())
}

/// Number of entries; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_count(form: Option<&atls_form>) -> usize {
    guard_value(0, || borrow(form, "form").map_or(0, |form| form.lines.len()))
}

/// Index of the first entry with this name, at or after index `from`; SIZE_MAX if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_find(form: Option<&atls_form>, name: c_text, from: usize) -> usize {
    guard_value(usize::MAX, || {
        let (Ok(form), Ok(name)) = (borrow(form, "form"), text(name, "name")) else {
            return usize::MAX;
        };
        let is_it = |line: &&Line| line.name[..line.name.len() - 1] == *name.as_bytes();
        let found = form.lines.iter().enumerate().skip(from).find(|(_, line)| is_it(line));
        found.map_or(usize::MAX, |(index, _)| index)
    })
}

/// Name of the entry at `index`: bytes, usually UTF-8. "" past the end. Valid as long as the form.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_name(form: Option<&atls_form>, index: usize) -> atls_str {
    line(form, index, |line| Some(&line.name))
}

/// Value of the entry at `index`, or the bytes of its file. "" past the end. Valid as long as the
/// form.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_value(form: Option<&atls_form>, index: usize) -> atls_str {
    line(form, index, |line| Some(&line.value))
}

/// File name of the entry at `index`, as the client sent it: never use it as a path. "" if the
/// entry is not a file. Valid as long as the form.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_file_name(form: Option<&atls_form>, index: usize) -> atls_str {
    line(form, index, |line| line.file_name.as_ref())
}

/// Content type of the entry at `index`, as the client sent it; "" if it sent none. Valid as long
/// as the form.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_content_type(form: Option<&atls_form>, index: usize) -> atls_str {
    line(form, index, |line| line.content_type.as_ref())
}

/// Frees the form.
#[unsafe(no_mangle)]
pub extern "C" fn atls_form_free(form: Owned<atls_form>) {
    guard_free(|| destroy(form));
}

fn line(form: Option<&atls_form>, index: usize, of: impl Fn(&Line) -> Option<&Vec<u8>>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let form = borrow(form, "form").ok();
        let found = form.and_then(|form| form.lines.get(index)).and_then(of);
        terminated(found.map(Vec::as_slice))
    })
}
