//! Which threads may block: the library's own threads, and any thread in a callback, must not wait for work that only they can do. No I/O of its own.

use std::cell::Cell;

use super::turn;
use crate::error::{Detail, Error, Result, Status};

thread_local! {
    /// Set on the library's own threads and during callbacks, where a thread could wait for itself.
    static MUST_NOT_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread; returns the mark before.
pub fn mark_thread(mark: bool) -> bool {
    MUST_NOT_BLOCK.replace(mark)
}

/// Calls a function of the host, which may take long, or wait for what this thread has put off.
pub fn call_host<T>(call: impl FnOnce() -> T) -> T {
    turn::outside(|| {
        let before = mark_thread(true);
        let answer = call();
        mark_thread(before);
        answer
    })
}

pub fn is_library_thread() -> bool {
    MUST_NOT_BLOCK.get()
}

/// Refuses a blocking call that would deadlock.
pub fn check_may_block() -> Result<()> {
    if MUST_NOT_BLOCK.get() || tokio::runtime::Handle::try_current().is_ok() {
        let message = "a blocking call in a callback or on a thread of the library";
        return Err(Error::new(Status::WouldDeadlock, message));
    }
    Ok(())
}

/// Refuses work that needs tokio's storage of this thread when that is gone: in exit handlers, and in the destructors of a thread's storage.
pub fn check_thread_is_whole() -> Result<()> {
    match tokio::runtime::Handle::try_current() {
        Err(error) if error.is_thread_local_destroyed() => {
            let message =
                "called in an exit handler or in the destructor of a thread's storage, where no I/O can be driven";
            Err(Error::new(Status::InvalidState, message).detail(Detail::ThreadEnding))
        }
        _ => Ok(()),
    }
}
