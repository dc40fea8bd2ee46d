//! `atls_server_request`: a request to a server, and its response.

use std::ffi::CString;
use std::sync::{Arc, OnceLock};

use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::arguments::{Counted, Out, Owned, bytes, c_bytes, c_text, optional_text};
use crate::capi::base::bytes::{atls_buf, atls_str, c_string};
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, add_ref, borrow, release, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::client::request_body::ATLS_LENGTH_UNKNOWN;
use crate::capi::text::head::{
    ATLS_HTTP_VERSION_1_0, ATLS_HTTP_VERSION_1_1, ATLS_HTTP_VERSION_2, atls_head, atls_http_version,
};
use crate::capi::text::headers::atls_headers;
use crate::error::{Error, Result, Status};
use crate::io::buffers;
use crate::io::deadline::ChosenDuration;
use crate::operation::SendQueue;
use crate::server::{RequestLine, ResponseHead, ServerRequest};
use crate::tls::HttpVersion;

/// A request to a server, through which the host responds. It comes with a REQUEST event; start it
/// to respond. Reference-counted, safe to share between threads.
///
/// Dropping the last reference before the response was finished gives the request up: if it was
/// never started, it is answered with 500; otherwise its connection is closed. The connection is
/// also closed after a response that was finished before the request's END; the rest of the request
/// is discarded.
pub struct atls_server_request {
    pub(in crate::capi) inner: Arc<ServerRequest>,
    peer: OnceLock<CString>,
    remote: OnceLock<CString>,
}

impl Handle for atls_server_request {
    type Owner = Arc<atls_server_request>;
}

impl Drop for atls_server_request {
    fn drop(&mut self) {
        self.inner.abandon();
    }
}

impl atls_server_request {
    pub(in crate::capi) fn new(inner: Arc<ServerRequest>) -> atls_server_request {
        atls_server_request { inner, peer: OnceLock::new(), remote: OnceLock::new() }
    }

    pub(in crate::capi) fn head(&self) -> Arc<atls_head> {
        Arc::new(atls_head::of_request(self.inner.clone()))
    }
}

/// Accepts the request. Its events go to `sink`: DATA as credit allows, TRAILERS, END, WRITABLE
/// after a write that returned AGAIN, and CLOSED, with OK once the response is sent.
/// `runtime`: the server's.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (already started; queue stopped), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_start(
    request: Counted<atls_server_request>,
    runtime: Counted<atls_runtime>,
    sink: Option<&atls_sink>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(request, "request")?;
        let runtime = share_hub(runtime, "runtime")?;
        let operation = Operation::new(sink, &runtime.registry)?;
        let registration = operation.register(&this, &this.inner)?;
        this.inner.start(|| registration.begin(), SendQueue::new(Some(operation)))
    })
}

/// Sets the limit of this request's body, in place of ATLS_SERVER_LIMIT_BODY_BYTES. Call it before
/// the request is started.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (already started), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_set_body_limit(
    request: Counted<atls_server_request>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || share(request, "request")?.inner.set_body_limit(bytes))
}

/// Sets the deadline for this request's whole body, in place of ATLS_SERVER_DEADLINE_BODY, which is
/// the default. Call it before the request is started.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (already started), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_set_body_deadline(
    request: Counted<atls_server_request>,
    milliseconds: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || share(request, "request")?.inner.set_body_deadline(ChosenDuration::from_millis(milliseconds)))
}

/// The method as it was sent. Valid as long as the request.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_method(request: Option<&atls_server_request>) -> atls_str {
    text_of(request, RequestLine::method_terminated)
}

/// The target as it was sent; bytes. Usually path and query. Otherwise `*`, with OPTIONS, for the
/// server as a whole; or host and port, with CONNECT, which atls_server_request_upgrade_start
/// accepts; or an absolute URL, as sent to a proxy: its path is the resource, and its authority
/// counts instead of Host (RFC 9112 section 3.2). Valid as long as the request.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_target(request: Option<&atls_server_request>) -> atls_str {
    text_of(request, RequestLine::target_terminated)
}

