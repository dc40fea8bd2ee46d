//! Blocking handles: a runtime of their own, driven on the thread that calls. No thread is woken and none is waited for, which is
//! what makes small requests cheap.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::deadline::{Wait, within};
use super::offload::prepare_threads_with;
use crate::error::{Detail, Error, Phase, Result, Status};

thread_local! {
    /// Set on the library's own threads and during callbacks: waiting there could wait for itself.
    static MUST_NOT_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread; returns the mark before.
pub fn mark_thread(mark: bool) -> bool {
    MUST_NOT_BLOCK.replace(mark)
}

pub fn is_library_thread() -> bool {
    MUST_NOT_BLOCK.get()
}

/// Refuses blocking calls where they would deadlock.
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

/// A single-threaded runtime that runs only while somebody waits in [`run`](Driver::run). Several threads may: one drives, the
/// others are served.
pub struct Driver(Option<Runtime>);

impl Driver {
    /// `on_thread_start` prepares the helper threads (name resolution).
    pub fn new(on_thread_start: fn()) -> Result<Driver> {
        prepare_threads_with(on_thread_start);
        let built = Builder::new_current_thread().enable_io().enable_time().build();
        built.map(|runtime| Driver(Some(runtime))).map_err(|error| Error::from_io(error, Phase::Call))
    }

    /// Drives `work` to its end, or to the deadline. Work that is given up must be safe to drop.
    pub fn run<T>(&self, limit: Option<Duration>, wait: Wait, work: impl Future<Output = Result<T>>) -> Result<T> {
        check_may_block()?;
        check_thread_is_whole()?;
        let Some(runtime) = &self.0 else { return Err(Error::new(Status::Closed, "closed")) };
        let _entered = runtime.enter();
        runtime.block_on(within(limit, wait, work))
    }

    /// Runs alongside, whenever somebody waits.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // An ordinary drop waits for helper threads, and panics in asynchronous context.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
