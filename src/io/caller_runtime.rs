//! The runtime of a blocking handle, driven on the thread that calls. No thread is woken and none is waited for, which is what makes small requests
//! cheap. May touch whatever the work that it runs touches.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::blocking::{check_may_block, check_thread_is_whole};
use super::deadline::{Wait, within};
use super::offload::prepare_threads_with;
use crate::error::{Error, Phase, Result, Status};

/// A single-threaded runtime that runs only while a thread waits in [`run`](CallerRuntime::run). Several threads may wait: one drives the runtime for
/// all of them.
pub struct CallerRuntime(Option<Runtime>);

impl CallerRuntime {
    /// `on_thread_start` prepares the helper threads (name resolution).
    pub fn new(on_thread_start: fn()) -> Result<CallerRuntime> {
        prepare_threads_with(on_thread_start);
        let built = Builder::new_current_thread().enable_io().enable_time().build();
        built.map(|runtime| CallerRuntime(Some(runtime))).map_err(|error| Error::from_io(error, Phase::Call))
    }

    /// Drives `work` to its end, or to the deadline. Work that is given up must be safe to drop.
    pub fn run<T>(&self, limit: Option<Duration>, wait: Wait, work: impl Future<Output = Result<T>>) -> Result<T> {
        check_may_block()?;
        check_thread_is_whole()?;
        let Some(runtime) = &self.0 else { return Err(Error::new(Status::Closed, "closed")) };
        let _entered = runtime.enter();
        runtime.block_on(within(limit, wait, work))
    }

    /// What `work` gives without waiting. It is polled on the runtime: what it wakes there from outside would cost a system call.
    pub fn at_hand<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        check_may_block().and(check_thread_is_whole()).ok()?;
        let runtime = self.0.as_ref()?;
        let mut work = pin!(work);
        runtime.block_on(poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        }))
    }

    /// Runs `work` beside, whenever a thread waits in `run`.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }
}

impl Drop for CallerRuntime {
    fn drop(&mut self) {
        // The runtime's own drop would wait for helper threads, and panic in an asynchronous context.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
