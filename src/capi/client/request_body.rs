//! `atls_request`: its body, which is bytes, a buffer, a stream that the host writes, a source that the library reads, or a form.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::request::atls_request;
use crate::capi::base::arguments::{Builder, Out, bytes, c_bytes, c_text, change, optional_text, text};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{borrow, borrow_mut};
use crate::capi::base::status::atls_status;
use crate::client::{BodySource, ClientBody};
use crate::error::{Error, Result, Status};
use crate::io::blocking::call_host;
use crate::io::turn;
use crate::message::form::FormField;

/// Functions of the host that supply a request body when the library asks for it. They run on the
/// thread that drives the connection: a thread of the library or, with blocking handles, the
/// calling thread; never two at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_body_source {
    /// Required. Writes up to `cap` bytes to `buf` and returns how many; 0 at the end of the body;
    /// a negative number ends the exchange with CANCELED. Must not block for long.
    pub read: Option<unsafe extern "C" fn(user_data: *mut c_void, buf: *mut u8, cap: usize) -> i64>,
    /// Optional. Starts again from the beginning, for a redirect, a retry or an authentication
    /// challenge. Returns false if that is impossible.
    pub rewind: Option<unsafe extern "C" fn(user_data: *mut c_void) -> c_bool>,
    /// Optional. Runs once, when neither the request nor an exchange uses the source any more.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The host's own: what its functions are given.
    pub user_data: *mut c_void,
}

/// Most bytes that a source is asked for at a time.
const PIECE: usize = 64 << 10;

pub(crate) struct HostSource {
    source: atls_body_source,
    /// Set while a function of the host runs. Not a lock: a second caller gets an error and does not wait.
    busy: AtomicBool,
}

// SAFETY: the header tells the host on which threads its functions run.
unsafe impl Send for HostSource {}
// SAFETY: `busy` keeps two calls apart.
unsafe impl Sync for HostSource {}

impl HostSource {
    fn new(source: atls_body_source) -> HostSource {
        HostSource { source, busy: AtomicBool::new(false) }
    }

    /// Runs a function of the host, unless one is running. Errors: InvalidState.
    fn ask<T>(&self, call: impl FnOnce(&atls_body_source) -> T) -> Result<T> {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(Error::new(
                Status::InvalidState,
                "two exchanges read from the same body source at the same time",
            ));
        }
        let answer = call_host(|| call(&self.source));
        self.busy.store(false, Ordering::Release);
        Ok(answer)
    }
}

impl BodySource for HostSource {
    fn next(&self) -> Result<Option<Bytes>> {
        let mut piece = vec![0; PIECE];
        let count = self.ask(|source| {
            // SAFETY: the function and its data are the host's, and `piece` has room for `PIECE` bytes.
            source.read.map_or(-1, |read| unsafe { read(source.user_data, piece.as_mut_ptr(), PIECE) })
        })?;
        match usize::try_from(count) {
            Ok(0) => Ok(None),
            Ok(some) if some <= PIECE => {
                piece.truncate(some);
                Ok(Some(piece.into()))
            }
            Ok(more) => Err(Error::new(
                Status::InvalidState,
                format!("source.read returned {more}, more than the {PIECE} bytes of its buffer"),
            )),
            Err(_) => Err(Error::new(Status::Canceled, "source.read reported a failure")),
        }
    }

    fn rewind(&self) -> bool {
        // SAFETY: the function and its data are the host's.
        self.ask(|source| source.rewind.is_some_and(|rewind| unsafe { rewind(source.user_data) }.get()))
            .unwrap_or(false)
    }
}

impl Drop for HostSource {
    fn drop(&mut self) {
        if let Some(drop) = self.source.drop {
            // SAFETY: the function and its data are the host's, and nothing else holds the source any more.
            turn::outside(|| unsafe { drop(self.source.user_data) });
        }
    }
}

/// Sets the body that `make` returns. The former body is dropped after the request was let go of, because the `drop` function of a
/// source may free the request.
fn replace(request: Builder<atls_request>, make: impl FnOnce() -> ClientBody) -> Result<()> {
    change(request, "request", |request| request.request.set_body(make())).map(drop)
}

/// Sets the request's body; copied.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_body(
    request: Builder<atls_request>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = Bytes::copy_from_slice(bytes(data, "data")?);
        replace(request, || ClientBody::Full(data))
    })
}

/// Like atls_request_set_body, without a copy: the request keeps a reference to the buffer.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_body_buf(
    request: Builder<atls_request>,
    buf: Option<&atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = borrow(buf, "buf")?.bytes.clone();
        replace(request, || ClientBody::Full(data))
    })
}

/// The length of a body that is not known in advance. The body is sent in chunks.
pub const ATLS_LENGTH_UNKNOWN: u64 = u64::MAX;

/// Makes the body a stream that is written to the exchange piece by piece.
/// `length`: in bytes, or ATLS_LENGTH_UNKNOWN.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_body_stream(
    request: Builder<atls_request>,
    length: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    let length = (length != ATLS_LENGTH_UNKNOWN).then_some(length);
    guard(error, || replace(request, || ClientBody::Stream { length, may_rewind: false }))
}

/// Says whether a streamed body can be written again, for a redirect (307, 308) or an
/// authentication challenge. When that is needed, the host gets ATLS_EVENT_REWIND; with blocking
/// handles, atls_exchange_write_all, atls_exchange_finish and atls_exchange_head return AGAIN with
/// ATLS_DETAIL_REWIND. The host then calls atls_exchange_rewind and writes the body from its
/// beginning; until then nothing is taken.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (the body is not a stream).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_body_rewindable(
    request: Option<&mut atls_request>,
    rewindable: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || borrow_mut(request, "request")?.request.set_may_rewind(rewindable.get()))
}

/// Takes the body from `source`, which is copied. Exchanges of this request share the source: make
/// one at a time, and see to it that the source is at its beginning when the next one starts. If
/// the call fails, `drop` does not run.
/// `length`: in bytes, or ATLS_LENGTH_UNKNOWN.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_set_body_source(
    request: Builder<atls_request>,
    source: Option<&atls_body_source>,
    length: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = *borrow(source, "source")?;
        if source.read.is_none() {
            return Err(Error::new(Status::NullArgument, "source.read is NULL"));
        }
        let length = (length != ATLS_LENGTH_UNKNOWN).then_some(length);
        // Not made if the request is NULL: then `drop` must not run.
        replace(request, || ClientBody::Source(Arc::new(HostSource::new(source)), length))
    })
}

/// Adds a field to the form that is the request's body, and sets Content-Type:
/// application/x-www-form-urlencoded or, once a field has a file name or a content type,
/// multipart/form-data. Copied.
/// `file_name`: may be NULL, for a field that is not a file.
/// `content_type`: may be NULL.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, HTTP_HEADER_INVALID (`content_type`).
#[unsafe(no_mangle)]
pub extern "C" fn atls_request_add_form_field(
    request: Builder<atls_request>,
    name: c_text,
    value: c_bytes,
    file_name: c_text,
    content_type: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let field = FormField {
            name: text(name, "name")?.to_owned(),
            value: bytes(value, "value")?.to_vec(),
            file_name: owned(optional_text(file_name, "file_name")?),
            content_type: owned(optional_text(content_type, "content_type")?),
        };
        // What it replaces is dropped as in `replace`.
        change(request, "request", |request| request.request.add_form_field(field))?.map(drop)
    })
}
