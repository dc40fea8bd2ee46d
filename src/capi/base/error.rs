//! `atls_error`: a failure with all that is known about it.

use std::ffi::CString;
use std::sync::Arc;

use super::bytes::{atls_str, c_string};
use super::guard::guard_pure;
use super::status::{ATLS_OK, atls_status};
use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::arguments::{Counted, Owned};
use crate::capi::base::handle::{Handle, add_ref, borrow, release};
use crate::error::Error;

/// What exactly went wrong, if one status covers several causes (atls_error_detail). Each names the statuses that it comes with.
pub type atls_detail = u32;

/// TIMED_OUT: the request was not given a connection in time (ATLS_REQUEST_DEADLINE_QUEUE).
pub const ATLS_DETAIL_QUEUE_TIMEOUT: atls_detail = 1;
/// TIMED_OUT: connecting (atls_config_set_timeouts, ATLS_REQUEST_DEADLINE_CONNECT).
pub const ATLS_DETAIL_CONNECT_TIMEOUT: atls_detail = 2;
/// TIMED_OUT: the TLS handshake.
pub const ATLS_DETAIL_TLS_TIMEOUT: atls_detail = 3;
/// TIMED_OUT: the evidence exchange.
pub const ATLS_DETAIL_EVIDENCE_TIMEOUT: atls_detail = 4;
/// TIMED_OUT: the response head did not arrive in time (ATLS_REQUEST_DEADLINE_HEAD).
pub const ATLS_DETAIL_HEAD_TIMEOUT: atls_detail = 5;
/// TIMED_OUT: one request of a chain of redirects was not answered in time (ATLS_REQUEST_DEADLINE_FIRST_BYTE).
pub const ATLS_DETAIL_FIRST_BYTE_TIMEOUT: atls_detail = 6;
/// TIMED_OUT: the body made no progress (ATLS_REQUEST_DEADLINE_IDLE).
pub const ATLS_DETAIL_IDLE_TIMEOUT: atls_detail = 7;
/// TIMED_OUT: the exchange as a whole took too long (ATLS_REQUEST_DEADLINE_TOTAL).
pub const ATLS_DETAIL_TOTAL_TIMEOUT: atls_detail = 8;
/// TIMED_OUT: the timeout of this call. The operation continues.
pub const ATLS_DETAIL_CALL_TIMEOUT: atls_detail = 9;
/// HTTP_PROTOCOL or H1_REMOTE, as for the details that follow: the status line or, on a server, the request line is malformed.
pub const ATLS_DETAIL_BAD_START_LINE: atls_detail = 20;
/// HTTP_PROTOCOL: a header field is malformed.
pub const ATLS_DETAIL_BAD_HEADER: atls_detail = 21;
/// HTTP_PROTOCOL: the head has too many header fields or is too long.
pub const ATLS_DETAIL_HEAD_TOO_LARGE: atls_detail = 22;
/// HTTP_PROTOCOL: Content-Length is not a number.
pub const ATLS_DETAIL_BAD_CONTENT_LENGTH: atls_detail = 23;
/// HTTP_PROTOCOL: there are several Content-Length header fields with different values.
pub const ATLS_DETAIL_UNEQUAL_CONTENT_LENGTH: atls_detail = 24;
/// HTTP_PROTOCOL: Transfer-Encoding is not "chunked".
pub const ATLS_DETAIL_BAD_TRANSFER_ENCODING: atls_detail = 25;
/// HTTP_PROTOCOL: there are both Transfer-Encoding and Content-Length.
pub const ATLS_DETAIL_BOTH_LENGTHS: atls_detail = 26;
/// HTTP_PROTOCOL: a 1xx or 204 response announces a body.
pub const ATLS_DETAIL_UNEXPECTED_BODY: atls_detail = 27;
/// HTTP_PROTOCOL: the framing of a chunk is malformed.
pub const ATLS_DETAIL_BAD_CHUNK: atls_detail = 28;
/// TRUNCATED: TLS ended without close_notify, so anybody on the path may have cut the body short.
pub const ATLS_DETAIL_NO_CLOSE_NOTIFY: atls_detail = 29;
/// REDIRECT_REFUSED: the redirect leaves an attested origin.
pub const ATLS_DETAIL_REDIRECT_LEAVES: atls_detail = 40;
/// REDIRECT_REFUSED: the redirect leads from https: to http:.
pub const ATLS_DETAIL_REDIRECT_DOWNGRADES: atls_detail = 41;
/// HTTP_PROTOCOL or UNSUPPORTED: Location is not a usable URL.
pub const ATLS_DETAIL_BAD_LOCATION: atls_detail = 42;
/// TUNNEL_REFUSED: the proxy rejected the credentials or requires some.
pub const ATLS_DETAIL_PROXY_LOGIN: atls_detail = 50;
/// TUNNEL_REFUSED: the proxy refuses to connect to this destination.
pub const ATLS_DETAIL_PROXY_REFUSED: atls_detail = 51;
/// CONTENT_CODING: the response has a coding that was not asked for.
pub const ATLS_DETAIL_UNKNOWN_CODING: atls_detail = 60;
/// CONTENT_CODING: the body cannot be decoded.
pub const ATLS_DETAIL_BAD_CODING: atls_detail = 61;
/// TRUNCATED: the body ended before its coding did.
pub const ATLS_DETAIL_TRUNCATED_CODING: atls_detail = 62;
/// There were more informational (1xx) responses than the request allows.
pub const ATLS_DETAIL_TOO_MANY_INFORMATIONAL: atls_detail = 70;
/// The server answered 101 (Switching Protocols) to a request that did not ask for an upgrade.
pub const ATLS_DETAIL_UNASKED_UPGRADE: atls_detail = 71;
/// AGAIN: a streamed body must be written again from its beginning (atls_exchange_rewind).
pub const ATLS_DETAIL_REWIND: atls_detail = 72;
/// IO: the peer reset the connection, or no longer answers TCP keepalive probes.
pub const ATLS_DETAIL_PEER_GONE: atls_detail = 80;
/// CANCELED: the server was closed, or draining it took too long.
pub const ATLS_DETAIL_SERVER_CLOSED: atls_detail = 81;
/// HTTP_PROTOCOL or H1_REMOTE: the peer closed its sending direction in the middle of a message.
pub const ATLS_DETAIL_MESSAGE_CUT: atls_detail = 82;
/// CLOSED, over HTTP/2: the server has said that it has done nothing with the request. It can be sent again, whatever its method.
pub const ATLS_DETAIL_NOT_PROCESSED: atls_detail = 83;
/// TRUNCATED, over HTTP/2: the server has reset the request's stream. Others on the connection go on.
pub const ATLS_DETAIL_STREAM_RESET: atls_detail = 84;
/// INVALID_STATE: the clock of this machine is before 1970 or after 9999.
pub const ATLS_DETAIL_CLOCK: atls_detail = 110;
/// NO_RESOURCES: no thread could be started.
pub const ATLS_DETAIL_NO_THREAD: atls_detail = 130;
/// NO_RESOURCES: the system gave no random numbers.
pub const ATLS_DETAIL_NO_RANDOM: atls_detail = 131;
/// INVALID_STATE: a blocking call was made in an exit handler or in a destructor of thread-local storage, where I/O is no longer possible.
pub const ATLS_DETAIL_THREAD_ENDING: atls_detail = 132;

