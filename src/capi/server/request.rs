//! `atls_server_request`: what a server was asked, and the way back for the answer.

use std::ffi::CString;
use std::sync::{Arc, OnceLock};

use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::bytes::{atls_buf, atls_str, c_string};
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{another, borrow, bytes, release, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::client::request_body::ATLS_LENGTH_UNKNOWN;
use crate::capi::text::head::atls_head;
use crate::capi::text::headers::atls_headers;
use crate::error::{Error, Result, Status};
use crate::io::buffers;
use crate::operation::{Outgoing, TransferEvent};
use crate::server::{RequestLine, ResponseHead, ServerRequest};

/// A request, and the way back for its answer. Comes with REQUEST; to answer it, start it. Reference-counted, safe to share between threads.
/// Dropping the last reference before the answer was finished gives the request up: never started it is answered with 500, else its
/// connection ends. It ends too after an answer that was finished before the request had come to its END, what is left of which is discarded.
pub struct atls_server_request {
    pub(in crate::capi) served: Arc<ServerRequest>,
    peer: OnceLock<CString>,
    remote: OnceLock<CString>,
}

impl Drop for atls_server_request {
    fn drop(&mut self) {
        self.served.abandon();
    }
}

impl atls_server_request {
    pub(in crate::capi) fn new(served: Arc<ServerRequest>) -> atls_server_request {
        atls_server_request { served, peer: OnceLock::new(), remote: OnceLock::new() }
    }

    pub(in crate::capi) fn head(&self) -> Arc<atls_head> {
        Arc::new(atls_head::new(self.served.head.clone()))
    }
}

/// Takes the request. Its events go to `sink`: DATA as credit allows, TRAILERS, END, WRITABLE after a write that was refused, and CLOSED, with OK
/// once the answer is sent. `runtime` is the server's. Statuses: NULL_ARGUMENT, INVALID_STATE (started already; queue stopped), CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_start(
    request: *mut atls_server_request,
    runtime: *const atls_runtime,
    sink: *const atls_sink,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(request.cast_const(), "request") }?;
        let runtime = unsafe { share_hub(runtime, "runtime") }?;
        let operation = unsafe { Operation::new(sink, &runtime.registry) }?;
        let registration = operation.register(&this, &this.served, |served| served.cancel.cancel())?;
        let writable = operation.observer();
        let outgoing = Outgoing::new(Box::new(move || writable.post(TransferEvent::Writable, None)));
        this.served.start(|| registration.begin(), outgoing)
    })
}

/// The limit of this request's body, in place of ATLS_SERVER_LIMIT_BODY_BYTES. To be set before the request is started. Statuses: NULL_ARGUMENT,
/// INVALID_STATE (started already), CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_set_body_limit(
    request: *const atls_server_request,
    bytes: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { share(request, "request") }?.served.set_body_limit(bytes))
}

/// The deadline for all of this request's body, in place of ATLS_SERVER_DEADLINE_BODY; 0 and UINT32_MAX are none. To be set before the request is
/// started. Statuses: NULL_ARGUMENT, INVALID_STATE (started already), CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_set_body_deadline(
    request: *const atls_server_request,
    milliseconds: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let deadline = (milliseconds != 0 && milliseconds != u32::MAX)
            .then(|| std::time::Duration::from_millis(milliseconds.into()));
        unsafe { share(request, "request") }?.served.set_body_deadline(deadline)
    })
}

/// Method, as it was sent. Valid as long as the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_method(request: *const atls_server_request) -> atls_str {
    text_of(request, RequestLine::method_terminated)
}

/// Target, as it was sent; bytes. Mostly path and query; `*` with OPTIONS for the server as a whole; host and port with CONNECT, which
/// atls_server_request_upgrade_start accepts; or an absolute URL, as to a proxy: its path is the resource, and its authority counts instead of Host (RFC
/// 9112 section 3.2). Valid as long as the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_target(request: *const atls_server_request) -> atls_str {
    text_of(request, RequestLine::target_terminated)
}

