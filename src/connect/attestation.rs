//! Attestation on a session, fresh or open for long: the server proves itself by one of the policy's protocols, and then this side, if the server asks for
//! it (docs/protocol.md). Touches the session, random numbers and the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ConnectTarget;
use super::evidence_query::{EvidenceAnswer, EvidenceQuery, post};
use super::http2_session::Http2Session;
use super::progress::ConnectProgress;
use crate::attest::challenge::{CHALLENGE_PATH, CLIENT_PATH, Challenge, Shown, answer_json};
use crate::attest::hash::hex;
use crate::attest::{
    Binding, EXPORTER_LABEL, EXPORTER_V1_LABEL, Evidence, Exporter, Policy, Protocol, ProvingSide, RaTlsCertificate,
    Tee,
};
use crate::attester::EvidenceInput;
use crate::error::{Error, Phase, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::io::random::random;
use crate::log;
use crate::tls;
use crate::tls::{ClientHandshake, HttpVersion, TlsStream};
use crate::tunnel::Transport;
use crate::verifier::{Accepted, Answer, Standing, unreadable, unreadable_certificate};

/// Bytes and time for a connection without a policy, on which only this side proves itself.
const USUAL_LIMITS: (usize, Duration) = (1 << 20, Duration::from_secs(30));

/// A TLS session on which evidence can be exchanged.
pub trait EvidenceChannel: Send {
    /// An exporter value of the session.
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]>;

    /// One exchange: a POST, and its answer, after which the channel has nothing unread.
    fn post(&mut self, query: EvidenceQuery<'_>) -> impl Future<Output = Result<EvidenceAnswer>> + Send;
}

impl<C: EvidenceChannel> EvidenceChannel for &mut C {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]> {
        C::export(self, label, context)
    }

    fn post(&mut self, query: EvidenceQuery<'_>) -> impl Future<Output = Result<EvidenceAnswer>> + Send {
        C::post(self, query)
    }
}

/// The session of a connection that nobody has used yet. The stream is absent while an exchange has it, and after one that failed.
struct FreshSession(Option<TlsStream<Transport>>);

impl EvidenceChannel for FreshSession {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]> {
        tls::export(self.0.as_ref().ok_or_else(lost)?.get_ref().1, label, context)
    }

    async fn post(&mut self, query: EvidenceQuery<'_>) -> Result<EvidenceAnswer> {
        let (stream, answer) = post(self.0.take().ok_or_else(lost)?, query).await?;
        self.0 = Some(stream);
        Ok(answer)
    }
}

/// Certificates that the two ends have shown, DER.
#[derive(Clone)]
pub struct Leaves {
    pub server: Vec<u8>,
    pub own: Option<Vec<u8>>,
}

/// What came of attestation on a fresh session.
pub struct Attested {
    pub session: FreshStream,
    pub leaves: Leaves,
    /// `None` without a policy.
    pub trust: Option<Standing>,
}

/// A session on which nothing but evidence was exchanged.
// The large variant is the usual one: it is not boxed.
#[allow(clippy::large_enum_variant)]
pub enum FreshStream {
    Http1(TlsStream<Transport>),
    Http2(Box<Http2Session>),
}

/// Returns the session once everything has been proved. An error ends it.
pub async fn attest(
    showing: ClientHandshake<Transport>,
    version: HttpVersion,
    target: &ConnectTarget,
    progress: &ConnectProgress,
) -> Result<Attested> {
    let ClientHandshake { stream, own_leaf } = showing;
    let leaf = tls::peer_leaf(stream.get_ref().1);
    let leaf = leaf.ok_or_else(|| Error::new(Status::TlsCertificate, "no server certificate").phase(Phase::Tls))?;
    let leaves = Leaves { server: leaf, own: own_leaf };
    match version {
        HttpVersion::Http1 => {
            let mut channel = FreshSession(Some(stream));
            let trust = prove(&mut channel, &leaves, target, progress).await?;
            let session = FreshStream::Http1(channel.0.take().ok_or_else(lost)?);
            Ok(Attested { session, leaves, trust })
        }
        HttpVersion::Http2 => {
            let mut session = Http2Session::begin(stream).await.map_err(|error| error.phase(Phase::Evidence))?;
            let channel = session.channel();
            let trust = session.drive(prove(channel, &leaves, target, progress)).await;
            let trust = trust.map_err(|error| match error.phase {
                Phase::Transfer | Phase::Call => error.phase(Phase::Evidence),
                _ => error,
            })?;
            Ok(Attested { session: FreshStream::Http2(Box::new(session)), leaves, trust })
        }
    }
}

