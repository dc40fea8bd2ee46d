//! The client: many requests, pooled connections, a policy for each host, redirects. Everything goes out attested where a policy covers the
//! host, and nowhere else unless the caller said so.

use std::ffi::CString;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::body::Source;
use super::cookies::Jar;
use super::location::{HostPattern, Location};
use super::options::Options;
use super::pool::{Key, Lease, Pool};
use super::{Exchange, Head, HttpConnection, Request, RequestBody, exchange, redirect};
use crate::attest::{Policy, Verdict};
use crate::collateral::Verifier;
use crate::connect::{Connector, Target};
use crate::deadline::{Wait, within};
use crate::error::{Error, Result, Status};
use crate::flow::Outgoing;

/// Bytes of the body of an answer that is not shown which are read to keep the connection.
const DRAINED: usize = 64 << 10;

/// What is the same for all requests of a client.
pub struct Client {
    pub pool: Arc<Pool>,
    pub connector: Arc<Connector>,
    /// For connectors without one of their own.
    pub verifier: Arc<Verifier>,
    pub policies: RwLock<Vec<(HostPattern, Arc<Policy>)>>,
    pub cookies: Jar,
}

/// A request on its way through redirects.
#[derive(Clone)]
pub struct Call {
    pub request: Arc<Request>,
    pub location: Location,
    pub body: CallBody,
    pub options: Arc<Options>,
    /// The answer to a challenge for who we are, and to a proxy's.
    pub authorization: Option<String>,
    pub proxy_authorization: Option<String>,
}

#[derive(Clone)]
pub enum CallBody {
    Full(Bytes),
    /// Cannot be sent twice.
    Stream(Arc<Outgoing>, Option<u64>),
    Source(Arc<dyn Source>, Option<u64>),
}

/// How the response came about.
#[derive(Clone)]
pub struct Route {
    /// Where the response came from; as C is shown it.
    pub url: CString,
    pub redirects: u32,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    pub connection: Arc<HttpConnection>,
    /// Waiting for a turn, and from sending to the head; of the last hop.
    pub queue: Duration,
    pub first_byte: Duration,
    /// From the call to the end of the body, once it is there.
    pub total: Arc<OnceLock<Duration>>,
}

impl Route {
    pub fn verdict(&self) -> Option<&Arc<Verdict>> {
        self.connection.verdict.as_ref()
    }
}

/// Where a hop goes, and with what.
struct Hop {
    key: Key,
    request: Arc<Request>,
    head: Vec<u8>,
}

type Informational = Arc<dyn Fn(Head) + Send + Sync>;

