//! The client: many requests, pooled connections, a policy for each host, redirects. Everything goes out attested where a policy covers the
//! host, and nowhere else unless the caller said so.

use std::ffi::CString;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use bytes::Bytes;
use rustls::ClientConfig;

use super::location::{HostPattern, Location};
use super::pool::{Key, Lease, Pool};
use super::{Exchange, Head, HttpConnection, Request, RequestBody, exchange};
use crate::attest::{Policy, Verdict};
use crate::collateral::Verifier;
use crate::connect::{Proxy, Target, Timeouts, TunnelUrl, connect};
use crate::error::{Error, Phase, Result, Status};
use crate::flow::Outgoing;

/// Bytes of a redirect's body that are read to keep the connection.
const DRAINED: usize = 64 << 10;

/// A policy, and the TLS settings that go with it.
#[derive(Clone)]
pub struct Covered {
    pub policy: Arc<Policy>,
    pub tls: Arc<ClientConfig>,
}

/// What is the same for all requests of a client.
pub struct Client {
    pub pool: Arc<Pool>,
    pub verifier: Arc<Verifier>,
    pub tls: Arc<ClientConfig>,
    pub timeouts: Timeouts,
    /// `ws(s)://` URL of a forwarder.
    pub tunnel: Option<String>,
    pub proxy: Option<Arc<Proxy>>,
    /// For hosts that no pattern covers.
    pub default: Option<Covered>,
    /// Hosts without any policy are contacted, in ordinary TLS.
    pub unattested: bool,
    pub policies: RwLock<Vec<(HostPattern, Covered)>>,
}

/// A request on its way through redirects.
#[derive(Clone)]
pub struct Call {
    pub request: Request,
    pub location: Location,
    pub body: CallBody,
    /// How many redirects may be followed.
    pub redirects: u32,
    /// A redirect may lead away from an origin that was attested.
    pub may_leave: bool,
}

#[derive(Clone)]
pub enum CallBody {
    Full(Bytes),
    /// Cannot be sent twice: redirects are not followed.
    Stream(Arc<Outgoing>, Option<u64>),
}

/// How the response came about.
#[derive(Clone)]
pub struct Route {
    /// Where the response came from; as C is shown it.
    pub url: CString,
    pub redirects: u32,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    pub verdict: Option<Arc<Verdict>>,
}

impl Client {
    /// The policy for a host in normal form: the closest pattern's, or the default. Errors: PolicyRequired.
    fn covered(&self, host: &str) -> Result<Option<Covered>> {
        let policies = self.policies.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let rated = policies.iter().filter_map(|(pattern, covered)| Some((pattern.covers(host)?, covered)));
        match rated.max_by_key(|(closeness, _)| *closeness).map(|(_, covered)| covered).or(self.default.as_ref()) {
            Some(covered) => Ok(Some(covered.clone())),
            None if self.unattested => Ok(None),
            None => {
                let message = format!("no policy covers {host}, and the client does not allow unattested connections");
                Err(Error::new(Status::PolicyRequired, message))
            }
        }
    }

    fn target(&self, location: &Location, covered: Option<Covered>) -> Result<Target> {
        let tunnel =
            self.tunnel.as_deref().map(|url| TunnelUrl::parse(url, &location.host, location.port)).transpose()?;
        let (policy, tls) = match covered {
            Some(covered) => (Some(covered.policy), covered.tls),
            None => (None, self.tls.clone()),
        };
        Ok(Target {
            host: location.host.clone(),
            port: location.port,
            server_name: location.host.clone(),
            tunnel,
            proxy: self.proxy.clone(),
            policy,
            verifier: self.verifier.clone(),
            tls,
            timeouts: self.timeouts,
        })
    }

    /// Sends the request and follows redirects, until a response head is there that is to be shown. Must run on the runtime on which the
    /// pool's connections live.
    pub async fn fetch(
        &self,
        mut call: Call,
        informational: Arc<dyn Fn(Head) + Send + Sync>,
    ) -> Result<(Exchange, Route)> {
        let mut followed = 0;
        loop {
            let (mut answer, mut route) = self.hop(&call, &informational).await?;
            route.redirects = followed;
            let Some(next) = self.redirect(&call, &answer.head, route.verdict.is_some())? else {
                return Ok((answer, route));
            };
            drain(&mut answer).await;
            drop(answer);
            followed += 1;
            call = next;
        }
    }

