//! What C passes, as types: each has the ABI of the pointer or struct that it stands for, and the promise that the header asks of every caller. So a function
//! that takes only these, references and numbers is safe. The header shows what C sees of them (tests/rust/support/c_types.rs).
//!
//! * `Option<&T>`: a handle or struct that the call only looks at. `Option<&mut T>`: a builder, which belongs to one thread at a time.
//! * [`Builder`]: a builder that a callback may free before the call returns.
//! * [`Counted`]: a handle that the call takes a reference to. A callback may drop the host's last one while the call runs: a Rust reference
//!   would not outlive that, the call's own `Arc` does.
//! * [`Owned`]: the reference or builder that `_free` takes.
//! * [`Out`]: a place for an output. Two outputs may be the same place, and an input may be read from it: it is never a `&mut`.
//! * [`c_text`], [`c_bytes`]: borrowed for the call.
//!
//! Raw pointers remain for what is kept beyond the call, and for arrays whose length is another argument. Such functions are `unsafe`.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::bytes::atls_bytes;
use super::handle::{Handle, null};
use crate::error::{Error, Result, Status};

/// `const T *`: NULL, or a shared handle to which the caller has a reference when the call begins.
#[repr(transparent)]
pub struct Counted<'a, T>(*const T, PhantomData<&'a T>);

impl<'a, T: Handle<Owner = Arc<T>>> From<&'a Arc<T>> for Counted<'a, T> {
    fn from(handle: &'a Arc<T>) -> Self {
        Counted(Arc::as_ptr(handle), PhantomData)
    }
}

impl<T> Counted<'_, T> {
    /// # Safety
    /// `pointer` is NULL or came from [`super::handle::into_raw`] and still owns a reference.
    pub unsafe fn from_raw(pointer: *const T) -> Self {
        Counted(pointer, PhantomData)
    }

    pub fn as_ptr(&self) -> *const T {
        self.0
    }
}

/// `T *`: NULL, or a builder that no other call uses. For calls that end what the host gave earlier, with which may go a call into the host, which may free the
/// builder.
#[repr(transparent)]
pub struct Builder<'a, T>(*mut T, PhantomData<&'a mut T>);

impl<T> Builder<'_, T> {
    /// # Safety
    /// `pointer` is NULL or came from [`super::handle::into_raw`] and was not destroyed yet, and nobody else uses it before [`change`] has returned.
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        Builder(pointer, PhantomData)
    }
}

/// Refuses NULL before anything else is looked at.
pub fn given<T>(builder: &Builder<T>, what: &str) -> Result<()> {
    if builder.0.is_null() { Err(Error::new(Status::NullArgument, format!("{what} is NULL"))) } else { Ok(()) }
}

/// Changes a builder and lets go of it: what `body` takes out of it is dropped after that.
pub fn change<T, R>(builder: Builder<T>, what: &str, body: impl FnOnce(&mut T) -> R) -> Result<R> {
    // SAFETY: NULL, or a builder that is the call's own until here; the borrow ends with `body`, which does not call into the host.
    let builder = unsafe { builder.0.as_mut() };
    super::handle::borrow_mut(builder, what).map(body)
}

/// `T *`: NULL, or a handle whose reference the caller gives up.
#[repr(transparent)]
pub struct Owned<T>(*mut T);

impl<T> Owned<T> {
    /// # Safety
    /// `pointer` is NULL or came from [`super::handle::into_raw`], and the caller does not use its reference again.
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        Owned(pointer)
    }

    pub fn into_raw(self) -> *mut T {
        self.0
    }
}

/// `T *`: NULL, or a place to write one output to. What was there is not read.
#[repr(transparent)]
pub struct Out<'a, T>(Option<&'a Cell<MaybeUninit<T>>>);

impl<'a, T> Out<'a, T> {
    pub fn null() -> Self {
        Out(None)
    }

    /// # Safety
    /// `place` is NULL or valid for writing during `'a`.
    pub unsafe fn from_raw(place: *mut T) -> Self {
        // SAFETY: the caller's promise; the bytes need no value, and a cell may have other pointers to it.
        Out(unsafe { place.cast::<Cell<MaybeUninit<T>>>().as_ref() })
    }

