//! Connections that wait for their next request, and the right to have one more. Keyed by all that decided how a connection was made and
//! judged: a request never rides on one that another policy judged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpConnection;
use crate::attest::Policy;
use crate::connect::Connector;
use crate::error::{Error, Result, Status};
use crate::flow::lock;

/// What two requests must share to share a connection: everything that decided how it was made and judged.
#[derive(Clone)]
pub struct Key {
    pub host: String,
    pub port: u16,
    pub plain: bool,
    /// Compared by identity: two documents that say the same are two policies.
    pub policy: Option<Arc<Policy>>,
    /// By identity too.
    pub connector: Arc<Connector>,
}

type Identity = (String, u16, bool, usize, usize);

impl Key {
    fn identity(&self) -> Identity {
        let policy = self.policy.as_ref().map_or(0, |policy| Arc::as_ptr(policy) as usize);
        (self.host.clone(), self.port, self.plain, policy, Arc::as_ptr(&self.connector) as usize)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests under way at a time; more wait in the order in which they came.
    pub requests: usize,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How old a connection, and with it its attestation, may become; `None` is no limit.
    pub age: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { requests: 10, idle: Duration::from_secs(90), age: None }
    }
}

struct Idle {
    connection: Arc<HttpConnection>,
    /// Keeps the addresses, which are the identity, from being used again.
    _key: (Option<Arc<Policy>>, Arc<Connector>),
    born: Instant,
    since: Instant,
}

pub struct Pool {
    limits: Limits,
    slots: Arc<Semaphore>,
    queued: AtomicUsize,
    idle: Mutex<HashMap<Identity, Vec<Idle>>>,
    sweeping: AtomicBool,
}

/// Requests under way and waiting, and connections without one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub active: usize,
    pub queued: usize,
    pub idle: usize,
}

impl Pool {
    pub fn new(limits: Limits) -> Pool {
        Pool {
            limits,
            slots: Arc::new(Semaphore::new(limits.requests)),
            queued: AtomicUsize::new(0),
            idle: Mutex::default(),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Waits for its turn; first come, first served.
    pub async fn slot(&self) -> Result<OwnedSemaphorePermit> {
        struct Queued<'a>(&'a AtomicUsize);
        impl Drop for Queued<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.queued.fetch_add(1, Ordering::Relaxed);
        let _queued = Queued(&self.queued);
        self.slots.clone().acquire_owned().await.map_err(|_| Error::new(Status::Closed, "the client is closed"))
    }

    /// A connection that may carry a request with this key, the one that was used last.
    pub fn take(self: &Arc<Self>, key: &Key) -> Option<Lease> {
        let mut idle = lock(&self.idle);
        let waiting = idle.get_mut(&key.identity())?;
        while let Some(found) = waiting.pop() {
            if self.is_good(&found) {
                return Some(Lease::new(self.clone(), key.clone(), found.connection, found.born));
            }
            found.connection.closing.cancel();
        }
        None
    }

    fn is_good(&self, idle: &Idle) -> bool {
        idle.connection.is_ready() && idle.since.elapsed() < self.limits.idle && self.young(idle.born)
    }

    fn young(&self, born: Instant) -> bool {
        self.limits.age.is_none_or(|age| born.elapsed() < age)
    }

    /// Takes a connection back whose exchange is over, and sees to it that it does not wait for ever.
    fn put(self: &Arc<Self>, key: &Key, connection: Arc<HttpConnection>, born: Instant) {
        if !connection.is_ready() || !self.young(born) {
            connection.closing.cancel();
            return;
        }
        let idle = Idle { connection, _key: (key.policy.clone(), key.connector.clone()), born, since: Instant::now() };
        lock(&self.idle).entry(key.identity()).or_default().push(idle);
        // Where no runtime is at hand nobody drives the connections either, and `take` does not trust old ones.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let (pool, every) = (Arc::downgrade(self), (self.limits.idle / 2).max(Duration::from_millis(10)));
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                match pool.upgrade() {
                    Some(pool) if pool.sweep() => {}
                    _ => return,
                }
            }
        });
    }

    /// Closes what waited too long. False where nothing waits any more.
    fn sweep(&self) -> bool {
        let mut idle = lock(&self.idle);
        idle.retain(|_, waiting| {
            let old = waiting.extract_if(.., |idle| !self.is_good(idle));
            old.for_each(|idle| idle.connection.closing.cancel());
            !waiting.is_empty()
        });
        let some = !idle.is_empty();
        if !some {
            self.sweeping.store(false, Ordering::Release);
        }
        some
    }

    /// Closes every connection that waits.
    pub fn close_idle(&self) {
        for idle in lock(&self.idle).drain().flat_map(|(_, waiting)| waiting) {
            idle.connection.closing.cancel();
        }
    }

    pub fn counts(&self) -> Counts {
        Counts {
            active: self.limits.requests - self.slots.available_permits().min(self.limits.requests),
            queued: self.queued.load(Ordering::Relaxed),
            idle: lock(&self.idle).values().map(Vec::len).sum(),
        }
    }
}

/// A connection that carries a request, and the slot that goes with it. Given back after the response's end; dropped before, the
/// connection is closed, for what is left of the response has no reader.
pub struct Lease {
    pool: Arc<Pool>,
    key: Key,
    pub connection: Arc<HttpConnection>,
    born: Instant,
    pub slot: Option<OwnedSemaphorePermit>,
    over: bool,
}

impl Lease {
    pub fn new(pool: Arc<Pool>, key: Key, connection: Arc<HttpConnection>, born: Instant) -> Lease {
        Lease { pool, key, connection, born, slot: None, over: false }
    }

    pub fn give_back(mut self) {
        self.over = true;
        self.pool.put(&self.key, self.connection.clone(), self.born);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.over {
            self.connection.closing.cancel();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close_idle();
    }
}
