//! Attestation on a fresh session: the server proves itself by one of the policy's protocols, and then this side, if the server asks for it
//! (docs/protocol.md). Touches the session's stream, random numbers and the clock.

use std::time::{Duration, Instant};

use super::ConnectTarget;
use super::evidence_query::{EvidenceAnswer, EvidenceQuery, post};
use super::progress::ConnectProgress;
use crate::attest::challenge::{CHALLENGE_PATH, CLIENT_PATH, Challenge, answer_json, read_answer};
use crate::attest::hash::hex;
use crate::attest::tdx::TdxEvidence;
use crate::attest::{
    Binding, EXPORTER_LABEL, EXPORTER_V1_LABEL, Evidence, Exporter, Policy, Protocol, ProvingSide, Tee,
};
use crate::attester::EvidenceInput;
use crate::error::{Error, Phase, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::io::random::random;
use crate::log;
use crate::tls;
use crate::tls::{ClientHandshake, TlsStream};
use crate::tunnel::Transport;
use crate::verdict::Verdict;

/// Bytes and time for a connection without a policy, on which only this side proves itself.
const USUAL_LIMITS: (usize, Duration) = (1 << 20, Duration::from_secs(30));

type Attested = (TlsStream<Transport>, Option<Verdict>);

/// Returns the stream once everything has been proved. An error ends the session.
pub async fn attest(
    showing: ClientHandshake<Transport>,
    target: &ConnectTarget,
    progress: &ConnectProgress,
) -> Result<Attested> {
    let ClientHandshake { stream, own_leaf } = showing;
    let leaf = tls::peer_leaf(stream.get_ref().1);
    let leaf = leaf.ok_or_else(|| Error::new(Status::TlsCertificate, "no server certificate").phase(Phase::Tls))?;
    let policy = target.policy.as_deref();
    let limits = policy
        .map_or(USUAL_LIMITS, |policy| (policy.max_evidence_bytes, Duration::from_millis(policy.evidence_timeout_ms)));
    let mut session = Session { stream: Some(stream), own_leaf, leaf, target, progress, limits };
    let protocols = policy.map_or(&[Protocol::ExporterV1][..], |policy| &policy.protocols);
    for (index, protocol) in protocols.iter().enumerate() {
        let is_last = index + 1 == protocols.len();
        let done = match protocol {
            Protocol::AtlasV1 => session.atlas_v1(policy, is_last).await?,
            Protocol::ExporterV1 => session.exporter_v1(policy, is_last).await?,
        };
        if let Done::Attested(verdict) = done {
            return Ok((session.stream.take().ok_or_else(lost)?, verdict.map(|verdict| *verdict)));
        }
    }
    Err(Error::new(Status::Internal, "no protocol is left").phase(Phase::Evidence))
}

enum Done {
    /// The server does not know the protocol, and there is another one.
    Unknown,
    Attested(Option<Box<Verdict>>),
}

struct Session<'a> {
    /// Absent while an exchange has it, and after one that failed.
    stream: Option<TlsStream<Transport>>,
    own_leaf: Option<Vec<u8>>,
    leaf: Vec<u8>,
    target: &'a ConnectTarget,
    progress: &'a ConnectProgress,
    /// Bytes of evidence, and the time for each exchange.
    limits: (usize, Duration),
}

