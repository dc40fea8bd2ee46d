//! `atls_str` and `atls_buf`: text and bytes that the library hands out.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::Arc;

use bytes::Bytes;

use super::error::atls_error;
use super::guard::{guard, guard_free, guard_value};
use super::status::atls_status;
use crate::capi::base::arguments::{self, Counted, Out, Owned, c_bytes, require};
use crate::capi::base::handle::{Handle, add_ref, borrow, release};
use crate::io::turn;

/// Borrowed text, valid as long as the object that it came from, which the function that returns it names.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_str {
    /// Never NULL.
    pub ptr: *const c_char,
    /// Bytes, without the NUL.
    pub len: usize,
}

impl atls_str {
    pub(crate) const fn from_static(text: &'static CStr) -> atls_str {
        atls_str { ptr: text.as_ptr(), len: text.count_bytes() }
    }

    pub(crate) fn from_cstring(text: &CString) -> atls_str {
        atls_str { ptr: text.as_ptr(), len: text.as_bytes().len() }
    }

    pub(crate) const fn empty() -> atls_str {
        atls_str::from_static(c"")
    }
}

/// Borrowed bytes, not NUL-terminated. As an input, `ptr` may be NULL if `len` is 0. As an output, `ptr` is never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_bytes {
    /// The first byte.
    pub ptr: *const u8,
    /// How many there are.
    pub len: usize,
}

impl atls_bytes {
    pub(crate) fn of(bytes: &[u8]) -> atls_bytes {
        atls_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}

/// A C string of `text`; a NUL inside, which C could not see past, is shown as U+FFFD.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Immutable bytes. Reference-counted; safe to share between threads. The buffer of a DATA event is a view of what the network layer received: to
/// keep it copies nothing, and keeps that memory alive.
pub struct atls_buf {
    pub(crate) bytes: Bytes,
}

impl Handle for atls_buf {
    type Owner = Arc<atls_buf>;
}

impl atls_buf {
    pub(crate) fn into_raw(bytes: Bytes) -> *mut atls_buf {
        Arc::into_raw(Arc::new(atls_buf { bytes })).cast_mut()
    }
}

/// Returns the first byte; never NULL. Valid as long as the caller holds the buffer.
#[unsafe(no_mangle)]
pub extern "C" fn atls_buf_data(buf: Option<&atls_buf>) -> *const u8 {
    guard_value(c"".as_ptr().cast(), || match borrow(buf, "buf") {
        Ok(buf) if !buf.bytes.is_empty() => buf.bytes.as_ptr(),
        _ => c"".as_ptr().cast(),
    })
}

/// Returns the number of bytes; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_buf_len(buf: Option<&atls_buf>) -> usize {
    guard_value(0, || borrow(buf, "buf").map_or(0, |buf| buf.bytes.len()))
}

/// Copies `data` into a new buffer. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_buf_copy(data: c_bytes, buf: Out<*mut atls_buf>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        let buf = require(buf, "buf")?;
        let data = arguments::bytes(data, "data")?;
        buf.write(atls_buf::into_raw(Bytes::copy_from_slice(data)));
        Ok(())
    })
}

/// Wraps the caller's memory without copying. The library reads it until the last reference is dropped, then calls `release(user_data)` once, on
/// whatever thread drops it. If the call fails, `release` is not called.
/// `release`: may be NULL.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_buf_wrap(
    data: atls_bytes,
    release: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    user_data: *mut c_void,
    buf: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let buf = require(buf, "buf")?;
        // SAFETY: the host says that there are as many bytes, until `release` is called.
        arguments::bytes(unsafe { c_bytes::from_raw(data) }, "data")?;
        let (ptr, len) = if data.len == 0 { (c"".as_ptr().cast(), 0) } else { (data.ptr, data.len) };
        let owner = Foreign { data: ptr, len, release, user_data };
        buf.write(atls_buf::into_raw(Bytes::from_owner(owner)));
        Ok(())
    })
}

/// Adds a reference and returns `buf`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_buf_ref(buf: Counted<atls_buf>) -> *mut atls_buf {
    add_ref(buf)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_buf_free(buf: Owned<atls_buf>) {
    guard_free(|| release(buf));
}

/// Memory of the host with its destructor.
struct Foreign {
    data: *const u8,
    len: usize,
    release: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    user_data: *mut c_void,
}

// SAFETY: `atls_buf_wrap` tells the host that the memory is only read and may be released on any thread.
unsafe impl Send for Foreign {}
// SAFETY: as above; nothing writes to it.
unsafe impl Sync for Foreign {}

impl AsRef<[u8]> for Foreign {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the contract of `atls_buf_wrap`.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: called once, as `atls_buf_wrap` promises.
            turn::outside(|| unsafe { release(self.user_data) });
        }
    }
}
