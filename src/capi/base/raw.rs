//! The helpers of handle.rs for functions that still take raw pointers.

#![allow(clippy::not_unsafe_ptr_arg_deref, clippy::undocumented_unsafe_blocks)]

use std::ffi::c_char;
use std::sync::Arc;

use super::arguments::{self, Counted, Out, Owned, c_bytes, c_text};
use super::bytes::atls_bytes;
use super::error::atls_error;
use super::handle::{self, Handle};
use super::status::atls_status;
use crate::error::Result;

pub fn guard(error: *mut *mut atls_error, body: impl FnOnce() -> Result<()>) -> atls_status {
    super::guard::guard(unsafe { Out::from_raw(error) }, body)
}

pub unsafe fn borrow<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    handle::borrow(unsafe { pointer.as_ref() }, what)
}

pub unsafe fn borrow_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    handle::borrow_mut(unsafe { pointer.as_mut() }, what)
}

pub unsafe fn share<T: Handle<Owner = Arc<T>>>(pointer: *const T, what: &str) -> Result<Arc<T>> {
    handle::share(unsafe { Counted::from_raw(pointer) }, what)
}

pub unsafe fn share_hub<T: Handle<Owner = Arc<T>>>(pointer: *const T, what: &str) -> Result<Arc<T>> {
    handle::share_hub(unsafe { Counted::from_raw(pointer) }, what)
}

pub unsafe fn another<T: Handle<Owner = Arc<T>>>(pointer: *const T) -> *mut T {
    handle::add_ref(unsafe { Counted::from_raw(pointer) })
}

pub unsafe fn release<T: Handle<Owner = Arc<T>>>(pointer: *const T) {
    handle::release(unsafe { Owned::from_raw(pointer.cast_mut()) })
}

pub unsafe fn destroy<T: Handle<Owner = Box<T>>>(pointer: *mut T) {
    handle::destroy(unsafe { Owned::from_raw(pointer) })
}

pub unsafe fn put<T>(place: *mut T, value: T, what: &str) -> Result<()> {
    arguments::require(unsafe { Out::from_raw(place) }, what)?.write(value);
    Ok(())
}

pub fn require<T>(place: *mut T, what: &str) -> Result<()> {
    arguments::require(unsafe { Out::from_raw(place) }, what).map(drop)
}

pub unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    arguments::text(unsafe { c_text::from_raw(pointer) }, what)
}

pub unsafe fn optional_text<'a>(pointer: *const c_char, what: &str) -> Result<Option<&'a str>> {
    arguments::optional_text(unsafe { c_text::from_raw(pointer) }, what)
}

pub unsafe fn bytes<'a>(given: atls_bytes, what: &str) -> Result<&'a [u8]> {
    arguments::bytes(unsafe { c_bytes::from_raw(given) }, what)
}