impl Session<'_> {
    async fn atlas_v1(&mut self, policy: Option<&Policy>, is_last: bool) -> Result<Done> {
        let nonce = random()?;
        let exporter = self.export(EXPORTER_LABEL, None)?;
        let body = format!(r#"{{"nonce_hex":"{}"}}"#, hex(&nonce));
        let answer = self.post("/tdx_quote", body, Status::NoEvidence).await?;
        if answer.is_unknown() && !is_last {
            return Ok(Done::Unknown);
        }
        let evidence = TdxEvidence::from_json(answer.success("/tdx_quote", Status::NoEvidence)?);
        let evidence = Evidence::from(evidence.map_err(|why| unreadable("/tdx_quote", &why))?);
        let binding = Binding::Session { nonce, exporter, leaf_certificate: self.leaf.clone() };
        self.judge(policy, &evidence, &binding).await
    }

    async fn exporter_v1(&mut self, policy: Option<&Policy>, is_last: bool) -> Result<Done> {
        let kinds = policy.map_or_else(|| Tee::ALL.to_vec(), Policy::kinds);
        let fresh = policy.is_some_and(Policy::wants_fresh);
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
        let read = read_answer(answer.success(CHALLENGE_PATH, Status::NoEvidence)?, ProvingSide::Server, &kinds);
        let (evidence, next) = read.map_err(|why| unreadable(CHALLENGE_PATH, &why))?;
        let done = match (policy, evidence) {
            (None, _) => Done::Attested(None),
            (Some(_), Some(evidence)) => self.judge(policy, &evidence, &Binding::Exporter(binding)).await?,
            (Some(_), None) => {
                return Err(Error::new(Status::NoEvidence, "the server gave no evidence").phase(Phase::Evidence));
            }
        };
        // Only now: a server that the policy has not accepted learns nothing about this machine.
        if let Some(challenge) = next {
            self.show(&challenge).await?;
        }
        Ok(done)
    }

    async fn judge(&mut self, policy: Option<&Policy>, evidence: &Evidence, binding: &Binding) -> Result<Done> {
        // Without a policy nothing is judged.
        let policy = policy.ok_or_else(|| Error::new(Status::Internal, "no policy to judge by"))?;
        self.progress.enter(Phase::Collateral);
        let verdict = self.target.verifier.judge(evidence, policy, binding, &self.target.route()).await?;
        self.progress.enter(Phase::Evidence);
        self.log(|| format!("judged, trusted={}", verdict.trusted));
        match verdict.error() {
            Some(refusal) => Err(refusal),
            None => Ok(Done::Attested(Some(Box::new(verdict)))),
        }
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
        let leaf = self.own_leaf.as_deref();
        let input = EvidenceInput { binder: &binder, leaf, leaf_is_current: true, fresh: challenge.fresh };
        let evidence = within(Some(self.limits.1), Wait::Evidence, attester.evidence(tee, input)).await?;
        let body = answer_json(ProvingSide::Client, tee, Some(&evidence), None);
        let answer = self.post(CLIENT_PATH, body, Status::EvidenceRefused).await?;
        answer.success(CLIENT_PATH, Status::EvidenceRefused).map(|_| ())
    }

    /// What an answer to `challenge` must be bound to, as seen from this side of the session.
    fn binding(&self, challenge: &Challenge) -> Result<Exporter> {
        let exporter = self.export(EXPORTER_V1_LABEL, Some(&challenge.context()))?;
        let leaves = (self.leaf.clone(), self.own_leaf.clone());
        let name = tls::sni(&self.target.server_name);
        Ok(Exporter::new(challenge.role, (challenge.nonce, exporter), leaves, name))
    }

    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]> {
        let stream = self.stream.as_ref().ok_or_else(lost)?;
        tls::export(stream.get_ref().1, label, context)
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
            let stream = self.stream.take().ok_or_else(lost)?;
            let (host, max_bytes) = (&self.target.server_name, self.limits.0);
            let (stream, answer) =
                post(stream, EvidenceQuery { host, path, body: body.clone(), max_bytes, otherwise }).await?;
            self.log(|| format!("{path} answered with status {}, {} bytes", answer.status, answer.body.len()));
            self.stream = Some(stream);
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

fn unreadable(path: &str, why: &str) -> Error {
    Error::new(Status::EvidenceInvalid, format!("answer of {path}: {why}")).phase(Phase::Evidence)
}

fn lost() -> Error {
    Error::new(Status::Internal, "the session was lost in an exchange").phase(Phase::Evidence)
}