    /// One request and its response, on a connection that waits or a new one.
    async fn hop(&self, call: &Call, informational: &Arc<dyn Fn(Head) + Send + Sync>) -> Result<(Exchange, Route)> {
        let head = call.request.head(call.body.length())?;
        let covered = self.covered(&call.location.host)?;
        let (host, port) = (call.location.host.clone(), call.location.port);
        let key = Key { host, port, policy: covered.as_ref().map(|covered| covered.policy.clone()) };
        let target = self.target(&call.location, covered)?;
        let mut slot = Some(self.pool.slot().await?);
        let mut may_reuse = true;
        loop {
            let waiting = if may_reuse { self.waiting(&key).await } else { None };
            let reused = waiting.is_some();
            let mut lease = match waiting {
                Some(lease) => lease,
                None => Lease::new(self.pool.clone(), key.clone(), open(&target).await?, Instant::now()),
            };
            lease.slot = slot.take();
            let answered = match lease.connection.reserve() {
                Ok(reservation) => {
                    let tell = informational.clone();
                    exchange(reservation, &call.request, head.clone(), call.body.begin(), move |head| tell(head)).await
                }
                Err(error) => Err(error),
            };
            match answered {
                Ok(mut answer) => {
                    let verdict = lease.connection.verdict.clone();
                    answer.when_over(move || lease.give_back());
                    let url = CString::new(call.location.as_str()).unwrap_or_default();
                    return Ok((answer, Route { url, redirects: 0, reused, verdict }));
                }
                // The server may close a connection that waits at any time. Once more, on a new one, and only where twice is as good as once.
                Err(error) if reused && call.may_repeat() && was_stale(&error) => {
                    slot = lease.slot.take();
                    may_reuse = false;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection that waits. What the network has to say of it is heard first, which matters where nobody drives it in between: one turn
    /// lets the runtime look at the sockets, the next lets the connection act on it.
    async fn waiting(&self, key: &Key) -> Option<Lease> {
        loop {
            let lease = self.pool.take(key)?;
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            if lease.connection.is_ready() {
                return Some(lease);
            }
        }
    }

    /// The request that a response asks for instead, if it does and we follow (RFC 9110 section 15.4).
    fn redirect(&self, call: &Call, head: &Head, attested: bool) -> Result<Option<Call>> {
        let (CallBody::Full(_), 301 | 302 | 303 | 307 | 308, 1..) = (&call.body, head.status, call.redirects) else {
            return Ok(None);
        };
        let Some(reference) = head.find("location") else { return Ok(None) };
        let location = call.location.join(reference)?;
        let stays = location.same_origin(&call.location);
        if attested && !stays && !call.may_leave {
            let message = format!("a redirect from attested {} to {}", call.location.host, location.as_str());
            return Err(Error::new(Status::RedirectRefused, message).http_status(head.status).phase(Phase::Transfer));
        }
        let mut next = call.clone();
        next.redirects -= 1;
        let to_get = match (head.status, &*call.request.method) {
            (303, method) => method != "HEAD",
            (301 | 302, "POST") => true,
            _ => false,
        };
        if to_get {
            next.request.method = "GET".into();
            next.body = CallBody::Full(Bytes::new());
            next.request.remove(&["content-length", "content-type", "content-encoding"]);
        }
        if !stays {
            next.request.remove(&["authorization", "cookie", "proxy-authorization"]);
        }
        next.request.host = location.authority.clone();
        next.request.path = location.path.clone();
        next.location = location;
        Ok(Some(next))
    }
}

impl Call {
    /// RFC 9110 section 9.2.2.
    fn may_repeat(&self) -> bool {
        let idempotent = matches!(&*self.request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE");
        idempotent && matches!(self.body, CallBody::Full(_))
    }
}

impl CallBody {
    /// Where the host writes to.
    pub fn outgoing(&self) -> Option<Arc<Outgoing>> {
        match self {
            CallBody::Full(_) => None,
            CallBody::Stream(pieces, _) => Some(pieces.clone()),
        }
    }

    pub fn length(&self) -> Option<u64> {
        match self {
            CallBody::Full(data) => Some(data.len() as u64),
            CallBody::Stream(_, length) => *length,
        }
    }

    pub fn begin(&self) -> RequestBody {
        match self {
            CallBody::Full(data) => RequestBody::full(data.clone()),
            CallBody::Stream(pieces, length) => RequestBody::stream(pieces.clone(), *length),
        }
    }
}

fn was_stale(error: &Error) -> bool {
    matches!(error.status, Status::Closed | Status::Truncated | Status::Io)
}

/// Connects, attests, and leaves the connection to a task of its own.
async fn open(target: &Target) -> Result<Arc<HttpConnection>> {
    let connected = Box::pin(connect(target)).await?;
    let (connection, driver) = HttpConnection::start(connected.stream, connected.verdict).await?;
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
