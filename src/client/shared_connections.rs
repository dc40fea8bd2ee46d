//! Connections that many requests share (HTTP/2), by what decided how they were made and judged. One is made at a time for each key: the requests that need it
//! wait for it together, so that a host is attested once for all of them. Touches nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;

use super::HttpConnection;
use super::connection::Reservation;
use super::pool::{ClientLimits, ConnectionIdentity, ConnectionKey};
use crate::error::{Error, Result};
use crate::io::sync::lock;

/// Most keys that are remembered only because their servers speak HTTP/1.1.
const REMEMBERED: usize = 256;

pub struct SharedConnections {
    limits: ClientLimits,
    places: Mutex<HashMap<ConnectionIdentity, Place>>,
}

struct Place {
    /// Keeps the addresses in the identity from being reused.
    _key: ConnectionKey,
    open: Vec<Kept>,
    /// A connection is being made; what comes of it.
    opening: Option<watch::Receiver<Option<Opened>>>,
    /// The server chose HTTP/1.1 the last time: nobody waits for a connection that cannot be shared.
    is_old: bool,
}

struct Kept {
    connection: Arc<HttpConnection>,
    born: Instant,
    /// When the last request ended.
    since: Instant,
}

/// What came of a connection for all that wait for it.
#[derive(Clone)]
pub enum Opened {
    /// It can be looked for.
    Shared,
    /// The server speaks HTTP/1.1: each request needs a connection of its own.
    Old,
    Failed(Error),
}

pub enum Found {
    Place(Arc<HttpConnection>, Reservation, Instant),
    /// Another request makes the connection.
    Wait(watch::Receiver<Option<Opened>>),
    /// The caller makes it, for all.
    Make(Flight),
    /// The caller makes one for itself.
    Alone,
}

/// A connection that is being made. Dropped without an outcome, it leaves the task to the next one that waits.
pub struct Flight {
    shared: Arc<SharedConnections>,
    identity: ConnectionIdentity,
    outcome: watch::Sender<Option<Opened>>,
}

impl Place {
    fn new(key: &ConnectionKey) -> Place {
        Place { _key: key.clone(), open: Vec::new(), opening: None, is_old: false }
    }

    fn keep(&mut self, connection: &Arc<HttpConnection>) {
        let now = Instant::now();
        self.open.push(Kept { connection: connection.clone(), born: now, since: now });
        self.is_old = false;
    }

    fn close(&mut self, which: impl Fn(&Kept) -> bool) {
        self.open.extract_if(.., |kept| which(kept)).for_each(|kept| kept.connection.closing.cancel());
    }
}

impl Kept {
    fn is_unused(&self) -> bool {
        self.connection.is_unused()
    }
}

impl SharedConnections {
    pub fn new(limits: ClientLimits) -> SharedConnections {
        SharedConnections { limits, places: Mutex::default() }
    }

    /// A place on an open connection, or how to come by one.
    pub fn find(self: &Arc<Self>, key: &ConnectionKey) -> Found {
        let mut places = lock(&self.places);
        let identity = key.identity();
        if places.len() > REMEMBERED {
            places.retain(|_, place| !place.open.is_empty() || place.opening.is_some());
        }
        let place = places.entry(identity.clone()).or_insert_with(|| Place::new(key));
        self.sort_out(place);
        let young = place.open.iter().filter(|kept| self.is_young(kept.born));
        for kept in young {
            if let Ok(reservation) = kept.connection.reserve() {
                return Found::Place(kept.connection.clone(), reservation, kept.born);
            }
        }
        match &place.opening {
            Some(opening) => Found::Wait(opening.clone()),
            None if place.is_old => Found::Alone,
            None => {
                let (outcome, opening) = watch::channel(None);
                place.opening = Some(opening);
                Found::Make(Flight { shared: self.clone(), identity, outcome })
            }
        }
    }

    /// A connection that a request has made for itself, and that others can share.
    pub fn adopt(&self, key: &ConnectionKey, connection: &Arc<HttpConnection>) {
        lock(&self.places).entry(key.identity()).or_insert_with(|| Place::new(key)).keep(connection);
    }

    /// A request has ended on the connection.
    pub fn release(&self, key: &ConnectionKey, connection: &Arc<HttpConnection>) {
        let mut places = lock(&self.places);
        let Some(place) = places.get_mut(&key.identity()) else { return };
        let here = place.open.iter_mut().find(|kept| Arc::ptr_eq(&kept.connection, connection));
        here.into_iter().for_each(|kept| kept.since = Instant::now());
        self.sort_out(place);
    }

    fn is_young(&self, born: Instant) -> bool {
        self.limits.age.is_none_or(|age| born.elapsed() < age)
    }

    /// Forgets connections that have ended, and closes those that were idle too long or are too old, once nobody uses them.
    fn sort_out(&self, place: &mut Place) {
        place.open.retain(|kept| {
            let stays = self.is_young(kept.born) && kept.since.elapsed() < self.limits.idle;
            let keeps = kept.connection.is_open() && (stays || !kept.connection.is_unused());
            if !keeps && kept.connection.is_unused() {
                kept.connection.closing.cancel();
            }
            keeps
        });
    }

    /// Closes what was idle too long. Whether any connection is left.
    pub fn sweep(&self) -> bool {
        let mut places = lock(&self.places);
        places.values_mut().for_each(|place| self.sort_out(place));
        places.values().any(|place| !place.open.is_empty())
    }

    /// Closes the idle connections.
    pub fn close_idle(&self) {
        lock(&self.places).values_mut().for_each(|place| place.close(Kept::is_unused));
    }

    /// Of the idle connections that `which` selects, closes the one that was idle longest.
    pub fn close_oldest(&self, which: impl Fn(&ConnectionIdentity) -> bool) {
        let mut places = lock(&self.places);
        let first = |place: &Place| place.open.iter().filter(|kept| kept.is_unused()).map(|kept| kept.since).min();
        let here = places.iter_mut().filter(|(identity, _)| which(identity));
        let oldest = here.filter_map(|(_, place)| Some((first(place)?, place))).min_by_key(|(since, _)| *since);
        if let Some((since, place)) = oldest {
            place.close(|kept| kept.is_unused() && kept.since == since);
        }
    }

    /// Connections without requests.
    pub fn idle(&self) -> usize {
        let places = lock(&self.places);
        places.values().flat_map(|place| &place.open).filter(|kept| kept.connection.is_unused()).count()
    }

    /// Connections to this host and port.
    pub fn idle_at(&self, host: &str, port: u16) -> usize {
        let places = lock(&self.places);
        let here = places.iter().filter(|(identity, _)| identity.0 == host && identity.1 == port);
        here.flat_map(|(_, place)| &place.open).filter(|kept| kept.connection.is_unused()).count()
    }
}

impl Flight {
    /// Tells all that wait what came of it. Errors reach each of them once.
    pub fn land(self, opened: &Result<Arc<HttpConnection>>) {
        let mut places = lock(&self.shared.places);
        let outcome = match opened {
            Ok(connection) if connection.engine.is_shared() => Opened::Shared,
            Ok(_) => Opened::Old,
            Err(error) => Opened::Failed(error.clone()),
        };
        if let Some(place) = places.get_mut(&self.identity) {
            place.opening = None;
            place.is_old = matches!(outcome, Opened::Old);
            if let (Ok(connection), Opened::Shared) = (opened, &outcome) {
                place.keep(connection);
            }
        }
        drop(places);
        let _ = self.outcome.send(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.outcome.borrow().is_none()
            && let Some(place) = lock(&self.shared.places).get_mut(&self.identity)
        {
            place.opening = None;
        }
    }
}