/// A failure. Immutable, reference-counted, safe to share between threads.
pub struct atls_error {
    pub(crate) error: Error,
    message: CString,
    phase: CString,
    report: CString,
    peer: CString,
    verdict: Option<Arc<atls_verdict>>,
}

impl Handle for atls_error {
    type Owner = Arc<atls_error>;
}

impl atls_error {
    pub(crate) fn new(error: Error) -> atls_error {
        let verdict = error.verdict.as_ref().map(|verdict| Arc::new(atls_verdict::new(verdict.clone())));
        atls_error {
            message: c_string(&error.message),
            phase: c_string(error.phase.name()),
            peer: c_string(&error.peer.map_or(String::new(), |peer| peer.to_string())),
            report: c_string(&error.verdict.as_ref().map_or(String::new(), |verdict| verdict.to_json())),
            verdict,
            error,
        }
    }
}

/// The status that goes with the error; OK for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_status(error: Option<&atls_error>) -> atls_status {
    guard_pure(ATLS_OK, || borrow(error, "error").map_or(ATLS_OK, |e| e.error.status as atls_status))
}

/// Returns one sentence in English with all causes, joined by ": "; "" for NULL. Valid as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_message(error: Option<&atls_error>) -> atls_str {
    text_of(error, |e| &e.message)
}

