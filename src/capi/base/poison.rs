//! Handles that met a panic: what they hold may be half-changed, so every later call on them answers PANIC. `_free` works, and gives up no address that
//! is known to be spoiled.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, Status};
use crate::io::sync::lock;

/// Whether anything is spoiled at all; checked first, so that the lock is usually not taken.
static ANY: AtomicBool = AtomicBool::new(false);
/// The addresses of handles. One that is here is never given back to the allocator, so it is of no other handle.
static SPOILED: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

/// Calls inside calls, by way of callbacks, have handles of their own; beyond so many they are not noted.
const MOST: usize = 16;

thread_local! {
    /// The handles that the calls under way on this thread look at, and how many there are.
    static USED: [Cell<usize>; MOST] = const { [const { Cell::new(0) }; MOST] };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// A call on this handle. Errors: Panic.
pub fn enter(handle: *const (), what: &str) -> Result<()> {
    if is_spoiled(handle) {
        return Err(Error::new(
            Status::Panic,
            format!("{what}: an earlier call or operation failed inside the library"),
        ));
    }
    let count = COUNT.get();
    if count < MOST {
        USED.with(|used| used[count].set(handle.addr()));
        COUNT.set(count + 1);
    }
    Ok(())
}

/// Runs a call; a panic in it spoils the handles that it looked at.
pub fn call<T>(body: impl FnOnce() -> std::thread::Result<T>) -> std::thread::Result<T> {
    let before = COUNT.get();
    let done = body();
    if done.is_err() {
        USED.with(|used| {
            used[before..COUNT.get()].iter().for_each(|handle| spoil(std::ptr::without_provenance(handle.get())))
        });
    }
    COUNT.set(before);
    done
}

pub fn spoil(handle: *const ()) {
    lock(&SPOILED).get_or_insert_default().insert(handle.addr());
    ANY.store(true, Ordering::Release);
}

pub fn is_spoiled(handle: *const ()) -> bool {
    ANY.load(Ordering::Acquire) && lock(&SPOILED).as_ref().is_some_and(|spoiled| spoiled.contains(&handle.addr()))
}

#[cfg(test)]
mod tests {
    use std::ptr::null_mut;

    use super::*;
    use crate::capi::base::bytes::*;
    use crate::capi::base::guard::{guard, guard_value};
    use crate::capi::base::handle::{borrow, borrow_mut, share};
    use crate::capi::text::headers::*;

    #[test]
    fn a_handle_that_met_a_panic_answers_panic_from_then_on() {
        let (mut buf, mut other, mut headers) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the handles are valid until they are freed, also those that are spoiled.
        unsafe {
            for place in [&mut buf, &mut other] {
                assert_eq!(atls_buf_copy(atls_bytes { ptr: b"abc".as_ptr(), len: 3 }, place, null_mut()), 0);
            }
            assert_eq!(atls_headers_new(false.into(), &mut headers, null_mut()), 0);
            let panicked = guard(null_mut(), || {
                share(buf, "buf")?;
                borrow_mut(headers, "headers")?;
                panic!("on purpose");
            });
            assert_eq!(panicked, Status::Panic as i32);
            let mut error = null_mut();
            assert_eq!(guard(&mut error, || borrow(buf, "buf").map(drop)), Status::Panic as i32);
            assert!(
                std::ffi::CStr::from_ptr(super::super::error::atls_error_message(error).ptr)
                    .to_str()
                    .unwrap()
                    .contains("buf")
            );
            super::super::error::atls_error_free(error);
            assert_eq!(guard(null_mut(), || borrow_mut(headers, "headers").map(drop)), Status::Panic as i32);
            assert_eq!((atls_buf_len(buf), atls_buf_len(other)), (0, 3), "the other was not part of it");
            assert_eq!(guard_value(7, || panic!("on purpose, with no handle")), 7);
            // References and the end are as ever; the address does not come back as another handle.
            let again = atls_buf_ref(buf);
            assert_eq!(again, buf);
            atls_buf_free(again);
            atls_buf_free(buf);
            atls_headers_free(headers);
            for _ in 0..100 {
                let mut fresh = null_mut();
                assert_eq!(atls_buf_copy(atls_bytes { ptr: b"abc".as_ptr(), len: 3 }, &mut fresh, null_mut()), 0);
                assert_eq!(atls_buf_len(fresh), 3);
                atls_buf_free(fresh);
            }
            atls_buf_free(other);
        }
    }
}
