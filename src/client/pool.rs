//! Idle connections, and turns for requests. The key has everything that decided how a connection was made and judged: a request never uses a connection
//! that was judged by another policy. Touches the clock, and the executor to close what was idle too long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::shared_connections::SharedConnections;
use super::turn_queue::{HostAndPort, QueuedTurn, Turn, TurnQueue};
use super::{HttpConnection, TrustedReservation};
use crate::attest::Policy;
use crate::connect::Connector;
use crate::io::deadline::ChosenDuration;
use crate::io::sync::lock;
use crate::io::turn::in_turn;
use crate::log;

/// What two requests must have in common to share a connection: everything that decided how it was made and judged.
#[derive(Clone)]
pub struct ConnectionKey {
    pub host: String,
    pub port: u16,
    pub plain: bool,
    /// Compared by identity: two documents with the same text are two policies.
    pub policy: Option<Arc<Policy>>,
    /// Compared by identity too.
    pub connector: Arc<Connector>,
}

pub(super) type ConnectionIdentity = (String, u16, bool, usize, usize);

impl ConnectionKey {
    pub fn place(&self) -> HostAndPort {
        (self.host.clone(), self.port)
    }

    /// For the log.
    pub fn shown(&self) -> String {
        log::place(&self.host, self.port)
    }

    pub(super) fn identity(&self) -> ConnectionIdentity {
        let policy = self.policy.as_ref().map_or(0, |policy| Arc::as_ptr(policy) as usize);
        (self.host.clone(), self.port, self.plain, policy, Arc::as_ptr(&self.connector) as usize)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Requests under way at a time; more wait, first come, first served.
    pub requests: usize,
    /// Connections to one host and port at a time, idle ones included.
    pub connections: usize,
    /// Idle connections to all hosts; beyond that the one that was idle longest is closed.
    pub waiting: usize,
    /// How long a connection may be idle.
    pub idle: Duration,
    /// How old a connection, and with it its attestation, may become; `None` is no limit.
    pub age: Option<Duration>,
}

impl ClientLimits {
    /// For both, 0 is the default and `u32::MAX` no limit.
    pub fn set_connections(&mut self, per_host: u32, idle: u32) {
        let chosen = |most, default| match most {
            0 => default,
            u32::MAX => usize::MAX,
            some => some as usize,
        };
        let default = ClientLimits::default();
        self.connections = chosen(per_host, default.connections);
        self.waiting = chosen(idle, default.waiting);
    }

    pub fn set_times(&mut self, idle: ChosenDuration, age: ChosenDuration) {
        let default = ClientLimits::default();
        self.idle = idle.or(Some(default.idle)).unwrap_or(Duration::MAX);
        self.age = age.or(default.age);
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits { requests: 10, connections: usize::MAX, waiting: 100, idle: Duration::from_secs(90), age: None }
    }
}

struct IdleConnection {
    connection: Arc<HttpConnection>,
    /// Keeps these addresses, which are the identity, from being reused.
    _key: (Option<Arc<Policy>>, Arc<Connector>),
    born: Instant,
    since: Instant,
}

pub struct ConnectionPool {
    limits: ClientLimits,
    turns: Arc<TurnQueue>,
    idle: Mutex<HashMap<ConnectionIdentity, Vec<IdleConnection>>>,
    /// Those that requests share.
    pub shared: Arc<SharedConnections>,
    sweeping: AtomicBool,
}

/// Requests under way, requests that wait, and idle connections.
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
            shared: Arc::new(SharedConnections::new(limits)),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Takes a place in the queue for a turn; first come, first served.
    pub fn queue(&self, place: HostAndPort) -> QueuedTurn {
        self.turns.queue(place)
    }

    /// An idle connection for a request with this key, the one that was used last.
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

    /// Makes room for a new connection: if the host has as many as it may have, closes idle ones, which have other policies or settings.
    pub fn make_room(&self, key: &ConnectionKey) {
        let place = key.place();
        let active = self.turns.active_at(&place);
        let mut idle = lock(&self.idle);
        let here = |identity: &ConnectionIdentity| identity.0 == place.0 && identity.1 == place.1;
        let waiting: usize = idle.iter().filter(|(identity, _)| here(identity)).map(|(_, waiting)| waiting.len()).sum();
        let shared = self.shared.idle_at(&place.0, place.1);
        for _ in self.limits.connections..active.saturating_add(waiting).saturating_add(shared) {
            if !close_oldest(&mut idle, here) {
                self.shared.close_oldest(|identity| here(identity));
            }
        }
    }

    fn is_good(&self, idle: &IdleConnection) -> bool {
        idle.connection.is_ready() && idle.since.elapsed() < self.limits.idle && self.young(idle.born)
    }

