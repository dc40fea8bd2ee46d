//! `atls_multipart`: a form with files as it comes, without I/O.

use std::ffi::c_char;

use bytes::Bytes;

use super::head::terminated;
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::bytes::atls_str;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{borrow, borrow_mut, bytes, destroy, put, require, text};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Status};
use crate::message::multipart::{Event, Limits, Parser};

/// Nothing until more is received.
pub const ATLS_MULTIPART_NEED_DATA: u32 = 0;
/// A part begins: atls_multipart_name and its like say which.
pub const ATLS_MULTIPART_PART: u32 = 1;
/// Some of its bytes, in atls_multipart_data.
pub const ATLS_MULTIPART_DATA: u32 = 2;
/// It is complete.
pub const ATLS_MULTIPART_PART_END: u32 = 3;
/// So is the form.
pub const ATLS_MULTIPART_END: u32 = 4;

/// A multipart/form-data body, piece by piece (RFC 7578): bytes go in with atls_multipart_receive, atls_multipart_next says what they are. Text
/// before the first boundary and after the last is ignored (RFC 2046 section 5.1.1); a part may end with its head. `name*` and `filename*` count only
/// if the plain parameter is absent, `boundary*` never. Holds at most a part's head and the length of a boundary. One thread at a time.
pub struct atls_multipart {
    parser: Parser,
    /// Of the part that began last, each with its NUL; empty for none.
    name: Vec<u8>,
    file_name: Vec<u8>,
    content_type: Vec<u8>,
    data: Bytes,
}

/// `content_type` is the value of the body's Content-Type line. `parts` and `part_head` limit the number of parts, and the bytes of a part's head; 0 is 100 parts, and
/// 10,240 bytes. The caller's to free. Statuses: NULL_ARGUMENT, INVALID_UTF8, HTTP_PROTOCOL (no form, no boundary).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_new(
    content_type: *const c_char,
    parts: usize,
    part_head: usize,
    multipart: *mut *mut atls_multipart,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(multipart, "multipart")?;
        let limits = Limits::chosen(parts, part_head);
        let parser = Parser::new(unsafe { text(content_type, "content_type") }?.as_bytes(), limits)?;
        let (name, file_name, content_type) = Default::default();
        let made = Box::new(atls_multipart { parser, name, file_name, content_type, data: Bytes::new() });
        unsafe { put(multipart, Box::into_raw(made), "multipart") }
    })
}

/// More of the body. Copied. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_receive(
    multipart: *mut atls_multipart,
    data: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = unsafe { bytes(data, "data") }?;
        unsafe { borrow_mut(multipart, "multipart") }?.parser.push(data);
        Ok(())
    })
}

/// The body is over: from here on a form that is not complete is an error. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_receive_eof(
    multipart: *mut atls_multipart,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(multipart, "multipart") }?.parser.end();
        Ok(())
    })
}

/// What comes next, ATLS_MULTIPART_*. Statuses: NULL_ARGUMENT, HTTP_PROTOCOL (for good), with an atls_error_http_status that a server may answer with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_next(
    multipart: *mut atls_multipart,
    event: *mut u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(event, "event")?;
        let this = unsafe { borrow_mut(multipart, "multipart") }?;
        this.data = Bytes::new();
        let kind = match this.parser.next_event()? {
            None => ATLS_MULTIPART_NEED_DATA,
            Some(Event::Part(part)) => {
                this.name = ended(&part.name);
                this.file_name = part.file_name.as_deref().map(ended).unwrap_or_default();
                this.content_type = part.content_type.as_deref().map(ended).unwrap_or_default();
                ATLS_MULTIPART_PART
            }
            Some(Event::Data(data)) => {
                this.data = data;
                ATLS_MULTIPART_DATA
            }
            Some(Event::PartEnd) => ATLS_MULTIPART_PART_END,
            Some(Event::End) => ATLS_MULTIPART_END,
        };
        unsafe { put(event, kind, "event") }
    })
}

/// The name of the part that began last. Valid until the next part, as are the others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_name(multipart: *const atls_multipart) -> atls_str {
    part(multipart, |this| &this.name)
}

/// Its file's name, as the client has it: never to be used as a path. Empty for what is no file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_file_name(multipart: *const atls_multipart) -> atls_str {
    part(multipart, |this| &this.file_name)
}

/// Its type, as the client states it; empty if it states none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_content_type(multipart: *const atls_multipart) -> atls_str {
    part(multipart, |this| &this.content_type)
}

/// The bytes of the DATA that came last. Valid until the next call of atls_multipart_next. Statuses: NULL_ARGUMENT, INVALID_STATE (none).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_data(
    multipart: *const atls_multipart,
    data: *mut atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { borrow(multipart, "multipart") }?;
        if this.data.is_empty() {
            return Err(Error::new(Status::InvalidState, "the last event was not DATA"));
        }
        unsafe { put(data, atls_bytes::of(&this.data), "data") }
    })
}

/// Frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_multipart_free(multipart: *mut atls_multipart) {
    guard_free(|| unsafe { destroy(multipart) });
}

fn ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn part(multipart: *const atls_multipart, of: impl Fn(&atls_multipart) -> &Vec<u8>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let this = unsafe { borrow(multipart, "multipart") }.ok();
        terminated(this.map(|this| of(this).as_slice()))
    })
}
