//! The attested connection: transport, TLS, evidence, judgement, in this order, and only then a stream for the caller. Evidence is asked for in
//! `attestation`, and judged by the verifier. Touches sockets and the clock, both through `io`.

mod attestation;
mod config;
mod connected_stream;
mod evidence_query;
mod http2_session;
#[doc(hidden)]
pub mod http_proxy;
mod progress;
mod proxy;
mod route;
mod settings;
mod trust;
mod trusted_stream;

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::tunnel::{Transport, TunnelUrl};
pub use attestation::EvidenceChannel;
pub use config::ConnectBuilder;
pub use connected_stream::{ConnectedStream, SessionExporter};
pub use evidence_query::{EvidenceAnswer, EvidenceQuery, bytes_after, query_head, too_long};
pub use http2_session::{Http2Session, STREAMS, http2_error};
use progress::{ConnectProgress, report};
pub use proxy::{Login, Proxy};
pub use route::Route;
pub use settings::{ConnectSettings, Connector};
pub use trust::ServerTrust;
pub use trusted_stream::TrustedStream;

use crate::attest::{Policy, Protocol};
use crate::attester::{Attester, Devices};
use crate::error::{Error, Phase, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::io::dialling;
use crate::log;
use crate::tls;
use crate::tls::{HttpVersion, HttpVersions};
use crate::verifier::Verifier;

/// Where to connect and what must hold there.
#[derive(Clone)]
pub struct ConnectTarget {
    pub host: String,
    pub port: u16,
    /// Name to check the certificate against and to send as SNI.
    pub server_name: String,
    pub tunnel: Option<TunnelUrl>,
    /// Not beside a tunnel.
    pub proxy: Option<Arc<Proxy>>,
    pub dial: dialling::Dial,
    /// Without TLS, and so without a policy.
    pub plain: bool,
    /// `None` only if the caller has explicitly asked for no attestation.
    pub policy: Option<Arc<Policy>>,
    pub verifier: Arc<Verifier>,
    /// Evidence of this side, for servers that ask for it.
    pub attester: Option<Arc<Attester>>,
    /// Evidence of devices beside it.
    pub devices: Devices,
    pub tls: Arc<ClientConfig>,
    /// What is offered on the session itself; HTTP/1.1 alone unless the caller can use more.
    pub http_versions: HttpVersions,
    pub timeouts: ConnectTimeouts,
}

/// Deadlines of the phases; `None` is no deadline.
#[derive(Clone, Copy, Debug)]
pub struct ConnectTimeouts {
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// All of them together: transport, TLS, evidence, collateral, and a second attempt.
    pub whole: Option<Duration>,
}

impl ConnectTimeouts {
    /// The same, with a shorter limit on the whole if `limit` is shorter.
    pub fn and(self, limit: Option<Duration>) -> ConnectTimeouts {
        let whole = [self.whole, limit].into_iter().flatten().min();
        ConnectTimeouts { whole, ..self }
    }
}

/// Default for connecting, and for TLS.
pub const PHASE_TIMEOUT: Duration = Duration::from_secs(20);
/// Default for a connection as a whole.
pub const WHOLE_TIMEOUT: Duration = Duration::from_secs(90);

impl Default for ConnectTimeouts {
    fn default() -> Self {
        ConnectTimeouts { connect: Some(PHASE_TIMEOUT), tls: Some(PHASE_TIMEOUT), whole: Some(WHOLE_TIMEOUT) }
    }
}

/// How long the phases took; zero for a phase that was not needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectTimes {
    pub dns: Duration,
    /// TCP, and the proxy or tunnel.
    pub connect: Duration,
    pub tls: Duration,
    pub attest: Duration,
}

/// What carries requests.
// The large variant is the usual one: it is not boxed.
#[allow(clippy::large_enum_variant)]
pub enum HttpSession {
    Http1(ConnectedStream),
    Http2(Box<Http2Session>),
}

/// A connection that may be used.
pub struct Connected<S = ConnectedStream> {
    pub stream: S,
    /// `None` if the caller asked for an unattested connection.
    pub trust: Option<Arc<ServerTrust>>,
    pub times: ConnectTimes,
}

/// Connects, for a caller who offers HTTP/1.1 alone or uses the stream for bytes of its own. Errors: as `connect_http`.
pub async fn connect(target: &ConnectTarget) -> Result<Connected> {
    let Connected { stream, trust, times } = connect_http(target).await?;
    match stream {
        HttpSession::Http1(stream) => Ok(Connected { stream, trust, times }),
        HttpSession::Http2(_) => Err(Error::new(Status::Internal, "HTTP/2, which was not offered")),
    }
}

/// Connects. An error leaves no connection behind, and the caller's data was never sent.
pub async fn connect_http(target: &ConnectTarget) -> Result<Connected<HttpSession>> {
    let progress = ConnectProgress::begin(target.timeouts.whole);
    let done = progress.within(target.timeouts.whole, attempts(target, &progress)).await;
    report(target, &progress.times(), &done);
    done
}

