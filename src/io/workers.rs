//! The worker threads of a runtime: all of them run, or none is left behind. Touches threads only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::offload::no_thread;
use super::sync::lock;
use super::turn;
use crate::error::{Detail, Error, Phase, Result, Status};

const MOST: u32 = 1024;
/// Most workers if the host names no number.
const USUAL: usize = 4;
/// How long a new thread may take to run its first instructions.
const FIRST_STEPS: Duration = Duration::from_secs(5);

/// How many workers a host means: 0 is the number of processors, but at most 4. Errors: InvalidArgument (too many).
pub fn worker_count(wanted: u32) -> Result<usize> {
    match wanted {
        0 => Ok(std::thread::available_parallelism().map_or(1, |count| count.get()).min(USUAL)),
        1..=MOST => Ok(wanted as usize),
        _ => Err(Error::new(Status::InvalidArgument, format!("workers is {wanted}; at most {MOST} are allowed"))),
    }
}

/// Starts a runtime with `count` workers, each of which calls `prepare` first. If the system refuses tokio a thread, tokio panics, waits for ever or goes
/// on with fewer. So we first try whether the system has so many threads to give, and then wait until all of them run. Errors: NoResources, Io.
pub fn start_workers(count: usize, prepare: fn()) -> Result<Runtime> {
    try_threads(count)?;
    let started = Arc::new((Mutex::new(0), Condvar::new()));
    let (next, counted) = (AtomicUsize::new(0), started.clone());
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name_fn(move || format!("atls-{}", next.fetch_add(1, Ordering::Relaxed)))
            .on_thread_start(move || {
                prepare();
                turn::begin();
                *lock(&counted.0) += 1;
                counted.1.notify_all();
            })
            .on_thread_park(turn::rest)
            .on_thread_stop(turn::end)
            .enable_io()
            .enable_time()
            .build()
    };
    let refused = || Error::new(Status::NoResources, "the system allows no more threads").detail(Detail::NoThread);
    let built = catch_unwind(AssertUnwindSafe(build)).map_err(|_| refused())?;
    let built = built.map_err(|error| Error::from_io(error, Phase::Call))?;
    let (here, timed_out) = started
        .1
        .wait_timeout_while(lock(&started.0), FIRST_STEPS, |here| *here < count)
        .unwrap_or_else(PoisonError::into_inner);
    drop(here);
    if timed_out.timed_out() {
        built.shutdown_background();
        return Err(refused());
    }
    Ok(built)
}

/// Starts this many threads at once, then lets them end.
fn try_threads(count: usize) -> Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let held = lock(&gate);
    let mut threads = Vec::with_capacity(count);
    let mut refused = None;
    while threads.len() < count && refused.is_none() {
        let gate = gate.clone();
        match std::thread::Builder::new().spawn(move || drop(lock(&gate))) {
            Ok(thread) => threads.push(thread),
            Err(error) => refused = Some(error),
        }
    }
    drop(held);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    refused.map_or(Ok(()), |error| Err(no_thread(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_leave_the_number_of_workers_open() {
        assert!((1..=USUAL).contains(&worker_count(0).unwrap()));
        assert_eq!((worker_count(1).unwrap(), worker_count(1024).unwrap()), (1, 1024));
        let error = worker_count(1025).unwrap_err();
        assert_eq!(
            (error.status, &*error.message),
            (Status::InvalidArgument, "workers is 1025; at most 1024 are allowed")
        );
    }

    #[test]
    fn all_workers_run_when_the_runtime_is_there() {
        static PREPARED: AtomicUsize = AtomicUsize::new(0);
        fn prepare() {
            PREPARED.fetch_add(1, Ordering::SeqCst);
        }
        let runtime = start_workers(3, prepare).unwrap();
        assert_eq!(PREPARED.load(Ordering::SeqCst), 3);
        drop(runtime);
    }
}
