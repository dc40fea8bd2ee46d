//! `atls_server_request`, answered from a file.

use std::ffi::c_char;
use std::path::Path;

use super::request::{atls_server_request, message};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{share, share_hub, text};
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::client::request_body::ATLS_LENGTH_UNKNOWN;
use crate::capi::text::headers::atls_headers;
use crate::error::{Error, Status};
use crate::server::file::{FilePart, send};

/// Answers with `length` bytes of the file at `path` from `offset` on; ATLS_LENGTH_UNKNOWN takes it to its end. Read as fast as the peer takes it, on a thread
/// of the library's. Content-Length is added; a range's other lines, and what keeps the path where it should be, are the host's matter. A file
/// that becomes shorter meanwhile ends the connection. `runtime` is the server's. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no regular
/// file; not so many bytes; status), HTTP_HEADER_INVALID, IO, INVALID_STATE (not started; answered), CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_respond_file(
    request: *const atls_server_request,
    runtime: *const atls_runtime,
    status: u32,
    headers: *const atls_headers,
    path: *const c_char,
    offset: u64,
    length: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(request, "request") }?;
        let runtime = unsafe { share_hub(runtime, "runtime") }?;
        let path = Path::new(unsafe { text(path, "path") }?);
        let part = FilePart::open(path, offset, (length != ATLS_LENGTH_UNKNOWN).then_some(length))?;
        let message = unsafe { message(status, std::ptr::null(), headers, part.length) }?;
        if message.status < 200 {
            return Err(Error::new(Status::InvalidArgument, format!("status {status} is not final")));
        }
        send(&this.served, message, part, runtime.handle())
    })
}
