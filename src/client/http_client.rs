//! The client: many requests, pooled connections, a policy for each host, redirects. A host that a policy covers is contacted attested or not at all, and
//! another one only if the caller has allowed that. Touches connections, through `connect`, and the clock.

use std::ffi::CString;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::cookie_jar::CookieJar;
use super::leasing::was_stale;
use super::location::{HostPattern, Location};
use super::pending_request::{FollowUp, PendingBody, PendingRequest};
use super::pool::{ClientCounts, ClientLimits, ConnectionKey, ConnectionPool, Lease};
use super::turn_queue::QueuedTurn;
use super::{Exchange, HttpConnection, InterimEvent, OnInterim, RequestBody, redirect, start_exchange};
use crate::attest::Policy;
use crate::connect::{ConnectTimes, Connector};
use crate::error::{Detail, Error, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::log;
use crate::message::credentials::is_stale;
use crate::message::{ReceivedHead, RequestHead};
use crate::tls::HttpVersion;
use crate::verdict::Verdict;
use crate::verifier::Verifier;

/// Most bytes of the body of an intermediate response that are read to keep its connection.
const DRAINED: usize = 64 << 10;
/// How often a request is sent again that servers have not looked at.
const REFUSALS: u32 = 3;

/// What all requests of a client share.
pub struct HttpClient {
    pub(super) pool: Arc<ConnectionPool>,
    connector: Arc<Connector>,
    /// For connectors that have no verifier of their own.
    pub(super) verifier: Arc<Verifier>,
    policies: RwLock<Vec<(HostPattern, Arc<Policy>)>>,
    pub cookies: CookieJar,
}

/// How the response came about.
#[derive(Clone)]
pub struct ResponseRoute {
    /// The URL that the response came from, for C.
    pub url: CString,
    pub redirects: u32,
    /// Whether the connection had been used before.
    pub reused: bool,
    /// Of the response, and its minor version.
    pub version: (HttpVersion, u8),
    pub connection: Arc<HttpConnection>,
    /// On the server, when the request was sent.
    pub verdict: Option<Arc<Verdict>>,
    /// How long the last hop waited for its turn, and from sending to the response head.
    pub queue: Duration,
    pub first_byte: Duration,
    /// From the call to the end of the body, once it is there.
    pub total: Arc<OnceLock<Duration>>,
}

impl ResponseRoute {
    /// How long the phases of connecting took; zero for a connection from the pool.
    pub fn connecting(&self) -> ConnectTimes {
        if self.reused { ConnectTimes::default() } else { self.connection.times }
    }
}

/// Where a hop goes, and with what.
struct Hop {
    key: ConnectionKey,
    request: Arc<RequestHead>,
    head: Vec<u8>,
}

impl HttpClient {
    /// Errors: InvalidArgument (the connector's roots).
    pub fn new(connector: Arc<Connector>, limits: ClientLimits) -> Result<HttpClient> {
        Ok(HttpClient {
            pool: Arc::new(ConnectionPool::new(limits)),
            verifier: connector.verifier()?,
            connector,
            policies: RwLock::default(),
            cookies: CookieJar::default(),
        })
    }

    /// Hosts that match `pattern` are contacted only under this policy; it replaces the policy that the pattern had. Errors: those of
    /// `Connector::check`.
    pub fn set_policy(&self, pattern: HostPattern, policy: Arc<Policy>) -> Result<()> {
        self.connector.check(Some(&policy))?;
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        policies.retain(|(other, _)| *other != pattern);
        policies.push((pattern, policy));
        Ok(())
    }

    pub fn counts(&self) -> ClientCounts {
        self.pool.counts()
    }

    /// Closes every idle connection.
    pub fn close_idle(&self) {
        self.pool.close_idle();
    }

    /// The policy for a host in normal form: that of the closest pattern, or the connector's, or the client's. Errors: PolicyRequired.
    fn covered(&self, location: &Location, connector: &Connector) -> Result<Option<Arc<Policy>>> {
        let host = &location.host;
        // A connector that has neither a policy nor is unattested uses the client's settings.
        let settings = match &connector.settings {
            settings if settings.policy.is_some() || settings.unattested => settings,
            _ => &self.connector.settings,
        };
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        let rated = policies.iter().filter_map(|(pattern, policy)| Some((pattern.covers(host)?, policy)));
        let closest = rated.max_by_key(|(closeness, _)| *closeness).map(|(_, policy)| policy);
        let required = |message| Err(Error::new(Status::PolicyRequired, message));
        match closest.or(settings.policy.as_ref()) {
            Some(_) if location.plain => required(format!("a policy covers {host}, and http: cannot be attested")),
            Some(policy) => Ok(Some(policy.clone())),
            None if settings.unattested => Ok(None),
            None => required(format!("no policy covers {host}, and the client does not allow unattested connections")),
        }
    }

    /// Takes a place in the queue for a turn.
    pub fn queue(&self, call: &PendingRequest) -> QueuedTurn {
        self.pool.queue((call.location.host.clone(), call.location.port))
    }

    /// Sends the request when its turn comes, and follows redirects up to the response that the caller gets. Must run on the runtime of the pool's
    /// connections.
    pub async fn fetch(
        &self,
        mut call: PendingRequest,
        turn: QueuedTurn,
        tell: &OnInterim<'_>,
    ) -> Result<(Exchange, ResponseRoute)> {
        let (start, total) = (Instant::now(), Arc::new(OnceLock::new()));
        let (mut followed, mut turn) = (0, Some(turn));
        loop {
            let waiting = turn.take().unwrap_or_else(|| self.queue(&call));
            let (mut answer, mut route) = self.hop(&call, waiting, tell).await?;
            self.cookies.store(&answer.head, &call.location);
            let kept = answer.kept_the_body();
            if let Some(next) = self.next(&call, &answer.head, route.verdict.is_some())?
                && (!next.again || kept || call.body.begins_anew(answer.progress(), tell).await)
            {
                followed += u32::from(next.followed);
                drain(&mut answer, call.options.deadlines.idle).await;
                drop(answer);
                call = next.call;
                continue;
            }
            (route.redirects, route.total) = (followed, total.clone());
            answer.show(&call.options)?;
            answer.when_over(move || {
                let _ = total.set(start.elapsed());
            });
            return Ok((answer, route));
        }
    }

    /// The request that this response leads to; `None` if the caller gets the response.
    fn next(&self, call: &PendingRequest, head: &ReceivedHead, attested: bool) -> Result<Option<FollowUp>> {
        let place = || log::place(&call.location.host, call.location.port);
        if let Some(next) = self.answer_challenge(call, head) {
            log::emit(log::DEBUG, || {
                format!("redirect: {}: response {}, which is answered with a login", place(), head.status)
            });
            return Ok(Some(FollowUp { call: next, again: true, followed: false }));
        }
        if head.status == 417 && call.options.expect.is_some() {
            log::emit(log::DEBUG, || format!("redirect: {}: response 417, once more without Expect", place()));
            let mut next = call.clone();
            Arc::make_mut(&mut next.options).expect = None;
            return Ok(Some(FollowUp { call: next, again: true, followed: false }));
        }
        let next = redirect::follow_up(call, head, attested)?;
        if let Some(next) = &next {
            let to = &next.call.location;
            let to = || log::place(&to.host, to.port);
            log::emit(log::DEBUG, || format!("redirect: {}: response {}, on to {}", place(), head.status, to()));
        }
        Ok(next)
    }

    /// One request and its response, on an idle connection or a new one.
    async fn hop(
        &self,
        call: &PendingRequest,
        turn: QueuedTurn,
        tell: &OnInterim<'_>,
    ) -> Result<(Exchange, ResponseRoute)> {
        let hop = self.prepare(call)?;
        let deadlines = &call.options.deadlines;
        let start = Instant::now();
        let turn = within(deadlines.queue, Wait::Turn, turn.turn()).await?;
        let queue = start.elapsed();
        let mut turn = Some(turn);
        let (mut may_reuse, mut refusals) = (true, 0);
        loop {
            let (mut lease, reused) = self.lease(&hop.key, may_reuse, deadlines.connect).await?;
            lease.turn = turn.take();
            if call.body.outgoing().is_some() {
                tell(InterimEvent::Connected).await;
            }
            let (start, verdict, body) = (Instant::now(), lease.connection.verdict(), call.body.begin());
            let before = body.progress();
            let error = match send(&hop, call, body, &mut lease, tell).await {
                Ok(mut answer) => {
                    let connection = lease.connection.clone();
                    let version = (connection.engine.version(), answer.head.minor_version);
                    answer.when_over(move || lease.give_back());
                    let url = CString::new(call.location.on_the_wire()).unwrap_or_default();
                    let (first_byte, total) = (start.elapsed(), Arc::default());
                    let route = ResponseRoute {
                        url,
                        redirects: 0,
                        reused,
                        version,
                        connection,
                        verdict,
                        queue,
                        first_byte,
                        total,
                    };
                    return Ok((answer, route));
                }
                Err(error) => error,
            };
            // A server that has not looked at the request can be asked again, whatever the request is.
            let untouched = error.detail == Detail::NotProcessed && refusals < REFUSALS;
            // The server may close an idle connection at any time. Try again on a new one, but only if sending twice does no harm.
            let lost = reused && was_stale(&error) && error.detail != Detail::StreamReset;
            let stale = lost && call.is_idempotent() && !before.is_answered();
            let again = match untouched {
                // What the host writes is bound to the request that it was begun for.
                true if before.is_whole() && call.body.outgoing().is_none() => true,
                true => call.body.begins_anew(&before, tell).await,
                false => stale && may_reuse && call.body.rewind(),
            };
            if !again {
                return Err(error);
            }
            log::emit(log::DEBUG, || format!("pool: {}: once more, for {}", hop.key.shown(), log::reason(&error)));
            turn = lease.turn.take();
            (may_reuse, refusals) = (untouched && lease.connection.engine.is_shared(), refusals + u32::from(untouched));
        }
    }

    /// Where the request goes, and its head as it is sent.
    fn prepare(&self, call: &PendingRequest) -> Result<Hop> {
        let (location, options) = (&call.location, &call.options);
        let connector = options.connector.as_ref().unwrap_or(&self.connector);
        let policy = self.covered(location, connector)?;
        let (host, port, plain) = (location.host.clone(), location.port, location.plain);
        let key = ConnectionKey { host, port, plain, policy, connector: connector.clone() };
        let mut request = call.request.clone();
        if let Some(value) = call.authorization.clone().or_else(|| options.login.as_ref()?.unasked()) {
            let request = Arc::make_mut(&mut request);
            request.remove(&["authorization"]);
            request.add("Authorization", value);
        }
        if let Some(field) = (!request.has("cookie")).then(|| self.cookies.field(location)).flatten() {
            Arc::make_mut(&mut request).add("Cookie", field);
        }
        let proxy = key.connector.settings.proxy.as_ref();
        if let Some(proxy) = proxy.filter(|proxy| plain && proxy.speaks_http()) {
            let request = Arc::make_mut(&mut request);
            request.absolute = true;
            if let Some(value) = call.proxy_authorization.clone().or_else(|| proxy.login()?.unasked()) {
                request.add("Proxy-Authorization", value);
            }
        }
        options.complete(&mut request, call.body.length());
        let head = request.head(call.body.length())?;
        Ok(Hop { key, request, head })
    }

    /// The same request with the answer to a challenge (RFC 9110 section 11.3), if there is one and it was not given before.
    fn answer_challenge(&self, call: &PendingRequest, head: &ReceivedHead) -> Option<PendingRequest> {
        let connector = call.options.connector.as_ref().unwrap_or(&self.connector);
        let absolute;
        // A correct answer to a stale nonce: the server asks for it again with a new one (RFC 7616 section 3.3).
        let asks = |given: &Option<String>, field| given.is_none() || !call.answered_anew && is_stale(head.all(field));
        let (login, field, path) = match head.status {
            401 if asks(&call.authorization, "www-authenticate") => {
                (call.options.login.as_ref()?, "www-authenticate", &call.request.path)
            }
            407 if asks(&call.proxy_authorization, "proxy-authenticate") && call.location.plain => {
                absolute = format!("http://{}{}", call.location.authority, call.request.path);
                (connector.settings.proxy.as_ref()?.login()?, "proxy-authenticate", &absolute)
            }
            _ => return None,
        };
        let body = match &call.body {
            PendingBody::Full(data) => Some(&data[..]),
            _ => None,
        };
        let answer = login.answer(head.all(field), &call.request.method, path, body)?;
        let mut next = call.clone();
        let given = if head.status == 401 { &call.authorization } else { &call.proxy_authorization };
        next.answered_anew |= given.is_some();
        match head.status {
            401 => next.authorization = Some(answer),
            _ => next.proxy_authorization = Some(answer),
        }
        Some(next)
    }
}

async fn send(
    hop: &Hop,
    call: &PendingRequest,
    body: RequestBody,
    lease: &mut Lease,
    tell: &OnInterim<'_>,
) -> Result<Exchange> {
    let missing = || Error::new(Status::Internal, "a connection that nobody has reserved");
    let reservation = lease.reservation.take().ok_or_else(missing)?;
    start_exchange(reservation, &hop.request, hop.head.clone(), body, &call.options, tell).await
}

/// Reads the body of an intermediate response, so that its connection can be used again; unless it is long, or takes longer than a body may be silent.
async fn drain(answer: &mut Exchange, limit: Option<Duration>) {
    let rest = async {
        let mut left = DRAINED;
        while let Some(data) = answer.next().await? {
            match left.checked_sub(data.len()) {
                Some(less) => left = less,
                None => break,
            }
        }
        Ok(())
    };
    // Whatever its end, the next request does not depend on it.
    let _ = within(limit, Wait::MoreBody, rest).await;
}