async fn attempts(target: &ConnectTarget, progress: &ConnectProgress) -> Result<Connected<HttpSession>> {
    match attempt(target, progress).await {
        // The server may have changed its certificate between handshake and quote; a new session then has the new one.
        Err(error) if only_the_certificate_differs(&error) => {
            let place = || log::place(&target.host, target.port);
            log::emit(log::DEBUG, || {
                format!("evidence: {}: it names another certificate, connecting once more", place())
            });
            progress.again();
            attempt(target, progress).await
        }
        done => done,
    }
}

async fn attempt(target: &ConnectTarget, progress: &ConnectProgress) -> Result<Connected<HttpSession>> {
    let timeouts = &target.timeouts;
    let transport = progress.within(timeouts.connect, transport(target, progress)).await?;
    match (target.plain, &target.policy) {
        (false, _) => {}
        (true, None) => {
            let stream = HttpSession::Http1(ConnectedStream::Plain(transport));
            return Ok(Connected { stream, trust: None, times: progress.times() });
        }
        // The callers prevent this; the check must not depend on them.
        (true, Some(_)) => return Err(Error::new(Status::PolicyRequired, "a policy, and a connection without TLS")),
    }
    progress.enter(Phase::Tls);
    let transport = if asks_at_once(target) { transport.hold() } else { transport };
    let offering = tls::offering(&target.tls, target.http_versions);
    let handshake = tls::client_handshake(&offering, &target.server_name, transport);
    let showing = within(timeouts.tls, Wait::Handshake, handshake).await;
    let mut showing = showing.map_err(|error| on_the_way(error, target))?;
    showing.stream.get_mut().0.let_go();
    let place = || log::place(&target.host, target.port);
    log::emit(log::DEBUG, || format!("tls: {}: {}", place(), tls::describe(showing.stream.get_ref().1)));
    let agreed = target.http_versions.agreed(showing.stream.get_ref().1.alpn_protocol());
    let version = agreed.map_err(|error| error.context("the server speaks no version of HTTP that is allowed"))?;
    if target.policy.is_none() && target.attester.is_none() {
        let stream = match version {
            HttpVersion::Http1 => HttpSession::Http1(ConnectedStream::Tls(showing.stream)),
            HttpVersion::Http2 => HttpSession::Http2(Box::new(Http2Session::begin(showing.stream).await?)),
        };
        return Ok(Connected { stream, trust: None, times: progress.times() });
    }
    progress.enter(Phase::Evidence);
    // Boxed, as is each fetch of collateral: a connection should not hold the memory that only its handshake needs.
    let attested = Box::pin(attestation::attest(showing, version, target, progress)).await?;
    let (stream, trust) = ServerTrust::of(attested, target);
    Ok(Connected { stream, trust: trust.map(Arc::new), times: progress.times() })
}

/// Whether a request for evidence is the first thing that is sent on the session.
fn asks_at_once(target: &ConnectTarget) -> bool {
    match &target.policy {
        Some(policy) => matches!(policy.protocols.first(), Some(Protocol::AtlasV1 | Protocol::ExporterV1)),
        None => target.attester.is_some(),
    }
}

/// The proxy or tunnel, not the server, may have cut the handshake.
fn on_the_way(error: Error, target: &ConnectTarget) -> Error {
    match (error.status, &target.tunnel, &target.proxy) {
        (Status::Truncated, Some(_), _) => error.context("the tunnel ended the connection"),
        (Status::Truncated, _, Some(_)) => error.context("the proxy ended the connection"),
        _ => error,
    }
}

/// The transport: a TCP connection to the server, or one through a tunnel or proxy.
async fn transport(target: &ConnectTarget, progress: &ConnectProgress) -> Result<Transport> {
    match (&target.tunnel, &target.proxy) {
        (None, None) => {
            let addresses = dialling::resolve(&target.host, target.port, &target.dial).await?;
            progress.enter(Phase::Connect);
            dialling::reach(addresses, &target.dial).await.map(Transport::Tcp)
        }
        (tunnel, proxy) => {
            progress.enter(Phase::Tunnel);
            match (tunnel, proxy) {
                (Some(tunnel), _) => tunnel.open(&target.tls, &target.dial).await,
                // For http: URLs the proxy takes the requests themselves.
                (None, Some(proxy)) if target.plain && proxy.speaks_http() => proxy.reach(&target.dial).await,
                (None, Some(proxy)) => proxy.open(&target.host, target.port, &target.dial).await,
                (None, None) => Err(Error::new(Status::Internal, "no way there")),
            }
        }
    }
}

/// A new session may show the certificate that the evidence names.
pub fn only_the_certificate_differs(error: &Error) -> bool {
    error.verdict.as_ref().is_some_and(|verdict| verdict.only_certificate_differs)
}