/// The host that the request is for, with the port if there is one, whatever form its target has (atls_effective_authority); as it was sent. Empty if an
/// HTTP/1.0 request names none, or if what counts is not a valid authority. Valid as long as the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_authority(request: *const atls_server_request) -> atls_str {
    text_of(request, RequestLine::authority_terminated)
}

/// The lines of its head (its status is 0). A new reference: free it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_head(request: *const atls_server_request) -> *mut atls_head {
    guard_value(std::ptr::null_mut(), || match unsafe { borrow(request, "request") } {
        Ok(this) => Arc::into_raw(this.head()).cast_mut(),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Address and port of the other end of the socket; empty for a Unix socket. Valid as long as the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_peer(request: *const atls_server_request) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(this) = (unsafe { borrow(request, "request") }) else { return atls_str::empty() };
        shown(&this.peer, this.served.origin.peer)
    })
}

/// The client's address: that of the other end of the socket, or what a proxy says (atls_server_config_set_trust_forwarded); empty if neither is known.
/// Valid as long as the request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_remote(request: *const atls_server_request) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(this) = (unsafe { borrow(request, "request") }) else { return atls_str::empty() };
        shown(&this.remote, this.served.origin.remote)
    })
}

/// Written when it is asked for: few hosts do.
fn shown(place: &OnceLock<CString>, address: Option<impl ToString>) -> atls_str {
    let text = || address.map_or_else(CString::default, |address| c_string(&address.to_string()));
    atls_str::from_cstring(place.get_or_init(text))
}

/// "https" or "http": what the client speaks, to the server or, as it says, to the proxy before it. Static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_scheme(request: *const atls_server_request) -> atls_str {
    guard_value(atls_str::empty(), || match unsafe { borrow(request, "request") } {
        Ok(this) if this.served.origin.https => atls_str::from_static(c"https"),
        Ok(_) => atls_str::from_static(c"http"),
        Err(_) => atls_str::empty(),
    })
}

/// Whether it came in TLS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_secure(request: *const atls_server_request) -> bool {
    guard_value(false, || unsafe { borrow(request, "request") }.is_ok_and(|this| this.served.origin.secure))
}

/// The certificate that the client has shown, DER; NULL for none (atls_server_config_set_client_roots). The caller's to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_certificate(request: *const atls_server_request) -> *mut atls_buf {
    guard_value(std::ptr::null_mut(), || {
        let leaf = unsafe { borrow(request, "request") }.ok().and_then(|this| this.served.origin.client.leaf.clone());
        leaf.map_or(std::ptr::null_mut(), |leaf| atls_buf::into_raw(bytes::Bytes::from_owner(leaf)))
    })
}

/// The verdict on the client's evidence; NULL if it was not asked for any (atls_server_config_set_client_policy). The caller's to free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_verdict(request: *const atls_server_request) -> *mut atls_verdict {
    guard_value(std::ptr::null_mut(), || {
        let verdict =
            unsafe { borrow(request, "request") }.ok().and_then(|this| this.served.origin.client.verdict.clone());
        verdict.map_or(std::ptr::null_mut(), atls_verdict::into_raw)
    })
}

/// The head of the answer, or with a status below 200 an informational one before it. `reason` NULL is the usual one; `headers` may be NULL; `length`
/// is that of the body that will be written, or ATLS_LENGTH_UNKNOWN. Date and framing are added, as the peer's version needs them; with Upgrade, so
/// is `Connection: Upgrade`. Informational heads are not sent to an HTTP/1.0 peer. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (status, reason),
/// HTTP_HEADER_INVALID, INVALID_STATE (not started; sent already), CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_send_head(
    request: *const atls_server_request,
    status: u32,
    reason: *const std::ffi::c_char,
    headers: *const atls_headers,
    length: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(request, "request") }?;
        let message = unsafe { message(status, reason, headers, length) }?;
        this.served.send_head(message)
    })
}

