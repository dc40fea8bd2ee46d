//! `atls_multipart`: a streaming parser of multipart/form-data, without I/O.

use bytes::Bytes;

use super::head::terminated;
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, c_text, require, text};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::bytes::atls_str;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Status};
use crate::message::multipart::{MultipartLimits, MultipartParser, PartEvent};

/// What comes next in a form (atls_multipart_next).
pub type atls_multipart_event = u32;

/// Nothing, until more is received.
pub const ATLS_MULTIPART_NEED_DATA: atls_multipart_event = 0;
/// A part begins: see atls_multipart_name, atls_multipart_file_name and
/// atls_multipart_content_type.
pub const ATLS_MULTIPART_PART: atls_multipart_event = 1;
/// Some bytes of the part: see atls_multipart_data.
pub const ATLS_MULTIPART_DATA: atls_multipart_event = 2;
/// The part is complete.
pub const ATLS_MULTIPART_PART_END: atls_multipart_event = 3;
/// The form is complete.
pub const ATLS_MULTIPART_END: atls_multipart_event = 4;

/// A parser of multipart/form-data bodies (RFC 7578), without I/O. Give it the body piece by piece
/// with atls_multipart_receive; atls_multipart_next returns what it contains. It holds at most the
/// head of one part and the length of a boundary. One thread at a time.
///
/// Text before the first boundary and after the last is ignored (RFC 2046 section 5.1.1). A part
/// may end with its head. `name*` and `filename*` count only if the plain parameter is absent,
/// `boundary*` never.
pub struct atls_multipart {
    parser: MultipartParser,
    /// Of the part that began last, each with a NUL; empty if there is none.
    name: Vec<u8>,
    file_name: Vec<u8>,
    content_type: Vec<u8>,
    data: Bytes,
}

impl Handle for atls_multipart {
    type Owner = Box<atls_multipart>;
}

/// Creates a parser. Free it with atls_multipart_free. 0 is the default of each limit.
/// `content_type`: the value of the body's Content-Type header field.
/// `parts`: most parts; 100 by default.
/// `part_head`: most bytes of the head of each part; 10,240 by default.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, HTTP_PROTOCOL (not multipart/form-data; no boundary).
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_new(
    content_type: c_text,
    parts: usize,
    part_head: usize,
    multipart: Out<*mut atls_multipart>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let multipart = require(multipart, "multipart")?;
        let limits = MultipartLimits::chosen(parts, part_head);
        let parser = MultipartParser::new(text(content_type, "content_type")?.as_bytes(), limits)?;
        let (name, file_name, content_type) = Default::default();
        let made = Box::new(atls_multipart { parser, name, file_name, content_type, data: Bytes::new() });
        multipart.give(made);
        Ok(())
    })
}

/// Receives more of the body; copied.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_receive(
    multipart: Option<&mut atls_multipart>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        borrow_mut(multipart, "multipart")?.parser.push(data);
        Ok(())
    })
}

/// Says that the body is complete. From now on a form that is not complete is an error.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_receive_eof(
    multipart: Option<&mut atls_multipart>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(multipart, "multipart")?.parser.end();
        Ok(())
    })
}

/// Returns what comes next in the body.
/// `event`: ATLS_MULTIPART_*.
/// Statuses: NULL_ARGUMENT, HTTP_PROTOCOL (permanent; atls_error_http_status is the status that a
/// server may respond with).
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_next(
    multipart: Option<&mut atls_multipart>,
    event: Out<atls_multipart_event>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let event = require(event, "event")?;
        let this = borrow_mut(multipart, "multipart")?;
        this.data = Bytes::new();
        let kind = match this.parser.next_event()? {
            None => ATLS_MULTIPART_NEED_DATA,
            Some(PartEvent::Part(part)) => {
                this.name = ended(&part.name);
                this.file_name = part.file_name.as_deref().map(ended).unwrap_or_default();
                this.content_type = part.content_type.as_deref().map(ended).unwrap_or_default();
                ATLS_MULTIPART_PART
            }
            Some(PartEvent::Data(data)) => {
                this.data = data;
                ATLS_MULTIPART_DATA
            }
            Some(PartEvent::PartEnd) => ATLS_MULTIPART_PART_END,
            Some(PartEvent::End) => ATLS_MULTIPART_END,
        };
        event.write(kind);
        Ok(())
    })
}

/// Name of the part that began last. Valid until the next part.
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_name(multipart: Option<&atls_multipart>) -> atls_str {
    part(multipart, |this| &this.name)
}

/// File name of the part that began last, as the client sent it: never use it as a path. "" if the
/// part is not a file. Valid until the next part.
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_file_name(multipart: Option<&atls_multipart>) -> atls_str {
    part(multipart, |this| &this.file_name)
}

/// Content type of the part that began last, as the client sent it; "" if it sent none. Valid until
/// the next part.
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_content_type(multipart: Option<&atls_multipart>) -> atls_str {
    part(multipart, |this| &this.content_type)
}

/// The bytes of an ATLS_MULTIPART_DATA event. Valid until the next call of atls_multipart_next.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (the last event was another one).
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_data(
    multipart: Option<&atls_multipart>,
    data: Out<atls_bytes>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = require(data, "data")?;
        let this = borrow(multipart, "multipart")?;
        if this.data.is_empty() {
            return Err(Error::new(Status::InvalidState, "the last event was not DATA"));
        }
        data.write(atls_bytes::of(&this.data));
        Ok(())
    })
}

/// Frees the parser.
#[unsafe(no_mangle)]
pub extern "C" fn atls_multipart_free(multipart: Owned<atls_multipart>) {
    guard_free(|| destroy(multipart));
}

fn ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn part(multipart: Option<&atls_multipart>, of: impl Fn(&atls_multipart) -> &Vec<u8>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let this = borrow(multipart, "multipart").ok();
        terminated(this.map(|this| of(this).as_slice()))
    })
}