/// The host that the request is for, as it was sent, with the port if there is one, whatever form
/// the target has (atls_effective_authority). Valid as long as the request. Empty if an HTTP/1.0
/// request names no host, or the authority is invalid.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_authority(request: Option<&atls_server_request>) -> atls_str {
    text_of(request, RequestLine::authority_terminated)
}

/// The request's header fields, as a head whose status is 0. A new reference: free it.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_head(request: Option<&atls_server_request>) -> *mut atls_head {
    guard_value(std::ptr::null_mut(), || match borrow(request, "request") {
        Ok(this) => Arc::into_raw(this.head()).cast_mut(),
        Err(_) => std::ptr::null_mut(),
    })
}

/// Address and port of the other end of the socket; empty for a Unix socket. Valid as long as the
/// request.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_peer(request: Option<&atls_server_request>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(this) = borrow(request, "request") else { return atls_str::empty() };
        shown(&this.peer, this.inner.origin.peer)
    })
}

/// The client's address: that of the other end of the socket, or what a proxy reported
/// (atls_server_config_set_trust_forwarded); empty if neither is known. Valid as long as the
/// request.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_remote(request: Option<&atls_server_request>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(this) = borrow(request, "request") else { return atls_str::empty() };
        shown(&this.remote, this.inner.origin.remote)
    })
}

/// Formatted at the first call, since few hosts ask for it.
fn shown(place: &OnceLock<CString>, address: Option<impl ToString>) -> atls_str {
    let text = || address.map_or_else(CString::default, |address| c_string(&address.to_string()));
    atls_str::from_cstring(place.get_or_init(text))
}

/// "https" or "http": what the client speaks to the server or, according to a trusted proxy, to the
/// proxy. Static.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_scheme(request: Option<&atls_server_request>) -> atls_str {
    guard_value(atls_str::empty(), || match borrow(request, "request") {
        Ok(this) if this.inner.origin.https => atls_str::from_static(c"https"),
        Ok(_) => atls_str::from_static(c"http"),
        Err(_) => atls_str::empty(),
    })
}

/// The version of HTTP that the request came with; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_http_version(request: Option<&atls_server_request>) -> atls_http_version {
    guard_value(0, || {
        let Ok(this) = borrow(request, "request") else { return 0 };
        match (this.inner.origin.version, this.inner.head.minor_version) {
            (HttpVersion::Http2, _) => ATLS_HTTP_VERSION_2,
            (HttpVersion::Http1, 0) => ATLS_HTTP_VERSION_1_0,
            (HttpVersion::Http1, _) => ATLS_HTTP_VERSION_1_1,
        }
    })
}

/// Whether the request came over TLS.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_secure(request: Option<&atls_server_request>) -> bool {
    guard_value(false, || borrow(request, "request").is_ok_and(|this| this.inner.origin.secure))
}

/// The client's certificate, DER; NULL if there is none (atls_server_config_set_client_roots). The
/// caller's to free.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_certificate(request: Option<&atls_server_request>) -> *mut atls_buf {
    guard_value(std::ptr::null_mut(), || {
        let leaf = borrow(request, "request").ok().and_then(|this| this.inner.origin.client.leaf.clone());
        leaf.map_or(std::ptr::null_mut(), |leaf| atls_buf::into_raw(bytes::Bytes::from_owner(leaf)))
    })
}

/// The verdict on the client's evidence, as a new reference: free it. NULL if the client was not
/// asked for evidence (atls_server_config_set_client_policy).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_verdict(request: Option<&atls_server_request>) -> *mut atls_verdict {
    guard_value(std::ptr::null_mut(), || {
        let verdict = borrow(request, "request").ok().and_then(|this| this.inner.origin.client.verdict.clone());
        verdict.map_or(std::ptr::null_mut(), atls_verdict::into_raw)
    })
}