/// The trust in the server, by the first protocol of the policy that it knows; `None` without a policy.
async fn prove(
    channel: impl EvidenceChannel,
    leaves: &Leaves,
    target: &ConnectTarget,
    progress: &ConnectProgress,
) -> Result<Option<Standing>> {
    let mut session = Session::new(channel, leaves, target, progress);
    let policy = target.policy.as_ref();
    let protocols = policy.map_or(&[Protocol::ExporterV1][..], |policy| &policy.protocols);
    for (index, protocol) in protocols.iter().enumerate() {
        let is_last = index + 1 == protocols.len();
        let done = match protocol {
            Protocol::AtlasV1 => session.atlas_v1(policy, is_last).await?,
            Protocol::ExporterV1 => session.exporter_v1(policy, is_last).await?,
            Protocol::RaTls => session.ra_tls(policy, is_last).await?,
        };
        if let Done::Attested(trust) = done {
            return Ok(trust.map(|trust| *trust));
        }
    }
    Err(Error::new(Status::Internal, "no protocol is left").phase(Phase::Evidence))
}

/// New evidence, by exporter-v1, on a session that has carried requests meanwhile. An error ends it: `trust` is then over.
pub async fn attest_again(
    channel: impl EvidenceChannel,
    leaves: &Leaves,
    target: &ConnectTarget,
    progress: &ConnectProgress,
    trust: &Standing,
) -> Result<()> {
    let mut session = Session { again: Some(trust), ..Session::new(channel, leaves, target, progress) };
    match session.exporter_v1(Some(trust.policy()), true).await? {
        Done::Attested(_) => Ok(()),
        Done::Unknown => Err(Error::new(Status::Internal, "another protocol, and there is none")),
    }
}

enum Done {
    /// The server does not know the protocol, and there is another one.
    Unknown,
    /// With the trust in a session that is fresh.
    Attested(Option<Box<Standing>>),
}

struct Session<'a, C> {
    channel: C,
    leaves: &'a Leaves,
    target: &'a ConnectTarget,
    progress: &'a ConnectProgress,
    /// Bytes of evidence, and the time for each exchange.
    limits: (usize, Duration),
    /// What is to be renewed, of a session that is not fresh.
    again: Option<&'a Standing>,
}