/// Returns where it failed: "call", "queue", "dns", "connect", "tunnel", "tls", "evidence", "collateral", "verify" or "transfer"; "" for NULL. Valid
/// as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_phase(error: Option<&atls_error>) -> atls_str {
    text_of(error, |e| &e.phase)
}

/// Returns the exact cause if one status covers several, else 0. Ignore values that you do not know.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_detail(error: Option<&atls_error>) -> atls_detail {
    guard_pure(0, || borrow(error, "error").map_or(0, |e| e.error.detail as u32))
}

/// Returns the `errno` of the system call that failed; 0 if none did.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_os_errno(error: Option<&atls_error>) -> i32 {
    guard_pure(0, || borrow(error, "error").map_or(0, |e| e.error.os_errno))
}

/// Returns the number of the TLS alert (RFC 8446 section 6); -1 if none was sent or received.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_tls_alert(error: Option<&atls_error>) -> i32 {
    guard_pure(-1, || borrow(error, "error").map_or(-1, |e| e.error.tls_alert))
}

/// Returns the HTTP status that caused the error (evidence exchange, tunnel, collateral); 0 if none did. With H1_REMOTE, the status that a server
/// might answer with: 400, 431, 501 or 505.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_http_status(error: Option<&atls_error>) -> u32 {
    guard_pure(0, || borrow(error, "error").map_or(0, |e| e.error.http_status.into()))
}

/// Returns address and port of the other end of the connection; "" if they are not known. Only errors of REFUSED events, and of the CLOSED events of
/// server requests and adopted drivers, have them. Valid as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_peer(error: Option<&atls_error>) -> atls_str {
    text_of(error, |e| &e.peer)
}

/// Returns whether the same call may succeed later without any change by the caller.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_retryable(error: Option<&atls_error>) -> bool {
    guard_pure(false, || borrow(error, "error").is_ok_and(|e| e.error.retryable()))
}

/// Returns the verdict that refused the peer, as JSON; "" if none was reached. Valid as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_report_json(error: Option<&atls_error>) -> atls_str {
    text_of(error, |e| &e.report)
}

/// Returns the verdict that refused the peer; NULL if none was reached. Borrowed: valid as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_verdict(error: Option<&atls_error>) -> *const atls_verdict {
    guard_pure(std::ptr::null(), || {
        let verdict = borrow(error, "error").ok().and_then(|e| e.verdict.as_ref());
        verdict.map_or(std::ptr::null(), Arc::as_ptr)
    })
}

/// Adds a reference and returns `error`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_ref(error: Counted<atls_error>) -> *mut atls_error {
    add_ref(error)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_error_free(error: Owned<atls_error>) {
    guard_pure((), || release(error));
}

fn text_of(error: Option<&atls_error>, field: impl Fn(&atls_error) -> &CString) -> atls_str {
    guard_pure(atls_str::empty(), || match borrow(error, "error") {
        Ok(e) => atls_str::from_cstring(field(e)),
        Err(_) => atls_str::empty(),
    })
}

#[cfg(test)]
mod tests {
    use crate::error::Detail;

    #[test]
    fn the_header_and_the_enum_say_the_same() {
        let source = include_str!("error.rs");
        for detail in &Detail::ALL[1..] {
            let name: String = format!("{detail:?}")
                .chars()
                .flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain([c.to_ascii_uppercase()]))
                .collect();
            let line = format!("pub const ATLS_DETAIL{name}: atls_detail = {};", *detail as u32);
            assert!(source.contains(&line), "{line}");
        }
        let constants = source.lines().filter(|line| line.starts_with("pub const ATLS_DETAIL_")).count();
        assert_eq!(constants, Detail::ALL.len() - 1);
    }
}
