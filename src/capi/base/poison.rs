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

/// The calls under way on a thread. In one place: each look at a thread's own memory costs a call of the linker's.
struct Calls {
    inside: Cell<bool>,
    /// The handles that they look at, and how many there are.
    used: [Cell<usize>; MOST],
    count: Cell<usize>,
}

thread_local! {
    static CALLS: Calls =
        const { Calls { inside: Cell::new(false), used: [const { Cell::new(0) }; MOST], count: Cell::new(0) } };
}

/// Whether this thread is inside the library.
pub fn is_inside() -> bool {
    CALLS.with(|calls| calls.inside.get())
}

/// A call on this handle. Errors: Panic.
pub fn enter(handle: *const (), what: &str) -> Result<()> {
    if is_spoiled(handle) {
        return Err(Error::new(
            Status::Panic,
            format!("{what}: an earlier call or operation failed inside the library"),
        ));
    }
    CALLS.with(|calls| {
        let count = calls.count.get();
        if let Some(place) = calls.used.get(count) {
            place.set(handle.addr());
            calls.count.set(count + 1);
        }
    });
    Ok(())
}

/// Runs a call; a panic in it spoils the handles that it looked at.
pub fn call<T>(body: impl FnOnce() -> std::thread::Result<T>) -> std::thread::Result<T> {
    CALLS.with(|calls| {
        let (inside, before) = (calls.inside.replace(true), calls.count.get());
        let done = body();
        if done.is_err() {
            let used = &calls.used[before..calls.count.get()];
            used.iter().for_each(|handle| spoil(std::ptr::without_provenance(handle.get())));
        }
        calls.count.set(before);
        calls.inside.set(inside);
        done
    })
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
    use crate::capi::base::arguments::{Counted, Out, Owned};
    use crate::capi::base::bytes::*;
    use crate::capi::base::error::{atls_error, atls_error_free, atls_error_message};
    use crate::capi::base::guard::{guard, guard_value};
    use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy, into_raw, share};

    struct Setting(u32);

    impl Handle for Setting {
        type Owner = Box<Setting>;
    }

    fn copy_of_abc() -> *mut atls_buf {
        let mut buf = null_mut();
        assert_eq!(atls_buf_copy(b"abc"[..].into(), Out::from(&mut buf), Out::null()), 0);
        buf
    }

    #[test]
    fn a_handle_that_met_a_panic_answers_panic_from_then_on() {
        let (buf, other, setting) = (copy_of_abc(), copy_of_abc(), into_raw::<Setting>(Box::new(Setting(1))));
        // SAFETY: the handles are valid until they are freed, also those that are spoiled.
        unsafe {
            let panicked = guard(Out::null(), || {
                share(Counted::from_raw(buf), "buf")?;
                borrow_mut(setting.as_mut(), "setting")?.0 = 2;
                panic!("on purpose");
            });
            assert_eq!(panicked, Status::Panic as i32);
            let mut error: *mut atls_error = null_mut();
            assert_eq!(guard(Out::from(&mut error), || borrow(buf.as_ref(), "buf").map(drop)), Status::Panic as i32);
            let message = std::ffi::CStr::from_ptr(atls_error_message(error.as_ref()).ptr);
            assert!(message.to_str().unwrap().contains("buf"));
            atls_error_free(Owned::from_raw(error));
            let refused = |setting: *mut Setting| borrow_mut(setting.as_mut(), "setting").map(drop);
            assert_eq!(guard(Out::null(), || refused(setting)), Status::Panic as i32);
            let lengths = (atls_buf_len(buf.as_ref()), atls_buf_len(other.as_ref()));
            assert_eq!(lengths, (0, 3), "the other was not part of it");
            assert_eq!(guard_value(7, || panic!("on purpose, with no handle")), 7);
            // References and the end are as ever; the address does not come back as another handle.
            let again = atls_buf_ref(Counted::from_raw(buf));
            assert_eq!(again, buf);
            atls_buf_free(Owned::from_raw(again));
            atls_buf_free(Owned::from_raw(buf));
            destroy(Owned::from_raw(setting));
            for _ in 0..100 {
                let fresh = copy_of_abc();
                assert_eq!(atls_buf_len(fresh.as_ref()), 3);
                atls_buf_free(Owned::from_raw(fresh));
            }
            atls_buf_free(Owned::from_raw(other));
        }
    }
}
