//! `atls_runtime`: the library's worker threads, for event-driven handles.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::error::atls_error;
use super::guard::{check_random, guard, guard_free, watch_forks};
use super::status::atls_status;
use crate::capi::base::arguments::{Counted, Out, Owned, require};
use crate::capi::base::handle::{Handle, add_ref, release, share_hub};
use crate::error::{Error, Status};
use crate::io::blocking::{check_may_block, check_thread_is_whole, mark_thread};
use crate::io::offload::prepare_threads_with;
use crate::io::sync::lock;
use crate::io::workers::{start_workers, worker_count};
use crate::operation::Registry;

/// Worker threads on which event-driven connections live. Handles that were started on a runtime keep it alive. Dropping the last reference shuts it
/// down without waiting. Reference-counted; safe to share between threads.
pub struct atls_runtime {
    runtime: Mutex<Option<Runtime>>,
    handle: tokio::runtime::Handle,
    pub(crate) registry: Arc<Registry>,
}

impl Handle for atls_runtime {
    type Owner = Arc<atls_runtime>;
}

impl atls_runtime {
    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        &self.handle
    }
}

impl Drop for atls_runtime {
    fn drop(&mut self) {
        self.registry.stop();
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}

/// Blocks the host's signals on a thread of the library: a SIGPIPE there must not kill the host, and the host's handlers must not run on our stacks.
/// Signals of faults are not blocked.
pub(crate) fn prepare_thread() {
    mark_thread(true);
    // Miri has no signals, and runs everything else here.
    #[cfg(not(miri))]
    // SAFETY: the set is initialised by sigfillset before use.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        for fault in
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGPROF]
        {
            libc::sigdelset(&mut set, fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// Starts a runtime. Its threads are named atls-0 and so on.
/// `workers`: how many threads; 0 is the default, the number of processors but at most 4.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (more than 1024), NO_RESOURCES (not all of the threads could be started, so none was), IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_runtime_new(
    workers: u32,
    runtime: Out<*mut atls_runtime>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let runtime = require(runtime, "runtime")?;
        let count = worker_count(workers)?;
        check_thread_is_whole()?;
        check_random()?;
        watch_forks();
        prepare_threads_with(prepare_thread);
        let built = start_workers(count, prepare_thread)?;
        let handle = built.handle().clone();
        let made = atls_runtime { runtime: Mutex::new(Some(built)), handle, registry: Arc::default() };
        runtime.give(Arc::new(made));
        Ok(())
    })
}

/// Cancels every operation of the runtime, waits until all CLOSED events have been delivered and released, and ends the threads. Afterwards nothing
/// can be started on it.
/// `timeout_ms`: 10 seconds by default.
/// Statuses: NULL_ARGUMENT; WOULD_DEADLOCK; TIMED_OUT (for instance because nobody takes events from a polled queue; the threads then end by
/// themselves).
#[unsafe(no_mangle)]
pub extern "C" fn atls_runtime_shutdown(
    runtime: Counted<atls_runtime>,
    timeout_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let shared = share_hub(runtime, "runtime")?;
        check_may_block()?;
        shared.registry.stop();
        let limit = super::limit(timeout_ms, Duration::from_secs(10));
        let done = shared.registry.wait(limit);
        if let Some(runtime) = lock(&shared.runtime).take() {
            runtime.shutdown_timeout(if done { Duration::from_secs(1) } else { Duration::ZERO });
        }
        if done { Ok(()) } else { Err(Error::new(Status::TimedOut, "some operations are still not closed")) }
    })
}

/// Adds a reference; returns `runtime`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_runtime_ref(runtime: Counted<atls_runtime>) -> *mut atls_runtime {
    add_ref(runtime)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_runtime_free(runtime: Owned<atls_runtime>) {
    guard_free(|| release(runtime));
}
