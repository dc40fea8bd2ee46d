//! `atls_head`: a response head or trailers.

use std::ffi::{CString, c_char};

use super::bytes::{atls_str, c_string};
use super::guard::{guard_free, guard_value};
use super::handle::{another, borrow, release, text};
use crate::http::Head;

/// A response head, or trailers. Immutable, reference-counted, safe to share between threads.
pub struct atls_head {
    head: Head,
    reason: CString,
    lines: Vec<(CString, CString)>,
}

impl atls_head {
    pub(crate) fn new(head: Head) -> atls_head {
        let c = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
        atls_head {
            reason: c_string(&head.reason),
            lines: head.headers.iter().map(|(name, value)| (c(name), c(value))).collect(),
            head,
        }
    }
}

/// Status code; 0 for trailers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_status(head: *const atls_head) -> u32 {
    guard_value(0, || unsafe { borrow(head, "head") }.map_or(0, |head| head.head.status.into()))
}

/// Reason phrase as sent. Valid as long as the head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_reason(head: *const atls_head) -> atls_str {
    guard_value(atls_str::empty(), || {
        unsafe { borrow(head, "head") }.map_or(atls_str::empty(), |head| atls_str::from_cstring(&head.reason))
    })
}

/// 0 or 1, of HTTP/1.x.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_minor_version(head: *const atls_head) -> u32 {
    guard_value(1, || unsafe { borrow(head, "head") }.map_or(1, |head| head.head.minor_version.into()))
}

/// Number of header lines.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_count(head: *const atls_head) -> usize {
    guard_value(0, || unsafe { borrow(head, "head") }.map_or(0, |head| head.lines.len()))
}

/// Name of the line at `index`, in the order and case of the wire (trailers: lower case); "" past the end. Valid as long as the head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_name(head: *const atls_head, index: usize) -> atls_str {
    line(head, index, |(name, _)| name)
}

/// Value of the line at `index`, without the blanks around it; bytes, usually ASCII. Valid as long as the head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_value(head: *const atls_head, index: usize) -> atls_str {
    line(head, index, |(_, value)| value)
}

/// Value of the first line with this name, in any case; `ptr` is never NULL, and an absent line gives "" as an empty one does. Valid
/// as long as the head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_get(head: *const atls_head, name: *const c_char) -> atls_str {
    guard_value(atls_str::empty(), || {
        let (Ok(head), Ok(name)) = (unsafe { borrow(head, "head") }, unsafe { text(name, "name") }) else {
            return atls_str::empty();
        };
        let found = head.lines.iter().find(|(line, _)| line.as_bytes().eq_ignore_ascii_case(name.as_bytes()));
        found.map_or(atls_str::empty(), |(_, value)| atls_str::from_cstring(value))
    })
}

/// Adds a reference; returns `head`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_ref(head: *mut atls_head) -> *mut atls_head {
    unsafe { another(head) }
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_head_free(head: *mut atls_head) {
    guard_free(|| unsafe { release(head) });
}

fn line(head: *const atls_head, index: usize, part: impl Fn(&(CString, CString)) -> &CString) -> atls_str {
    guard_value(atls_str::empty(), || {
        let line = unsafe { borrow(head, "head") }.ok().and_then(|head| head.lines.get(index));
        line.map_or(atls_str::empty(), |line| atls_str::from_cstring(part(line)))
    })
}
