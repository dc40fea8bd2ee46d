//! The attested connection: transport, TLS, evidence, judgement, in this order, and only then a stream for the caller.
//!
//! This is where the clock is read and the nonce is drawn; the judgement itself is `attest::appraise`.

pub mod auth;
mod exchange;
mod http_proxy;
mod proxy;
mod settings;
mod stream;
mod transport;
mod tunnel;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::ClientConfig;

pub use proxy::{Login, Proxy};
pub use settings::{Connector, Settings};
pub use stream::Stream;
pub use transport::Transport;
pub use tunnel::TunnelUrl;

use crate::attest::{Binding, Check, Outcome, Policy, Request, Verdict, appraise, tdx};
use crate::collateral::Verifier;
use crate::deadline::{Wait, within};
use crate::error::{Error, Phase, Result, Status};
use crate::log;
use crate::{net, tls};

/// Where to connect and what must hold there.
#[derive(Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// Name to check the certificate against and to send as SNI.
    pub server_name: String,
    pub tunnel: Option<TunnelUrl>,
    /// Not beside a tunnel.
    pub proxy: Option<Arc<Proxy>>,
    pub dial: net::Dial,
    /// Without TLS, and so without policy.
    pub plain: bool,
    /// `None` only where the caller said in so many words that it wants no attestation.
    pub policy: Option<Arc<Policy>>,
    pub verifier: Arc<Verifier>,
    pub tls: Arc<ClientConfig>,
    pub timeouts: Timeouts,
}

/// Deadlines of the phases; `None` is no deadline.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
}

/// How long the phases took; zero for one that there was none of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub dns: Duration,
    /// TCP, and the way through a proxy or tunnel.
    pub connect: Duration,
    pub tls: Duration,
    pub attest: Duration,
}

/// A connection that may be used.
pub struct Connected {
    pub stream: Stream,
    /// `None` for a connection that the caller asked to be unattested.
    pub verdict: Option<Arc<Verdict>>,
    pub times: Times,
}

/// Connects. An error leaves no connection behind, and the caller's data was never sent.
pub async fn connect(target: &Target) -> Result<Connected> {
    match attempt(target).await {
        // The server may have changed its certificate between handshake and quote; then a new session shows the new one.
        Err(error) if only_the_certificate_differs(&error) => {
            log::emit(log::DEBUG, || format!("{}: certificate event differs, connecting once more", target.host));
            attempt(target).await
        }
        done => done,
    }
}

async fn attempt(target: &Target) -> Result<Connected> {
    let (mut times, start) = (Times::default(), Instant::now());
    let transport = within(target.timeouts.connect, Wait::Connecting, async {
        match (&target.tunnel, &target.proxy) {
            (Some(tunnel), _) => tunnel.open(&target.tls, &target.dial).await,
            // For http: the proxy takes the requests themselves.
            (None, Some(proxy)) if target.plain && proxy.speaks_http() => proxy.reach(&target.dial).await,
            (None, Some(proxy)) => proxy.open(&target.host, target.port, &target.dial).await,
            (None, None) => {
                let addresses = net::resolve(&target.host, target.port, &target.dial).await?;
                times.dns = start.elapsed();
                net::reach(addresses, &target.dial).await.map(Transport::Tcp)
            }
        }
    })
    .await?;
    times.connect = start.elapsed() - times.dns;
    match (target.plain, &target.policy) {
        (false, _) => {}
        (true, None) => return Ok(Connected { stream: Stream::Plain(transport), verdict: None, times }),
        // Nothing upstream lets this happen; it must not depend on that.
        (true, Some(_)) => return Err(Error::new(Status::PolicyRequired, "a policy, and a connection without TLS")),
    }
    let start = Instant::now();
    let handshake = tls::handshake(target.tls.clone(), &target.server_name, transport);
    let stream = within(target.timeouts.tls, Wait::Handshake, handshake).await?;
    times.tls = start.elapsed();
    let Some(policy) = &target.policy else {
        return Ok(Connected { stream: Stream::Tls(stream), verdict: None, times });
    };
    let start = Instant::now();
    // Boxed, as is each fetch of collateral: a connection's memory should not have the shape of its rarest moment.
    let (stream, verdict) = Box::pin(attest(stream, target, policy)).await?;
    times.attest = start.elapsed();
    Ok(Connected { stream: Stream::Tls(stream), verdict: Some(Arc::new(verdict)), times })
}

/// A stream in TLS, before anything is known of its other end.
type Session = tls::TlsStream<Transport>;

async fn attest(stream: Session, target: &Target, policy: &Policy) -> Result<(Session, Verdict)> {
    let (exporter, leaf_certificate) = tls::session_identity(&stream)?;
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Error::new(Status::Internal, "the system gave no random numbers"))?;
    let timeout = Some(Duration::from_millis(policy.evidence_timeout_ms));
    let exchange = exchange::request_evidence(stream, &target.server_name, &nonce, policy.max_evidence_bytes);
    let (stream, evidence) = within(timeout, Wait::Evidence, exchange).await?;
    let platform = tdx::platform_id(&evidence.quote)
        .map_err(|why| Error::new(Status::QuoteInvalid, format!("quote: {why}")).phase(Phase::Verify))?;
    let now = unix_now();
    let found = target.verifier.find(&platform, policy, now).await?;
    let verdict = appraise(&Request {
        evidence: &evidence,
        collateral: &found.collateral,
        policy,
        anchors: &target.verifier.anchors,
        binding: &Binding::Session { nonce, exporter, leaf_certificate },
        now,
    })?;
    target.verifier.settle(&found, verdict.claims.is_some());
    log::emit(log::DEBUG, || format!("{}: trusted {}", target.host, verdict.trusted));
    match verdict.error() {
        Some(refusal) => Err(refusal),
        None => Ok((stream, verdict)),
    }
}

fn only_the_certificate_differs(error: &Error) -> bool {
    let failed = |check: &&Check| check.outcome == Outcome::Fail;
    error.verdict.as_ref().is_some_and(|verdict| {
        let mut failures = verdict.checks.iter().filter(failed);
        let only = |failure: &Check| failure.name == "certificate_event" && failure.actual.len() == 64;
        failures.next().is_some_and(only) && failures.next().is_none()
    })
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
