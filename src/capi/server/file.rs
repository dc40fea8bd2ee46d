//! `atls_server_request`: a response from a file.

use std::path::Path;

use super::request::{atls_server_request, message};
use crate::capi::base::arguments::{Counted, Out, c_text, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{share, share_hub};
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::client::request_body::ATLS_LENGTH_UNKNOWN;
use crate::capi::text::headers::atls_headers;
use crate::server::file::{FilePart, send};

/// Responds with a part of a file. The file is read on a thread of the library, as fast as the peer
/// takes it. Content-Length is added; the other header fields of a range, and which paths may be
/// served, are up to the host. If the file becomes shorter while it is sent, the connection is
/// closed.
/// `runtime`: the server's.
/// `headers`: may be NULL.
/// `offset`: where in the file to start, in bytes.
/// `length`: in bytes; ATLS_LENGTH_UNKNOWN sends the file to its end.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (not a regular file; the file is too
/// short; `status` not final), HTTP_HEADER_INVALID, IO, INVALID_STATE (not started; already
/// answered), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_respond_file(
    request: Counted<atls_server_request>,
    runtime: Counted<atls_runtime>,
    status: u32,
    headers: Option<&atls_headers>,
    path: c_text,
    offset: u64,
    length: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(request, "request")?;
        let runtime = share_hub(runtime, "runtime")?;
        let path = Path::new(text(path, "path")?);
        let part = FilePart::open(path, offset, (length != ATLS_LENGTH_UNKNOWN).then_some(length))?;
        let message = message(status, None, headers, part.length)?;
        send(&this.inner, message, part, runtime.handle())
    })
}
