//! Handles: an `Arc` or a `Box` behind an opaque pointer. Which of the two it is stands in one line beside the type, and whatever treats it as the other does not
//! compile.

use std::sync::Arc;

use super::arguments::{Counted, Owned};
use super::poison;
use crate::error::{Error, Result, Status};

/// What C has a pointer to. `Owner = Arc<Self>`: shared, reference-counted, usable from any thread. `Owner = Box<Self>`: a builder, or what else belongs to
/// one thread at a time.
///
/// A builder is destroyed, a shared handle released:
/// ```
/// use atls::capi::{attest::policy::atls_policy, base::{arguments::Owned, handle::*}, connect::config::atls_config};
/// let (config, policy): (fn(Owned<atls_config>), fn(Owned<atls_policy>)) = (destroy, release);
/// ```
/// and not the other way round:
/// ```compile_fail,E0271
/// use atls::capi::{base::{arguments::Owned, handle::*}, connect::config::atls_config};
/// let config: fn(Owned<atls_config>) = release;
/// ```
/// ```compile_fail,E0271
/// use atls::capi::{attest::policy::atls_policy, base::{arguments::Owned, handle::*}};
/// let policy: fn(Owned<atls_policy>) = destroy;
/// ```
/// A builder has no references to add:
/// ```compile_fail,E0271
/// use atls::capi::{base::{arguments::Counted, handle::*}, connect::config::atls_config};
/// let config: fn(Counted<'_, atls_config>) -> *mut atls_config = add_ref;
/// ```
/// And what can neither be sent to another thread nor shared with one is no shared handle:
/// ```compile_fail,E0277
/// struct Local(std::rc::Rc<()>);
/// impl atls::capi::base::handle::Handle for Local {
///     type Owner = std::sync::Arc<Local>;
/// }
/// ```
pub trait Handle: Sized {
    type Owner: Owner<Self>;
}

/// `Arc` or `Box`.
pub trait Owner<T> {
    fn into_raw(self) -> *mut T;
}

impl<T: Send + Sync> Owner<T> for Arc<T> {
    fn into_raw(self) -> *mut T {
        Arc::into_raw(self).cast_mut()
    }
}

impl<T> Owner<T> for Box<T> {
    fn into_raw(self) -> *mut T {
        Box::into_raw(self)
    }
}

/// A handle for the host.
pub fn into_raw<T: Handle>(owner: T::Owner) -> *mut T {
    owner.into_raw()
}

pub(super) fn null(what: &str) -> Error {
    Error::new(Status::NullArgument, format!("{what} is NULL"))
}

/// What a handle points to, unless it is NULL or met a panic.
pub fn borrow<'a, T>(handle: Option<&'a T>, what: &str) -> Result<&'a T> {
    let handle = handle.ok_or_else(|| null(what))?;
    poison::enter(std::ptr::from_ref(handle).cast(), what)?;
    Ok(handle)
}

/// As [`borrow`], exclusively: for builders, which belong to one thread at a time.
pub fn borrow_mut<'a, T>(handle: Option<&'a mut T>, what: &str) -> Result<&'a mut T> {
    let handle = handle.ok_or_else(|| null(what))?;
    poison::enter(std::ptr::from_ref(handle).cast(), what)?;
    Ok(handle)
}

/// A reference of the call's own.
pub fn share<T: Handle<Owner = Arc<T>>>(handle: Counted<T>, what: &str) -> Result<Arc<T>> {
    let pointer = handle.as_ptr();
    if !pointer.is_null() {
        poison::enter(pointer.cast(), what)?;
    }
    share_hub(handle, what)
}

/// As [`share`], for runtimes and queues: what they hold stands under locks that no call leaves half-changed, and after a panic they have to be stopped.
pub fn share_hub<T: Handle<Owner = Arc<T>>>(handle: Counted<T>, what: &str) -> Result<Arc<T>> {
    let pointer = handle.as_ptr();
    if pointer.is_null() {
        return Err(null(what));
    }
    // SAFETY: not NULL, so from `Arc::into_raw`, with a reference of the caller's; the one that is added is ours.
    unsafe {
        Arc::increment_strong_count(pointer);
        Ok(Arc::from_raw(pointer))
    }
}

/// The body of every `_ref`: one more reference, or NULL for NULL.
pub fn add_ref<T: Handle<Owner = Arc<T>>>(handle: Counted<T>) -> *mut T {
    super::guard::guard_value(std::ptr::null_mut(), || {
        let pointer = handle.as_ptr();
        if !pointer.is_null() {
            // SAFETY: as in `share_hub`; the one that is added is the host's.
            unsafe { Arc::increment_strong_count(pointer) };
        }
        pointer.cast_mut()
    })
}

/// The reference that the host gives up.
pub fn take<T: Handle<Owner = Arc<T>>>(handle: Owned<T>) -> Option<Arc<T>> {
    let pointer = handle.into_raw();
    // SAFETY: not NULL, so from `Arc::into_raw`, and the caller gives up its reference.
    (!pointer.is_null()).then(|| unsafe { Arc::from_raw(pointer) })
}

/// Drops one reference of a shared handle.
pub fn release<T: Handle<Owner = Arc<T>>>(handle: Owned<T>) {
    if let Some(shared) = take(handle)
        && poison::is_spoiled(Arc::as_ptr(&shared).cast())
    {
        // Keeps the address, and not what was there.
        std::mem::forget(Arc::downgrade(&shared));
    }
}

/// Drops a builder.
pub fn destroy<T: Handle<Owner = Box<T>>>(handle: Owned<T>) {
    let pointer = handle.into_raw();
    if pointer.is_null() {
        return;
    }
    if poison::is_spoiled(pointer.cast_const().cast()) {
        // SAFETY: from `Box::into_raw`, and the caller gives it up. Keeps the address, and not what was there.
        unsafe { pointer.drop_in_place() };
    } else {
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(pointer) });
    }
}