    /// The place, for an output that may be NULL.
    pub fn get(self) -> Option<Place<'a, T>> {
        self.0.map(Place)
    }
}

impl<'a, T> From<&'a mut T> for Out<'a, T> {
    fn from(place: &'a mut T) -> Self {
        // SAFETY: a place that is borrowed for `'a`; only values are written to it.
        unsafe { Out::from_raw(place) }
    }
}

/// A place that is there.
pub struct Place<'a, T>(&'a Cell<MaybeUninit<T>>);

impl<T> Place<'_, T> {
    /// Outputs are written when everything else has succeeded, and no call into the host follows.
    pub fn write(&self, value: T) {
        self.0.set(MaybeUninit::new(value));
    }
}

impl<T: Handle> Place<'_, *mut T> {
    /// Gives the host a handle.
    pub fn give(&self, handle: T::Owner) {
        self.write(super::handle::into_raw(handle));
    }
}

/// Refuses a NULL output before work is done for it.
pub fn require<'a, T>(place: Out<'a, T>, what: &str) -> Result<Place<'a, T>> {
    place.get().ok_or_else(|| null(what))
}

/// `const char *`: NULL, or a NUL-terminated string.
#[repr(transparent)]
pub struct c_text<'a>(*const c_char, PhantomData<&'a CStr>);

impl c_text<'_> {
    /// # Safety
    /// `pointer` is NULL or a NUL-terminated string that outlives `'a`.
    pub unsafe fn from_raw(pointer: *const c_char) -> Self {
        c_text(pointer, PhantomData)
    }

    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl<'a> From<&'a CStr> for c_text<'a> {
    fn from(text: &'a CStr) -> Self {
        c_text(text.as_ptr(), PhantomData)
    }
}

/// A string that must be there and be UTF-8.
pub fn text<'a>(given: c_text<'a>, what: &str) -> Result<&'a str> {
    if given.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, so a string that outlives `'a`: nobody else can make a `c_text`.
    let text: &'a CStr = unsafe { CStr::from_ptr(given.0) };
    text.to_str().map_err(|error| Error::new(Status::InvalidUtf8, format!("{what}: {error}")))
}

/// As [`text`]; NULL for none.
pub fn optional_text<'a>(given: c_text<'a>, what: &str) -> Result<Option<&'a str>> {
    if given.is_null() { Ok(None) } else { text(given, what).map(Some) }
}

/// `atls_bytes`: valid during `'a`. With a length of 0 the pointer is ignored.
#[repr(transparent)]
pub struct c_bytes<'a>(atls_bytes, PhantomData<&'a [u8]>);

impl c_bytes<'_> {
    /// # Safety
    /// `given.ptr` is valid for `given.len` bytes that outlive `'a`, or NULL, or `given.len` is 0.
    pub unsafe fn from_raw(given: atls_bytes) -> Self {
        c_bytes(given, PhantomData)
    }

    pub fn is_null(&self) -> bool {
        self.0.ptr.is_null()
    }
}

impl<'a> From<&'a [u8]> for c_bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        c_bytes(atls_bytes::of(bytes), PhantomData)
    }
}

/// As `bytes`; empty ones are refused.
pub fn filled<'a>(given: c_bytes<'a>, what: &str) -> Result<&'a [u8]> {
    match bytes(given, what)? {
        [] => Err(Error::new(Status::InvalidArgument, format!("{what} is empty"))),
        some => Ok(some),
    }
}

/// The bytes. A NULL pointer with a length is refused, as is a length that no memory has.
pub fn bytes<'a>(given: c_bytes<'a>, what: &str) -> Result<&'a [u8]> {
    let atls_bytes { ptr, len } = given.0;
    if len == 0 {
        return Ok(&[]);
    }
    if ptr.is_null() {
        return Err(null(what));
    }
    if len > isize::MAX as usize {
        return Err(Error::new(Status::InvalidArgument, format!("{what}: length {len} is impossible")));
    }
    // SAFETY: not NULL, so `len` bytes that outlive `'a`: nobody else can make a `c_bytes`.
    Ok(unsafe { std::slice::from_raw_parts(ptr, len) })
}