/// Sends the head of the response or, with a status below 200, an informational head before it.
/// Date and the framing that the peer's HTTP version needs are added; if there is an Upgrade field,
/// so is `Connection: Upgrade`. Informational heads are not sent to an HTTP/1.0 peer.
/// `reason`: may be NULL, for the usual phrase.
/// `headers`: may be NULL.
/// `length`: of the body that will be written, in bytes, or ATLS_LENGTH_UNKNOWN. To an HTTP/1.0 peer
/// a body of unknown length ends with the connection. If it is given up or the server is freed before
/// all of it was sent, the connection is reset, so that it does not look complete. A Unix socket
/// cannot be reset: name a length there.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`status`, `reason`), HTTP_HEADER_INVALID,
/// INVALID_STATE (not started; already sent), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_send_head(
    request: Counted<atls_server_request>,
    status: u32,
    reason: c_text,
    headers: Option<&atls_headers>,
    length: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(request, "request")?;
        let message = message(status, optional_text(reason, "reason")?, headers, length)?;
        this.inner.send_head(message)
    })
}

pub(in crate::capi) fn message(
    status: u32,
    reason: Option<&str>,
    headers: Option<&atls_headers>,
    length: u64,
) -> Result<ResponseHead> {
    let status = u16::try_from(status).map_err(|_| Error::new(Status::InvalidArgument, format!("status {status}")))?;
    let headers = headers.map(|headers| &headers.headers);
    let length = (length != ATLS_LENGTH_UNKNOWN).then_some(length);
    ResponseHead::new(status, reason.map(str::as_bytes), headers, length)
}

/// Sends the head, the body and the end of a response in one call. Everything is copied.
/// `headers`: may be NULL. If it has a Content-Length, that must be the length of `body`, except in
/// response to HEAD or with 304.
/// Statuses: as atls_server_request_send_head, and HTTP_HEADER_INVALID (wrong Content-Length).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_respond(
    request: Counted<atls_server_request>,
    status: u32,
    headers: Option<&atls_headers>,
    body: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(request, "request")?;
        let body = bytes(body, "body")?;
        let message = message(status, None, headers, body.len() as u64)?;
        this.inner.respond(message, buffers::copy(body))
    })
}

/// Copies all of `data` for the response body, or returns AGAIN and takes nothing; one WRITABLE
/// event follows each AGAIN. What is written in response to HEAD, or with 204 or 304, is not sent.
///
/// At most 256 KiB are queued for a peer that does not read. Each piece counts with its buffer, at
/// most twice its length, and 128 bytes of overhead. In addition, at most 128 KiB and the last
/// piece begun are on their way.
/// Statuses: NULL_ARGUMENT, AGAIN, INVALID_STATE (no head yet; already finished; more than the
/// announced length), CLOSED, or why the request ended.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_write(
    request: Counted<atls_server_request>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        share(request, "request")?.inner.write(buffers::copy(data))
    })
}

/// Ends the response. A body shorter than the announced length is INVALID_STATE and closes the
/// connection, because the peer waits for the rest; CLOSED reports it too.
/// `trailers`: may be NULL. Allowed only with a body of unknown length; not sent to an HTTP/1.0
/// peer.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (no head yet; already finished; bytes are missing),
/// HTTP_HEADER_INVALID (trailers; the response is not ended), or why the request ended.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_finish(
    request: Counted<atls_server_request>,
    trailers: Option<&atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let lines = trailers.iter().flat_map(|trailers| trailers.headers.iter());
        let lines = lines.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        share(request, "request")?.inner.finish(lines)
    })
}

/// Allows `bytes` more of the request's body to be received. Grants add up; the sum saturates.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_grant(
    request: Counted<atls_server_request>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        share(request, "request")?.inner.credit.grant(bytes);
        Ok(())
    })
}

/// Gives the request up and closes its connection. CLOSED follows, with CANCELED.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_cancel(
    request: Counted<atls_server_request>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let inner = &share(request, "request")?.inner;
        inner.drop_unstarted();
        inner.cancel.cancel();
        Ok(())
    })
}

/// Adds a reference; returns `request`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_ref(request: Counted<atls_server_request>) -> *mut atls_server_request {
    add_ref(request)
}

/// Drops a reference. The last one gives up a request whose response is not finished.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_free(request: Owned<atls_server_request>) {
    guard_free(|| release(request));
}

fn text_of(request: Option<&atls_server_request>, text: fn(&RequestLine) -> &[u8]) -> atls_str {
    guard_value(atls_str::empty(), || match borrow(request, "request") {
        Ok(this) => crate::capi::text::head::terminated(Some(text(&this.inner.line))),
        Err(_) => atls_str::empty(),
    })
}
