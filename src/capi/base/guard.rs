//! What stands between every exported function and its body: panics become a status, forked children are turned away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use super::arguments::Out;
use super::error::atls_error;
use super::poison;
use super::status::atls_status;
use crate::error::{Detail, Error, Result, Status};

/// Set in the child of a fork, once the library has had threads or sockets worth protecting.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Runs `body`. On failure the error is written to `error`, where that is not NULL.
pub fn guard(error: Out<*mut atls_error>, body: impl FnOnce() -> Result<()>) -> atls_status {
    silence_panics();
    if forked() {
        return fail(error, Error::new(Status::Forked, "called in the child of a fork"));
    }
    match inside(body) {
        Ok(Ok(())) => Status::Ok as atls_status,
        Ok(Err(failure)) => fail(error, failure),
        Err(payload) => fail(error, panic_error(&*payload)),
    }
}

/// For functions that only look at what they are given, and so are of use in the child of a fork too.
pub fn guard_pure<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    silence_panics();
    inside(body).unwrap_or(fallback)
}

/// For functions that answer with a value: a panic or a fork yields `fallback`.
pub fn guard_value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    silence_panics();
    if forked() {
        return fallback;
    }
    inside(body).unwrap_or(fallback)
}

/// For `_free`: a forked child leaks, because what the destructor would stop is not in its process.
pub fn guard_free(body: impl FnOnce()) {
    guard_value((), body);
}

pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// From now on a forked child is refused. Called where the first thread or socket of the library comes into being.
pub fn watch_forks() {
    extern "C" fn in_child() {
        FORKED.store(true, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler only stores to an atomic, which is allowed after fork.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Whether the system gives random numbers. The cryptography beneath us ends the process if it does not; so it is tried before a handle is made that will
/// need them. Errors: NoResources.
#[cfg(target_os = "linux")]
pub fn check_random() -> Result<()> {
    let mut number = [0u8; 8];
    // SAFETY: there is room for as many bytes as are asked for.
    let got = unsafe { libc::getrandom(number.as_mut_ptr().cast(), number.len(), 0) };
    let error = std::io::Error::last_os_error();
    // Without the call, the device is read instead.
    if got == number.len() as isize || error.raw_os_error() == Some(libc::ENOSYS) {
        return Ok(());
    }
    let mut failed = Error::new(Status::NoResources, format!("the system gave no random numbers: {error}"));
    failed.os_errno = error.raw_os_error().unwrap_or(0);
    Err(failed.detail(Detail::NoRandom))
}

#[cfg(not(target_os = "linux"))]
pub fn check_random() -> Result<()> {
    Ok(())
}

pub fn panic_error(payload: &(dyn std::any::Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| text.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown cause".into());
    Error::new(Status::Panic, format!("internal error: {text}"))
}

fn fail(out: Out<*mut atls_error>, failure: Error) -> atls_status {
    let status = failure.status as atls_status;
    if let Some(place) = out.get() {
        place.give(Arc::new(atls_error::new(failure)));
    }
    status
}

/// Runs `body` as part of the library: a panic in it is caught and prints nothing.
fn inside<T>(body: impl FnOnce() -> T) -> std::thread::Result<T> {
    poison::call(|| catch_unwind(AssertUnwindSafe(body)))
}

/// A host's stderr is not ours to write to; the message reaches the caller in `atls_error`. Panics of others, in a Rust program that
/// links this crate, are reported as before.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !poison::is_inside() && !crate::io::blocking::is_library_thread() {
                others(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        let mut error = std::ptr::null_mut();
        let status = guard(Out::from(&mut error), || panic!("on purpose"));
        assert_eq!(status, Status::Panic as atls_status);
        // SAFETY: `guard` wrote it.
        let failure = unsafe { std::sync::Arc::from_raw(error) };
        assert!(failure.error.message.contains("on purpose"));
        assert_eq!(guard_value(7, || panic!("on purpose")), 7);
        guard_free(|| panic!("on purpose"));
    }
}
