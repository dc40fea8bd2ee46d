//! How a client's request comes by a connection: a place on one that others share, an idle one, or a new one. Touches connections, through `connect`, and the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Reservation;
use super::engine::EngineKind;
use super::http_client::HttpClient;
use super::pool::{ConnectionKey, Lease};
use super::shared_connections::{Flight, Found, Opened};
use super::{HttpConnection, TrustedReservation};
use crate::connect::{ConnectTarget, only_the_certificate_differs};
use crate::error::{Error, Phase, Result, Status};
use crate::io::deadline::{TotalDeadline, Wait, exceeded, within};
use crate::io::turn::in_turn;
use crate::log;

/// What drives pooled connections of HTTP/1.1: the library's own machine.
const POOLED: EngineKind = EngineKind::H1;

/// How a request comes by a connection.
enum Share {
    Place(Box<Lease>),
    Make(Option<Flight>),
}

impl HttpClient {
    /// A connection for the hop, and whether it has been used before: an idle one if that may be, or a new one. `limit` is that of all steps together.
    pub(super) async fn lease(
        &self,
        key: &ConnectionKey,
        may_reuse: bool,
        limit: Option<Duration>,
    ) -> Result<(Lease, bool)> {
        let whole = TotalDeadline::new(limit);
        let idle = if may_reuse { self.idle(key, whole).await? } else { None };
        if let Some(lease) = idle {
            log::emit(log::DEBUG, || format!("pool: {}: a connection that waited", key.shown()));
            return Ok((lease, true));
        }
        let flight = match self.share(key, whole, limit).await? {
            Share::Place(lease) => return Ok((*lease, true)),
            Share::Make(flight) => flight,
        };
        log::emit(log::DEBUG, || format!("pool: {}: a new connection", key.shown()));
        let mut target = self.target(key)?;
        // If it passes, the error names the phase.
        target.timeouts = target.timeouts.and(whole.shorten(None));
        self.pool.make_room(key);
        let opened = open(&target).await.and_then(takes_requests);
        // Reserved before others can: they have not waited for it longer.
        let reserved = opened.as_ref().ok().map(|connection| connection.reserve());
        if let Some(flight) = flight {
            // How long this request would wait says nothing about the server.
            match &opened {
                Err(error) if error.status == Status::TimedOut && limit.is_some() => drop(flight),
                opened => flight.land(opened),
            }
        } else if let Some(connection) = opened.as_ref().ok().filter(|connection| connection.engine.is_shared()) {
            // The server has spoken HTTP/1.1 until now.
            self.pool.shared.adopt(key, connection);
        }
        let mut lease = Lease::new(self.pool.clone(), key.clone(), opened?, Instant::now());
        let reserved = reserved.ok_or_else(|| Error::new(Status::Internal, "a connection that nobody has reserved"))?;
        lease.reservation = Some(reserved?.trusted(whole.shorten(None)).await?);
        Ok((lease, false))
    }

    /// A place on a connection that others share, or leave to make a new one: for all that wait, if there is a flight.
    async fn share(&self, key: &ConnectionKey, whole: TotalDeadline, limit: Option<Duration>) -> Result<Share> {
        let versions = key.connector.settings.http_versions;
        match key.plain {
            true if !versions.has_http1() => {
                let message = "HTTP/2 alone is allowed, and an http: URL needs HTTP/1.1";
                return Err(Error::new(Status::Unsupported, message));
            }
            false if versions.has_http2() => {}
            _ => return Ok(Share::Make(None)),
        }
        loop {
            let mut waiting = match self.pool.shared.find(key) {
                Found::Alone => return Ok(Share::Make(None)),
                Found::Make(flight) => return Ok(Share::Make(Some(flight))),
                Found::Wait(waiting) => waiting,
                Found::Place(connection, reservation, born) => {
                    log::emit(log::DEBUG, || format!("pool: {}: a connection that others share", key.shown()));
                    let mut lease = Lease::new(self.pool.clone(), key.clone(), connection, born);
                    if !lease.connection.is_alive().await {
                        continue;
                    }
                    if let Some(reservation) = self.still_trusted(reservation, key, whole).await? {
                        lease.reservation = Some(reservation);
                        return Ok(Share::Place(Box::new(lease)));
                    }
                    continue;
                }
            };
            let landed = async { Ok(waiting.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone())) };
            // The host knows its own limit, not what is left of it.
            let named = |error| limit.map_or(error, |limit| exceeded(limit, Wait::Connecting));
            match within(whole.shorten(None), Wait::Connecting, landed).await.map_err(named)? {
                // Whoever made it has given up.
                None | Some(Opened::Shared) => {}
                Some(Opened::Old) => return Ok(Share::Make(None)),
                Some(Opened::Failed(error)) => return Err(error),
            }
        }
    }

    /// Errors: why the server is not trusted any more, unless a new connection may be to one that is.
    async fn still_trusted(
        &self,
        reservation: Reservation,
        key: &ConnectionKey,
        whole: TotalDeadline,
    ) -> Result<Option<TrustedReservation>> {
        match reservation.trusted(whole.shorten(None)).await {
            Ok(reservation) => Ok(Some(reservation)),
            // Nothing was sent, and a new session may show the certificate that the evidence names.
            Err(error) if was_stale(&error) || only_the_certificate_differs(&error) => {
                log::emit(log::DEBUG, || format!("pool: {}: given up, {}", key.shown(), log::reason(&error)));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn target(&self, key: &ConnectionKey) -> Result<ConnectTarget> {
        let place = (key.host.as_str(), key.port, key.plain);
        let mut target = key.connector.target(place, key.policy.clone(), Some(&self.verifier))?;
        target.http_versions = key.connector.settings.http_versions;
        Ok(target)
    }

    /// An idle connection, with a server that is still trusted. Errors: why one is not any more, unless a new connection may be to one that is.
    async fn idle(&self, key: &ConnectionKey, whole: TotalDeadline) -> Result<Option<Lease>> {
        loop {
            let Some(mut lease) = self.quiet(key).await else { return Ok(None) };
            let Ok(reservation) = lease.connection.reserve() else { continue };
            if let Some(reservation) = self.still_trusted(reservation, key, whole).await? {
                lease.reservation = Some(reservation);
                return Ok(Some(lease));
            }
        }
    }

    /// An idle connection that the server has not ended.
    async fn quiet(&self, key: &ConnectionKey) -> Option<Lease> {
        loop {
            let lease = self.pool.take(key)?;
            if lease.connection.is_alive().await && lease.connection.is_ready() {
                return Some(lease);
            }
        }
    }
}

/// Connects and attests; a task of its own then drives the connection.
async fn open(target: &ConnectTarget) -> Result<Arc<HttpConnection>> {
    let (connection, driver) = HttpConnection::open(target, POOLED).await?;
    tokio::spawn(in_turn(driver));
    Ok(connection)
}

/// Errors: Busy, if the server of a connection that requests share allows none at all; the connection is closed.
fn takes_requests(connection: Arc<HttpConnection>) -> Result<Arc<HttpConnection>> {
    if connection.engine.places() > 0 {
        return Ok(connection);
    }
    connection.closing.cancel();
    let message = "HTTP/2: the server allows no requests (SETTINGS_MAX_CONCURRENT_STREAMS is 0)";
    Err(Error::new(Status::Busy, message).phase(Phase::Transfer))
}

/// The connection was gone before the request.
pub(super) fn was_stale(error: &Error) -> bool {
    matches!(error.status, Status::Closed | Status::Truncated | Status::Io)
}
