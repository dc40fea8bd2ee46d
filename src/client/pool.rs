//! Connections that wait for their next request, and the right to have one more. Keyed by all that decided how a connection was made and
//! judged: a request never rides on one that another policy judged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::HttpConnection;
use super::turn_queue::{HostAndPort, QueuedTurn, Turn, TurnQueue};
use crate::attest::Policy;
use crate::connect::Connector;
use crate::io::sync::lock;
use crate::log;

/// What two requests must share to share a connection: everything that decided how it was made and judged.
#[derive(Clone)]
pub struct ConnectionKey {
    pub host: String,
    pub port: u16,
    pub plain: bool,
    /// Compared by identity: two documents that say the same are two policies.
    pub policy: Option<Arc<Policy>>,
    /// By identity too.
    pub connector: Arc<Connector>,
}

type Identity = (String, u16, bool, usize, usize);

impl ConnectionKey {
    pub fn place(&self) -> HostAndPort {
        (self.host.clone(), self.port)
    }

    /// For the log.
    pub fn shown(&self) -> String {
        log::place(&self.host, self.port)
    }

    fn identity(&self) -> Identity {
        let policy = self.policy.as_ref().map_or(0, |policy| Arc::as_ptr(policy) as usize);
        (self.host.clone(), self.port, self.plain, policy, Arc::as_ptr(&self.connector) as usize)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Requests under way at a time; more wait in the order in which they came.
    pub requests: usize,
    /// Connections to one host and port at a time, those that wait included.
    pub connections: usize,
    /// Connections that wait, to all hosts; beyond that the one that has waited longest goes.
    pub waiting: usize,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How old a connection, and with it its attestation, may become; `None` is no limit.
    pub age: Option<Duration>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits { requests: 10, connections: usize::MAX, waiting: 100, idle: Duration::from_secs(90), age: None }
    }
}

struct IdleConnection {
    connection: Arc<HttpConnection>,
    /// Keeps the addresses, which are the identity, from being used again.
    _key: (Option<Arc<Policy>>, Arc<Connector>),
    born: Instant,
    since: Instant,
}

pub struct ConnectionPool {
    limits: ClientLimits,
    turns: Arc<TurnQueue>,
    idle: Mutex<HashMap<Identity, Vec<IdleConnection>>>,
    sweeping: AtomicBool,
}

/// Requests under way and waiting, and connections without one.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCounts {
    pub active: usize,
    pub queued: usize,
    pub idle: usize,
}

impl ConnectionPool {
    pub fn new(limits: ClientLimits) -> ConnectionPool {
        ConnectionPool {
            limits,
            turns: Arc::new(TurnQueue::new(limits.requests, limits.connections)),
            idle: Mutex::default(),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Takes a place in the queue for a turn; first come, first served.
    pub fn queue(&self, place: HostAndPort) -> QueuedTurn {
        self.turns.queue(place)
    }

    /// A connection that may carry a request with this key, the one that was used last.
    pub fn take(self: &Arc<Self>, key: &ConnectionKey) -> Option<Lease> {
        let mut gone = 0;
        let found = loop {
            let Some(found) = lock(&self.idle).get_mut(&key.identity()).and_then(Vec::pop) else { break None };
            if self.is_good(&found) {
                break Some(Lease::new(self.clone(), key.clone(), found.connection, found.born));
            }
            found.connection.closing.cancel();
            gone += 1;
        };
        if gone > 0 {
            log::emit(log::DEBUG, || format!("pool: {}: too old or closed count={gone}", key.shown()));
        }
        found
    }

    /// Makes room for a new connection, where the place has as many as it may have and some of them wait, for other policies or settings.
    pub fn make_room(&self, key: &ConnectionKey) {
        let place = key.place();
        let active = self.turns.active_at(&place);
        let mut idle = lock(&self.idle);
        let here = |identity: &Identity| identity.0 == place.0 && identity.1 == place.1;
        let waiting: usize = idle.iter().filter(|(identity, _)| here(identity)).map(|(_, waiting)| waiting.len()).sum();
        for _ in self.limits.connections..active.saturating_add(waiting) {
            close_oldest(&mut idle, here);
        }
    }

    fn is_good(&self, idle: &IdleConnection) -> bool {
        idle.connection.is_ready() && idle.since.elapsed() < self.limits.idle && self.young(idle.born)
    }

    fn young(&self, born: Instant) -> bool {
        self.limits.age.is_none_or(|age| born.elapsed() < age)
    }

    /// Takes a connection back whose exchange is over, and sees to it that it does not wait for ever.
    fn take_back(self: &Arc<Self>, key: &ConnectionKey, connection: Arc<HttpConnection>, born: Instant) {
        let keeps = connection.is_ready() && self.young(born);
        let what = if keeps { "waits for the next request" } else { "ends with its response" };
        log::emit(log::DEBUG, || format!("pool: {}: the connection {what}", key.shown()));
        if !keeps {
            connection.closing.cancel();
            return;
        }
        let idle = IdleConnection {
            connection,
            _key: (key.policy.clone(), key.connector.clone()),
            born,
            since: Instant::now(),
        };
        let mut waiting = lock(&self.idle);
        waiting.entry(key.identity()).or_default().push(idle);
        if waiting.values().map(Vec::len).sum::<usize>() > self.limits.waiting {
            close_oldest(&mut waiting, |_| true);
        }
        drop(waiting);
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

    pub fn counts(&self) -> ClientCounts {
        let (active, queued) = self.turns.counts();
        ClientCounts { active, queued, idle: lock(&self.idle).values().map(Vec::len).sum() }
    }
}

/// Closes the one that has waited longest, of those that `which` names.
fn close_oldest(idle: &mut HashMap<Identity, Vec<IdleConnection>>, which: impl Fn(&Identity) -> bool) {
    // Of one kind, the first has waited longest.
    let first =
        |(identity, waiting): (&Identity, &Vec<IdleConnection>)| Some((waiting.first()?.since, identity.clone()));
    let Some((_, identity)) = idle.iter().filter(|(identity, _)| which(identity)).filter_map(first).min() else {
        return;
    };
    let Some(waiting) = idle.get_mut(&identity) else { return };
    waiting.remove(0).connection.closing.cancel();
    if waiting.is_empty() {
        idle.remove(&identity);
    }
}

/// A connection that carries a request, and the turn that goes with it. Given back after the response's end; dropped before, the
/// connection is closed, for what is left of the response has no reader.
pub struct Lease {
    pool: Arc<ConnectionPool>,
    key: ConnectionKey,
    pub connection: Arc<HttpConnection>,
    born: Instant,
    pub turn: Option<Turn>,
    over: bool,
}

impl Lease {
    pub fn new(pool: Arc<ConnectionPool>, key: ConnectionKey, connection: Arc<HttpConnection>, born: Instant) -> Lease {
        Lease { pool, key, connection, born, turn: None, over: false }
    }

    pub fn give_back(mut self) {
        self.over = true;
        self.pool.take_back(&self.key, self.connection.clone(), self.born);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.over {
            self.connection.closing.cancel();
        }
    }
}

impl Drop for ConnectionPool {
    fn drop(&mut self) {
        self.close_idle();
    }
}
