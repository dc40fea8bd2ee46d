//! `atls_error`: a failure with all that is known about it.

use std::ffi::CString;
use std::sync::Arc;

use super::bytes::{atls_str, c_string};
use super::guard::{guard_free, guard_value};
use super::handle::{another, borrow, release};
use super::status::{ATLS_OK, atls_status};
use super::verdict::atls_verdict;
use crate::error::Error;

/// A failure. Immutable, reference-counted, safe to share between threads.
pub struct atls_error {
    pub(crate) error: Error,
    message: CString,
    phase: CString,
    report: CString,
    verdict: Option<Arc<atls_verdict>>,
}

impl atls_error {
    pub(crate) fn new(error: Error) -> atls_error {
        let verdict = error.verdict.as_ref().map(|verdict| Arc::new(atls_verdict::new(verdict.clone())));
        atls_error {
            message: c_string(&error.message),
            phase: c_string(error.phase.name()),
            report: c_string(&error.verdict.as_ref().map_or(String::new(), |verdict| verdict.to_json())),
            verdict,
            error,
        }
    }

    pub(crate) fn into_raw(error: Error) -> *mut atls_error {
        Arc::into_raw(Arc::new(atls_error::new(error))).cast_mut()
    }
}

/// The status that goes with the error; OK for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_status(error: *const atls_error) -> atls_status {
    guard_value(ATLS_OK, || unsafe { borrow(error, "error") }.map_or(ATLS_OK, |e| e.error.status as atls_status))
}

/// One sentence in English with all causes, joined by ": ". Valid as long as the error; "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_message(error: *const atls_error) -> atls_str {
    text_of(error, |e| &e.message)
}

/// Where it happened: "call", "dns", "connect", "tunnel", "tls", "evidence", "collateral", "verify" or "transfer". Valid as long as
/// the error; "" for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_phase(error: *const atls_error) -> atls_str {
    text_of(error, |e| &e.phase)
}

/// `errno` of the system call that failed, 0 where none did.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_os_errno(error: *const atls_error) -> i32 {
    guard_value(0, || unsafe { borrow(error, "error") }.map_or(0, |e| e.error.os_errno))
}

/// TLS alert number (RFC 8446 section 6), -1 where none was sent or received.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_tls_alert(error: *const atls_error) -> i32 {
    guard_value(-1, || unsafe { borrow(error, "error") }.map_or(-1, |e| e.error.tls_alert))
}

/// HTTP status that caused the error (evidence exchange, tunnel, collateral), 0 where none did. With H1_REMOTE: the status with which a
/// server might answer, 400, 431, 501 or 505.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_http_status(error: *const atls_error) -> u32 {
    guard_value(0, || unsafe { borrow(error, "error") }.map_or(0, |e| e.error.http_status.into()))
}

/// Whether the same call may succeed later without a change on the caller's side.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_retryable(error: *const atls_error) -> bool {
    guard_value(false, || unsafe { borrow(error, "error") }.is_ok_and(|e| e.error.retryable()))
}

/// The verdict that refused the server as JSON, "" where no judgement was reached. Valid as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_report_json(error: *const atls_error) -> atls_str {
    text_of(error, |e| &e.report)
}

/// The verdict that refused the server, NULL where no judgement was reached. Borrowed: valid as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_verdict(error: *const atls_error) -> *const atls_verdict {
    guard_value(std::ptr::null(), || {
        let verdict = unsafe { borrow(error, "error") }.ok().and_then(|e| e.verdict.as_ref());
        verdict.map_or(std::ptr::null(), Arc::as_ptr)
    })
}

/// Adds a reference; returns `error`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_ref(error: *mut atls_error) -> *mut atls_error {
    unsafe { another(error) }
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_error_free(error: *mut atls_error) {
    guard_free(|| unsafe { release(error) });
}

fn text_of(error: *const atls_error, field: impl Fn(&atls_error) -> &CString) -> atls_str {
    guard_value(atls_str::empty(), || match unsafe { borrow(error, "error") } {
        Ok(e) => atls_str::from_cstring(field(e)),
        Err(_) => atls_str::empty(),
    })
}