pub(in crate::capi) unsafe fn message(
    status: u32,
    reason: *const std::ffi::c_char,
    headers: *const atls_headers,
    length: u64,
) -> Result<ResponseHead> {
    let status = u16::try_from(status).map_err(|_| Error::new(Status::InvalidArgument, format!("status {status}")))?;
    let reason = unsafe { crate::capi::base::handle::optional_text(reason, "reason") }?;
    let headers = unsafe { headers.as_ref() }.map(|headers| &headers.headers);
    let length = (length != ATLS_LENGTH_UNKNOWN).then_some(length);
    ResponseHead::new(status, reason.map(str::as_bytes), headers, length)
}

/// Head, body and end of an answer in one call. Copied. Statuses: as atls_server_request_send_head, and HTTP_HEADER_INVALID if a Content-Length among
/// the lines differs from `len`, except for a HEAD or a 304.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_respond(
    request: *const atls_server_request,
    status: u32,
    headers: *const atls_headers,
    body: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(request, "request") }?;
        let body = unsafe { bytes(body, "body") }?;
        let message = unsafe { message(status, std::ptr::null(), headers, body.len() as u64) }?;
        if message.status < 200 {
            return Err(Error::new(Status::InvalidArgument, format!("status {status} is not final")));
        }
        this.served.respond(message, buffers::copy(body))
    })
}

/// Copies all of the bytes for the answer's body, or answers AGAIN and takes nothing; one WRITABLE event follows each AGAIN. At most 256 KiB wait for
/// a peer that does not read; each piece counts with 128 bytes of overhead and with its buffer, at most twice its length. Beside them, at most 128
/// KiB and the last piece begun are on their way. What is written for a HEAD, or with a 204 or 304, is not sent. Statuses: NULL_ARGUMENT, AGAIN,
/// INVALID_STATE (no head yet; finished; more than the head has announced), CLOSED, or why the request ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_write(
    request: *const atls_server_request,
    data: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let data = unsafe { bytes(data, "data") }?;
        unsafe { share(request, "request") }?.served.write(buffers::copy(data))
    })
}

/// Ends the answer; `trailers`, which go only with a body of unknown length, may be NULL; an HTTP/1.0 peer does not get them. A body shorter than its
/// head said is INVALID_STATE and ends the connection, since the peer waits for the rest; CLOSED says so too. Statuses: NULL_ARGUMENT, INVALID_STATE
/// (no head yet; finished; bytes are missing), HTTP_HEADER_INVALID (trailers; the answer is not ended), or why the request ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_finish(
    request: *const atls_server_request,
    trailers: *const atls_headers,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let trailers = unsafe { trailers.as_ref() };
        let lines = trailers.iter().flat_map(|trailers| trailers.headers.iter());
        let lines = lines.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        unsafe { share(request, "request") }?.served.finish(lines)
    })
}

/// Lets `bytes` more of the request's body be received. Adds up, saturating. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_grant(
    request: *const atls_server_request,
    bytes: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { share(request, "request") }?.served.credit.grant(bytes);
        Ok(())
    })
}

/// Gives the request up, and with it the connection; CLOSED follows, with CANCELED. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_cancel(
    request: *const atls_server_request,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let served = &unsafe { share(request, "request") }?.served;
        served.drop_unstarted();
        served.cancel.cancel();
        Ok(())
    })
}

/// Adds a reference; returns `request`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_ref(request: *mut atls_server_request) -> *mut atls_server_request {
    unsafe { another(request) }
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_request_free(request: *mut atls_server_request) {
    guard_free(|| unsafe { release(request) });
}

fn text_of(request: *const atls_server_request, text: fn(&RequestLine) -> &[u8]) -> atls_str {
    guard_value(atls_str::empty(), || match unsafe { borrow(request, "request") } {
        Ok(this) => crate::capi::text::head::terminated(Some(text(&this.served.line))),
        Err(_) => atls_str::empty(),
    })
}