    fn young(&self, born: Instant) -> bool {
        self.limits.age.is_none_or(|age| born.elapsed() < age)
    }

    /// Takes back a connection whose exchange is over, and makes sure that it is not idle for ever.
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
        drop(waiting);
        self.keep_few();
        self.sweep_sometimes();
    }

    /// Takes back a place on a connection that others share.
    fn release(self: &Arc<Self>, key: &ConnectionKey, connection: &Arc<HttpConnection>) {
        self.shared.release(key, connection);
        if connection.is_unused() {
            self.keep_few();
            self.sweep_sometimes();
        }
    }

    /// Closes the connections that were idle longest, if there are more than there may be.
    fn keep_few(&self) {
        let mut waiting = lock(&self.idle);
        let alone: usize = waiting.values().map(Vec::len).sum();
        if alone + self.shared.idle() <= self.limits.waiting {
            return;
        }
        match alone {
            0 => self.shared.close_oldest(|_| true),
            _ => _ = close_oldest(&mut waiting, |_| true),
        }
    }

    /// Makes sure that nothing is idle for ever. Without a runtime no task can close what is; but requests do not use what is too old.
    fn sweep_sometimes(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.sweeping.swap(true, Ordering::SeqCst) {
            return;
        }
        let (pool, every) = (Arc::downgrade(self), (self.limits.idle / 2).max(Duration::from_millis(10)));
        runtime.spawn(in_turn(async move {
            loop {
                tokio::time::sleep(every).await;
                match pool.upgrade() {
                    Some(pool) if pool.sweep() => {}
                    _ => return,
                }
            }
        }));
    }

    /// Closes connections that were idle too long. False if none is left, or another task has begun to do this.
    fn sweep(&self) -> bool {
        let mut idle = lock(&self.idle);
        idle.retain(|_, waiting| {
            let old = waiting.extract_if(.., |idle| !self.is_good(idle));
            old.for_each(|idle| idle.connection.closing.cancel());
            !waiting.is_empty()
        });
        // Said first: what is released from here on looks after itself.
        self.sweeping.store(false, Ordering::SeqCst);
        let some = self.shared.sweep() | !idle.is_empty();
        some && !self.sweeping.swap(true, Ordering::SeqCst)
    }

    /// Closes every idle connection.
    pub fn close_idle(&self) {
        for idle in lock(&self.idle).drain().flat_map(|(_, waiting)| waiting) {
            idle.connection.closing.cancel();
        }
        self.shared.close_idle();
    }

    pub fn counts(&self) -> ClientCounts {
        let (active, queued) = self.turns.counts();
        let alone: usize = lock(&self.idle).values().map(Vec::len).sum();
        ClientCounts { active, queued, idle: alone + self.shared.idle() }
    }
}

/// Of the connections that `which` selects, closes the one that was idle longest. False if there is none.
fn close_oldest(
    idle: &mut HashMap<ConnectionIdentity, Vec<IdleConnection>>,
    which: impl Fn(&ConnectionIdentity) -> bool,
) -> bool {
    // Of those with one key, the first was idle longest.
    let first = |(identity, waiting): (&ConnectionIdentity, &Vec<IdleConnection>)| {
        Some((waiting.first()?.since, identity.clone()))
    };
    let Some((_, identity)) = idle.iter().filter(|(identity, _)| which(identity)).filter_map(first).min() else {
        return false;
    };
    let Some(waiting) = idle.get_mut(&identity) else { return false };
    waiting.remove(0).connection.closing.cancel();
    if waiting.is_empty() {
        idle.remove(&identity);
    }
    true
}

/// A connection that carries a request, and the request's turn. To be given back after the end of the response; dropped before, it closes the connection,
/// since nothing reads the rest of the response.
pub struct Lease {
    pool: Arc<ConnectionPool>,
    key: ConnectionKey,
    pub connection: Arc<HttpConnection>,
    /// Until the request is sent.
    pub reservation: Option<TrustedReservation>,
    born: Instant,
    pub turn: Option<Turn>,
    over: bool,
}

impl Lease {
    pub fn new(pool: Arc<ConnectionPool>, key: ConnectionKey, connection: Arc<HttpConnection>, born: Instant) -> Lease {
        Lease { pool, key, connection, reservation: None, born, turn: None, over: false }
    }

    pub fn give_back(mut self) {
        self.over = true;
        if !self.connection.engine.is_shared() {
            self.pool.take_back(&self.key, self.connection.clone(), self.born);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Its place counts as taken as long as the reservation is there.
        self.reservation = None;
        match self.connection.engine.is_shared() {
            true => self.pool.release(&self.key, &self.connection),
            false if !self.over => self.connection.closing.cancel(),
            false => {}
        }
    }
}

impl Drop for ConnectionPool {
    fn drop(&mut self) {
        self.close_idle();
    }
}
