//! The running operations of one queue or one runtime: a shutdown cancels them and waits for them. No I/O; the model test runs it through every
//! interleaving.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, lock};

/// An operation, as a shutdown sees it.
pub trait Running: Send + Sync {
    fn cancel(&self);
}

/// A number for a new operation, which no other has.
pub fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// Operations that have not been closed, of one queue or one runtime.
#[derive(Default)]
pub struct Registry {
    state: Mutex<State>,
    emptied: Condvar,
}

/// Invariant: nothing is added once `stopped`; so what `stop` sees is all that it has to cancel. Threads are counted in `waiting` before they look at
/// `running`, under the same lock: so either they see it empty, or the one who empties it sees them.
#[derive(Default)]
struct State {
    running: HashMap<u64, Arc<dyn Running>, BuildHasherDefault<IdHasher>>,
    stopped: bool,
    /// Threads in `wait`: to wake nobody is a system call, too.
    waiting: usize,
}

/// Operations are numbered one after another by the library alone: their numbers are as good as hashes, once spread over the high bits as well.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Registry {
    /// False once the registry was stopped. `id` is no other operation's. Undone by `remove`.
    #[must_use]
    pub fn add(&self, id: u64, operation: Arc<dyn Running>) -> bool {
        let mut state = lock(&self.state);
        if !state.stopped {
            state.running.insert(id, operation);
        }
        !state.stopped
    }

    pub fn remove(&self, id: u64) {
        let mut state = lock(&self.state);
        let gone = state.running.remove(&id);
        let awaited = state.waiting > 0 && state.running.is_empty();
        drop(state);
        if awaited {
            self.emptied.notify_all();
        }
        drop(gone);
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).running.is_empty()
    }

    /// Takes no more operations; those that run go on.
    pub fn refuse(&self) {
        lock(&self.state).stopped = true;
    }

    /// Takes no more operations and cancels those that run.
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        let running: Vec<_> = state.running.values().cloned().collect();
        drop(state);
        running.iter().for_each(|operation| operation.cancel());
    }

    /// Waits until every operation was closed and released; false if the time is up first.
    pub fn wait(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = lock(&self.state);
        state.waiting += 1;
        while !state.running.is_empty() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.emptied.wait_timeout(state, left).unwrap_or_else(|poison| poison.into_inner()).0,
                None => self.emptied.wait(state).unwrap_or_else(|poison| poison.into_inner()),
            };
        }
        state.waiting -= 1;
        state.running.is_empty()
    }
}