impl Client {
    /// The policy for a host in normal form: the closest pattern's, or the connector's own, or the client's. Errors: PolicyRequired.
    fn covered(&self, location: &Location, connector: &Connector) -> Result<Option<Arc<Policy>>> {
        let host = &location.host;
        // A connector that says nothing of policies leaves it to the client's own.
        let settings = match &connector.settings {
            settings if settings.policy.is_some() || settings.unattested => settings,
            _ => &self.connector.settings,
        };
        let policies = self.policies.read().unwrap_or_else(std::sync::PoisonError::into_inner);
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

    /// Sends the request and follows redirects, until a response head is there that is to be shown. Must run on the runtime on which the
    /// pool's connections live.
    pub async fn fetch(&self, mut call: Call, informational: Informational) -> Result<(Exchange, Route)> {
        let (start, total) = (Instant::now(), Arc::new(OnceLock::new()));
        let mut followed = 0;
        loop {
            let (mut answer, mut route) = self.hop(&call, &informational).await?;
            self.cookies.store(&answer.head, &call.location);
            let next = match self.answer_challenge(&call, &answer.head) {
                Some(next) => next,
                None => match redirect::next(&call, &answer.head, route.verdict().is_some())? {
                    Some(next) => {
                        followed += 1;
                        next
                    }
                    None => {
                        (route.redirects, route.total) = (followed, total.clone());
                        answer.when_over(move || {
                            let _ = total.set(start.elapsed());
                        });
                        return Ok((answer, route));
                    }
                },
            };
            drain(&mut answer).await;
            drop(answer);
            call = next;
        }
    }

    /// One request and its response, on a connection that waits or a new one.
    async fn hop(&self, call: &Call, informational: &Informational) -> Result<(Exchange, Route)> {
        let hop = self.prepare(call)?;
        let deadlines = &call.options.deadlines;
        let start = Instant::now();
        let slot = within(deadlines.queue, Wait::Turn, self.pool.slot()).await?;
        let queue = start.elapsed();
        let mut slot = Some(slot);
        let mut may_reuse = true;
        loop {
            let waiting = if may_reuse { self.waiting(&hop.key).await } else { None };
            let reused = waiting.is_some();
            let mut lease = match waiting {
                Some(lease) => lease,
                None => {
                    let target = self.target(&hop.key)?;
                    let opened = within(deadlines.connect, Wait::Connecting, open(&target)).await?;
                    Lease::new(self.pool.clone(), hop.key.clone(), opened, Instant::now())
                }
            };
            lease.slot = slot.take();
            let start = Instant::now();
            match send(&hop, call, &lease, informational).await {
                Ok(mut answer) => {
                    let connection = lease.connection.clone();
                    answer.when_over(move || lease.give_back());
                    let url = CString::new(call.location.as_str()).unwrap_or_default();
                    let (first_byte, total) = (start.elapsed(), Arc::default());
                    return Ok((answer, Route { url, redirects: 0, reused, connection, queue, first_byte, total }));
                }
                // The server may close a connection that waits at any time. Once more, on a new one, and only where twice is as good as once.
                Err(error) if reused && call.is_idempotent() && was_stale(&error) && call.body.rewind() => {
                    slot = lease.slot.take();
                    may_reuse = false;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the request goes, and how it stands on the wire.
    fn prepare(&self, call: &Call) -> Result<Hop> {
        let (location, options) = (&call.location, &call.options);
        let connector = options.connector.as_ref().unwrap_or(&self.connector);
        let policy = self.covered(location, connector)?;
        let (host, port, plain) = (location.host.clone(), location.port, location.plain);
        let key = Key { host, port, plain, policy, connector: connector.clone() };
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

    fn target(&self, key: &Key) -> Result<Target> {
        let place = (key.host.as_str(), key.port, key.plain);
        key.connector.target(place, key.policy.clone(), Some(&self.verifier))
    }

    /// A connection that waits. What the network has to say of it is heard first, which matters where nobody drives it in between. Mostly that
    /// is nothing; else one turn lets the runtime look at the sockets, and the next lets the connection act on it.
    async fn waiting(&self, key: &Key) -> Option<Lease> {
        loop {
            let lease = self.pool.take(key)?;
            if lease.connection.watch.is_quiet() {
                return Some(lease);
            }
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            if lease.connection.is_ready() {
                return Some(lease);
            }
        }
    }

    /// The same request with the answer to a challenge (RFC 9110 section 11.3), where we have one and have not given it before.
    fn answer_challenge(&self, call: &Call, head: &Head) -> Option<Call> {
        let connector = call.options.connector.as_ref().unwrap_or(&self.connector);
        let absolute;
        let (login, field, path) = match head.status {
            401 if call.authorization.is_none() => {
                (call.options.login.as_ref()?, "www-authenticate", &call.request.path)
            }
            407 if call.proxy_authorization.is_none() && call.location.plain => {
                absolute = format!("http://{}{}", call.location.authority, call.request.path);
                (connector.settings.proxy.as_ref()?.login()?, "proxy-authenticate", &absolute)
            }
            _ => return None,
        };
        let body = match &call.body {
            CallBody::Full(data) => Some(&data[..]),
            _ => None,
        };
        let answer = login.answer(head.all(field), &call.request.method, path, body)?;
        if !call.body.rewind() {
            return None;
        }
        let mut next = call.clone();
        match head.status {
            401 => next.authorization = Some(answer),
            _ => next.proxy_authorization = Some(answer),
        }
        Some(next)
    }
}

async fn send(hop: &Hop, call: &Call, lease: &Lease, informational: &Informational) -> Result<Exchange> {
    let (reservation, tell) = (lease.connection.reserve()?, informational.clone());
    let (head, body) = (hop.head.clone(), call.body.begin());
    exchange(reservation, &hop.request, head, body, &call.options, move |head| tell(head)).await
}

impl Call {
    pub fn new(request: Arc<Request>, location: Location, body: CallBody, options: Arc<Options>) -> Call {
        Call { request, location, body, options, authorization: None, proxy_authorization: None }
    }

    /// RFC 9110 section 9.2.2.
    fn is_idempotent(&self) -> bool {
        matches!(&*self.request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}

impl CallBody {
    /// Where the host writes to.
    pub fn outgoing(&self) -> Option<Arc<Outgoing>> {
        match self {
            CallBody::Full(_) | CallBody::Source(..) => None,
            CallBody::Stream(pieces, _) => Some(pieces.clone()),
        }
    }

    pub fn length(&self) -> Option<u64> {
        match self {
            CallBody::Full(data) => Some(data.len() as u64),
            CallBody::Stream(_, length) | CallBody::Source(_, length) => *length,
        }
    }

    pub fn begin(&self) -> RequestBody {
        match self {
            CallBody::Full(data) => RequestBody::full(data.clone()),
            CallBody::Stream(pieces, length) => RequestBody::stream(pieces.clone(), *length),
            CallBody::Source(source, length) => RequestBody::source(source.clone(), *length),
        }
    }

    /// Makes it ready to be sent once more; false where that cannot be.
    pub fn rewind(&self) -> bool {
        match self {
            CallBody::Full(_) => true,
            CallBody::Stream(..) => false,
            CallBody::Source(source, _) => source.rewind(),
        }
    }
}

fn was_stale(error: &Error) -> bool {
    matches!(error.status, Status::Closed | Status::Truncated | Status::Io)
}

/// Connects, attests, and leaves the connection to a task of its own.
async fn open(target: &Target) -> Result<Arc<HttpConnection>> {
    let (connection, driver) = HttpConnection::open(target).await?;
    tokio::spawn(async move {
        driver.await;
    });
    Ok(connection)
}

async fn drain(answer: &mut Exchange) {
    let mut left = DRAINED;
    while let Ok(Some(data)) = answer.next().await {
        if data.len() > left {
            return;
        }
        left -= data.len();
    }
}