impl<'a, C: EvidenceChannel> Session<'a, C> {
    fn new(channel: C, leaves: &'a Leaves, target: &'a ConnectTarget, progress: &'a ConnectProgress) -> Session<'a, C> {
        let policy = target.policy.as_deref();
        let limits = policy.map_or(USUAL_LIMITS, |policy| {
            (policy.max_evidence_bytes, Duration::from_millis(policy.evidence_timeout_ms))
        });
        Session { channel, leaves, target, progress, limits, again: None }
    }

    async fn atlas_v1(&mut self, policy: Option<&Arc<Policy>>, is_last: bool) -> Result<Done> {
        let nonce = random()?;
        let exporter = self.channel.export(EXPORTER_LABEL, None)?;
        let body = format!(r#"{{"nonce_hex":"{}"}}"#, hex(&nonce));
        let answer = self.post("/tdx_quote", body, Status::NoEvidence).await?;
        if answer.is_unknown() && !is_last {
            return Ok(Done::Unknown);
        }
        let (protocol, side) = (Protocol::AtlasV1, ProvingSide::Server);
        let answer = Answer { protocol, side, text: answer.success("/tdx_quote", Status::NoEvidence)? };
        let (evidence, _) = answer.read(&[Tee::Tdx]).map_err(|why| unreadable("/tdx_quote", &why))?;
        let evidence = evidence.ok_or_else(none_given)?;
        let binding = Binding::Session { nonce, exporter, leaf_certificate: self.leaves.server.clone() };
        self.judge(policy, (answer, &evidence), &binding).await
    }

    async fn exporter_v1(&mut self, policy: Option<&Arc<Policy>>, is_last: bool) -> Result<Done> {
        let kinds = policy.map_or_else(Tee::alone, |policy| policy.asks_for());
        let fresh = policy.is_some_and(|policy| policy.wants_fresh());
        let challenge = Challenge::new(ProvingSide::Server, random()?, &kinds, fresh);
        let binding = self.binding(&challenge)?;
        let answer = self.post(CHALLENGE_PATH, challenge.text().to_owned(), Status::NoEvidence).await?;
        if answer.is_unknown() {
            match policy {
                // A server that does not know the protocol cannot ask for evidence by it.
                None => return Ok(Done::Attested(None)),
                Some(_) if !is_last => return Ok(Done::Unknown),
                Some(_) => {}
            }
        }
        let (protocol, side) = (Protocol::ExporterV1, ProvingSide::Server);
        let answer = Answer { protocol, side, text: answer.success(CHALLENGE_PATH, Status::NoEvidence)? };
        let (evidence, next) = answer.read(&kinds).map_err(|why| unreadable(CHALLENGE_PATH, &why))?;
        let done = match (policy, evidence) {
            (None, _) => Done::Attested(None),
            (Some(_), Some(evidence)) => self.judge(policy, (answer, &evidence), &Binding::Exporter(binding)).await?,
            (Some(_), None) => return Err(none_given()),
        };
        // Only now: a server that the policy has not accepted learns nothing about this machine.
        if let Some(challenge) = next {
            self.show(&challenge).await?;
        }
        Ok(done)
    }

    /// The server is not asked anything: what there is, is in its certificate.
    async fn ra_tls(&mut self, policy: Option<&Arc<Policy>>, is_last: bool) -> Result<Done> {
        let formats = policy.and_then(|policy| policy.ra_tls.as_ref()).map_or(&[][..], |rules| &rules.formats);
        let leaf = &self.leaves.server;
        let read = RaTlsCertificate::read(leaf, formats);
        match read.map_err(|why| unreadable_certificate(&why))? {
            Some((certificate, evidence)) => {
                let answer = Answer { protocol: Protocol::RaTls, side: ProvingSide::Server, text: &[] };
                self.judge(policy, (answer, &evidence), &Binding::Certificate(certificate)).await
            }
            None if !is_last => Ok(Done::Unknown),
            None => {
                let message = "there is no evidence in the server's certificate";
                Err(Error::new(Status::NoEvidence, message).phase(Phase::Evidence))
            }
        }
    }

    async fn judge(
        &mut self,
        policy: Option<&Arc<Policy>>,
        (answer, evidence): (Answer<'_>, &Evidence),
        binding: &Binding,
    ) -> Result<Done> {
        // Without a policy nothing is judged.
        let policy = policy.ok_or_else(|| Error::new(Status::Internal, "no policy to judge by"))?;
        self.progress.enter(Phase::Collateral);
        let (verifier, way) = (&self.target.verifier, self.target.route());
        let (verdict, basis) = verifier.judge(evidence, policy, binding, &way).await?;
        self.progress.enter(Phase::Evidence);
        self.log(|| format!("judged, trusted={}", verdict.trusted));
        if let Some(refusal) = verdict.error() {
            return Err(refusal);
        }
        let accepted = Accepted { answer, binding, verdict, basis };
        if let Some(trust) = self.again {
            trust.renew(accepted);
            return Ok(Done::Attested(None));
        }
        let place = log::place(&self.target.host, self.target.port);
        let trust = Standing::new((verifier.clone(), policy.clone()), Arc::new(way), place, accepted);
        Ok(Done::Attested(Some(Box::new(trust))))
    }

    /// Proves this side to the server.
    async fn show(&mut self, challenge: &Challenge) -> Result<()> {
        let Some(attester) = &self.target.attester else {
            let message = "the server asks for evidence of this side, and the configuration has no source of evidence";
            return Err(Error::new(Status::EvidenceRefused, message).phase(Phase::Evidence));
        };
        let failed = |status| move |why| Error::new(status, why).phase(Phase::Evidence);
        let tee = challenge.choose(&attester.kinds()).map_err(failed(Status::NoEvidence));
        let tee = tee.map_err(|error| error.context("the server's challenge"))?;
        let binder = self.binding(challenge)?.report_data(tee).map_err(failed(Status::EvidenceInvalid))?;
        let leaf = self.leaves.own.as_deref();
        let input = EvidenceInput { binder: &binder, leaf, leaf_is_current: true, fresh: challenge.fresh };
        let made = async {
            let evidence = Some(attester.evidence(tee, input).await?);
            let attached = self.target.devices.attached(&binder, &challenge.wishes()).await?;
            Ok(Shown { tee, evidence, attached })
        };
        let shown = within(Some(self.limits.1), Wait::Evidence, made).await?;
        let body = answer_json(ProvingSide::Client, shown, None);
        let answer = self.post(CLIENT_PATH, body, Status::EvidenceRefused).await?;
        answer.success(CLIENT_PATH, Status::EvidenceRefused).map(|_| ())
    }

    /// What an answer to `challenge` must be bound to, as seen from this side of the session.
    fn binding(&self, challenge: &Challenge) -> Result<Exporter> {
        let exporter = self.channel.export(EXPORTER_V1_LABEL, Some(&challenge.context()))?;
        let Leaves { server, own } = self.leaves.clone();
        let name = tls::sni(&self.target.server_name);
        Ok(Exporter::new(challenge.role, (challenge.nonce, exporter), (server, own), name))
    }

    async fn post(&mut self, path: &str, body: String, otherwise: Status) -> Result<EvidenceAnswer> {
        let (_, timeout) = self.limits;
        let end = Instant::now() + timeout;
        let until = self.progress.until.map_or(end, |whole| whole.min(end));
        within(Some(timeout), Wait::Evidence, self.ask(path, body, otherwise, until)).await
    }

    /// Asks, and asks again on the same session while the server is busy and says when to retry, as long as there is time.
    async fn ask(&mut self, path: &str, body: String, otherwise: Status, until: Instant) -> Result<EvidenceAnswer> {
        loop {
            let (host, max_bytes) = (&self.target.server_name, self.limits.0);
            let query = EvidenceQuery { host, path, body: body.clone(), max_bytes, otherwise };
            let answer = self.channel.post(query).await?;
            self.log(|| format!("{path} answered with status {}, {} bytes", answer.status, answer.body.len()));
            let Some(pause) = answer.again else { return Ok(answer) };
            let pause = spread(pause)?;
            if Instant::now() + pause >= until {
                return Err(answer.success(path, otherwise).err().unwrap_or_else(lost));
            }
            self.log(|| format!("the server is at its limit of quotes, asking again in {} ms", pause.as_millis()));
            tokio::time::sleep(pause).await;
        }
    }

    fn log(&self, what: impl FnOnce() -> String) {
        log::emit(log::DEBUG, || format!("evidence: {}: {}", log::place(&self.target.host, self.target.port), what()));
    }
}

/// Clients that were turned away together must not retry together: adds up to a quarter to the wait, which is never zero.
fn spread(pause: Duration) -> Result<Duration> {
    let random = u32::from(random::<1>()?[0]);
    let pause = pause.clamp(Duration::from_millis(100), Duration::from_secs(3600));
    Ok(pause + pause / 4 * random / 256)
}

fn none_given() -> Error {
    Error::new(Status::NoEvidence, "the server gave no evidence").phase(Phase::Evidence)
}

fn lost() -> Error {
    Error::new(Status::Internal, "the session was lost in an exchange").phase(Phase::Evidence)
}
