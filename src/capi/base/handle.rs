//! Pointers in and out: `Arc` and `Box` behind opaque handles, slices and strings from C.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::bytes::atls_bytes;
use super::poison;
use crate::error::{Error, Result, Status};

fn null(what: &str) -> Error {
    Error::new(Status::NullArgument, format!("{what} is NULL"))
}

/// Borrows what a handle points to.
///
/// # Safety
/// `pointer` is NULL or came from this library and was not freed yet.
pub unsafe fn borrow<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    poison::enter(pointer.cast(), what)?;
    unsafe { pointer.as_ref() }.ok_or_else(|| null(what))
}

/// As [`borrow`], exclusively: for builders, which belong to one thread at a time.
///
/// # Safety
/// As for [`borrow`], and nobody else uses the object meanwhile.
pub unsafe fn borrow_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    poison::enter(pointer.cast_const().cast(), what)?;
    unsafe { pointer.as_mut() }.ok_or_else(|| null(what))
}

/// Another strong reference to the `Arc` behind a handle.
///
/// # Safety
/// `pointer` is NULL or came from `Arc::into_raw` and still owns a reference.
pub unsafe fn share<T>(pointer: *const T, what: &str) -> Result<Arc<T>> {
    if pointer.is_null() {
        return Err(null(what));
    }
    poison::enter(pointer.cast(), what)?;
    unsafe {
        Arc::increment_strong_count(pointer);
        Ok(Arc::from_raw(pointer))
    }
}

/// As [`share`], for runtimes and queues: what they hold stands under locks that no call leaves half-changed, and after a panic they have to be stopped.
///
/// # Safety
/// As for [`share`].
pub unsafe fn share_hub<T>(pointer: *const T, what: &str) -> Result<Arc<T>> {
    if pointer.is_null() {
        return Err(null(what));
    }
    unsafe {
        Arc::increment_strong_count(pointer);
        Ok(Arc::from_raw(pointer))
    }
}

/// The body of every `_ref`: one more reference, or NULL for NULL.
///
/// # Safety
/// As for [`share`].
pub unsafe fn another<T>(pointer: *const T) -> *mut T {
    super::guard::guard_value(std::ptr::null_mut(), || {
        if !pointer.is_null() {
            unsafe { Arc::increment_strong_count(pointer) };
        }
        pointer.cast_mut()
    })
}

/// Drops one reference of a shared handle.
///
/// # Safety
/// As for [`share`]; the reference is gone afterwards.
pub unsafe fn release<T>(pointer: *const T) {
    if !pointer.is_null() {
        let shared = unsafe { Arc::from_raw(pointer) };
        if poison::is_spoiled(pointer.cast()) {
            // Keeps the address, and not what was there.
            std::mem::forget(Arc::downgrade(&shared));
        }
        drop(shared);
    }
}

/// Drops a builder.
///
/// # Safety
/// `pointer` is NULL or came from `Box::into_raw`.
pub unsafe fn destroy<T>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    match poison::is_spoiled(pointer.cast_const().cast()) {
        // Keeps the address, and not what was there.
        true => unsafe { pointer.drop_in_place() },
        false => drop(unsafe { Box::from_raw(pointer) }),
    }
}

/// Writes an output. Outputs are written only when everything else succeeded.
///
/// # Safety
/// `place` is valid for writing, or NULL.
pub unsafe fn put<T>(place: *mut T, value: T, what: &str) -> Result<()> {
    if place.is_null() {
        return Err(null(what));
    }
    unsafe { place.write(value) };
    Ok(())
}

/// Refuses a NULL output before work is done for it.
pub fn require<T>(place: *mut T, what: &str) -> Result<()> {
    if place.is_null() { Err(null(what)) } else { Ok(()) }
}

/// A C string that must be there and be UTF-8.
///
/// # Safety
/// `pointer` is NULL or a NUL-terminated string that outlives `'a`.
pub unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null(what));
    }
    unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|error| Error::new(Status::InvalidUtf8, format!("{what}: {error}")))
}

/// As [`text`], where NULL means that there is none.
///
/// # Safety
/// As for [`text`].
pub unsafe fn optional_text<'a>(pointer: *const c_char, what: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() { Ok(None) } else { unsafe { text(pointer, what) }.map(Some) }
}

/// Bytes from C. With a length of 0 the pointer is ignored.
///
/// # Safety
/// `given.ptr` is valid for `given.len` bytes that outlive `'a`, or `given.len` is 0.
pub unsafe fn bytes<'a>(given: atls_bytes, what: &str) -> Result<&'a [u8]> {
    if given.len == 0 {
        return Ok(&[]);
    }
    if given.ptr.is_null() {
        return Err(null(what));
    }
    if given.len > isize::MAX as usize {
        return Err(Error::new(Status::InvalidArgument, format!("{what}: length {} is impossible", given.len)));
    }
    Ok(unsafe { std::slice::from_raw_parts(given.ptr, given.len) })
}
