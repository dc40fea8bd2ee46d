//! Helper threads for work that must wait: name resolution, files, quotes. If the system gives no more threads, tokio's own pool panics or waits for ever;
//! this one returns an error. Touches threads only.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::oneshot;

use super::sync::lock;
use crate::error::{Detail, Error, Phase, Result, Status};

/// As many as in tokio's pool.
const MOST: usize = 512;
/// How long a thread waits for more work. Short: a host that is done with the library keeps none of its threads.
const IDLE: Duration = Duration::from_millis(100);

type Job = Box<dyn FnOnce() + Send>;

static POOL: Pool =
    Pool { state: Mutex::new(State { jobs: VecDeque::new(), threads: 0, idle: 0 }), filled: Condvar::new() };

static PREPARE: OnceLock<fn()> = OnceLock::new();

struct Pool {
    state: Mutex<State>,
    filled: Condvar,
}

/// Invariant, whenever the lock is free: if there are jobs, there are threads, none of which ends before it has found none.
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait. Each will take a job, so that jobs beyond their number need threads of their own.
    idle: usize,
}

/// What every helper thread does first.
pub fn prepare_threads_with(prepare: fn()) {
    let _ = PREPARE.set(prepare);
}

/// Runs `work` on a helper thread, to its end even if the future is dropped. Errors: NoResources, and Panic if `work` panics.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        let _ = sender.send(work());
    };
    POOL.submit(Box::new(job))?;
    receiver.await.map_err(|_| Error::new(Status::Panic, "internal error on a helper thread"))
}

/// The error for a thread that could not be started.
pub fn no_thread(error: io::Error) -> Error {
    let mut error =
        Error::from_io(error, Phase::Call).context("the system allows no more threads").detail(Detail::NoThread);
    error.status = Status::NoResources;
    error
}

impl Pool {
    fn submit(&'static self, job: Job) -> Result<()> {
        let mut state = lock(&self.state);
        if state.jobs.len() >= state.idle && state.threads < MOST {
            match Builder::new().name("atls-helper".into()).spawn(|| self.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(no_thread(error)),
                // The threads that there are will take the job.
                Err(_) => (),
            }
        }
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    fn serve(&self) {
        if let Some(prepare) = PREPARE.get() {
            prepare();
        }
        while let Some(job) = self.next() {
            // The waiting task learns of a panic by the dropped sender.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job; none after a while without, and then the thread is not counted any more.
    fn next(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        if state.jobs.is_empty() {
            state.idle += 1;
            let waited = self.filled.wait_timeout_while(state, IDLE, |state| state.jobs.is_empty());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
        let job = state.jobs.pop_front();
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_and_a_panic_is_an_error() {
        let all = (0..40).map(|number| tokio::spawn(offload(move || number * 2))).collect::<Vec<_>>();
        for (number, one) in all.into_iter().enumerate() {
            assert_eq!(one.await.unwrap().unwrap(), number * 2);
        }
        let error = offload(|| -> u32 { std::panic::resume_unwind(Box::new("on purpose")) }).await.unwrap_err();
        assert_eq!(error.status, Status::Panic);
        assert_eq!(offload(|| 7).await.unwrap(), 7);
    }
}
