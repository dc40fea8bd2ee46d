//! Attestation in a session of the server, whatever version of HTTP carries it: which requests are for evidence, and what they are answered with. The host does
//! not see them. With atlas-v1 the server attests; with exporter-v1 either side may (docs/protocol.md). May touch the network and the clock.

mod making;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::transport::SessionKeys;
use super::{ClientPolicy, Server};
use crate::attest::challenge::{CHALLENGE_PATH, CLIENT_PATH, Challenge, MAX_CHALLENGE, Shown, answer_json};
use crate::attest::hash::unhex_array;
use crate::attest::{Binding, EXPORTER_LABEL, EXPORTER_V1_LABEL, Exporter, Protocol, ProvingSide, Tee, report_data};
use crate::attester::EvidenceInput;
use crate::error::{Error, Phase, Result, Status};
use crate::io::clock;
use crate::io::dialling::Dial;
use crate::io::random::random;
use crate::io::sync::lock;
use crate::log;
use crate::verdict::Verdict;
use crate::verifier::{Accepted, Answer, Standing};
use making::in_time;

/// Bytes of a request for evidence by atlas-v1.
const SMALL: usize = 4096;
/// How often a client may fail to attest on one connection: each time the server has evidence to judge.
pub(super) const TRIES: u32 = 8;

/// What a TLS session was opened with, and what has been attested in it.
pub struct TlsSession {
    /// DER of the certificate that the server has presented.
    pub leaf: Vec<u8>,
    /// DER of the client's certificate, if it has presented one.
    pub client_leaf: Option<Arc<[u8]>>,
    /// SNI.
    pub server_name: Option<String>,
    /// Never locked while anything is waited for.
    pub(super) proof: Mutex<ClientProof>,
}

/// How far the client has proved itself.
#[derive(Default)]
pub(super) struct ClientProof {
    /// The open challenge to the client.
    pub challenge: Option<Challenge>,
    pub refusals: u32,
    /// In a client that has proved itself.
    pub trust: Option<Arc<Standing>>,
}

/// What is known of a client besides its address.
#[derive(Clone, Default)]
pub struct ClientIdentity {
    pub leaf: Option<Arc<[u8]>>,
    pub verdict: Option<Arc<Verdict>>,
}

impl TlsSession {
    pub fn new(leaf: Vec<u8>, client_leaf: Option<Vec<u8>>, server_name: Option<&str>) -> TlsSession {
        TlsSession {
            leaf,
            client_leaf: client_leaf.map(Into::into),
            server_name: server_name.map(str::to_owned),
            proof: Mutex::default(),
        }
    }

    pub fn client(&self) -> ClientIdentity {
        let verdict = lock(&self.proof).trust.as_ref().map(|trust| trust.verdict());
        ClientIdentity { leaf: self.client_leaf.clone(), verdict }
    }
}

/// What a request of the attestation protocols asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EvidenceRequest {
    /// The server's evidence, by atlas-v1.
    AtlasV1,
    /// The same by exporter-v1.
    ExporterV1,
    /// A verdict on the client's evidence, which it sends.
    OfClient,
}

/// Status and body.
pub(super) type JsonResponse = (u16, String);

impl Server {
    /// What a request in a TLS session asks for; nothing if it is the host's to answer.
    pub(super) fn evidence_request(&self, method: &[u8], target: &[u8]) -> Option<EvidenceRequest> {
        let (attester, judges) = (self.attester.as_ref(), self.settings.client_policy.is_some());
        let attests = attester.map(|attester| attester.kinds());
        evidence_route(method, target, attests.as_deref(), judges)
    }

    /// Most bytes that the body of such a request may have.
    pub(super) fn evidence_request_limit(&self, asked: EvidenceRequest) -> usize {
        match (asked, &self.settings.client_policy) {
            (EvidenceRequest::AtlasV1, _) => SMALL,
            (EvidenceRequest::OfClient, Some(judge)) => judge.policy.max_evidence_bytes,
            _ => MAX_CHALLENGE,
        }
    }
}

/// A session in which requests for evidence are answered, one after another.
pub(super) struct Attestation<'a> {
    pub server: &'a Arc<Server>,
    pub session: &'a TlsSession,
    /// Of whatever carries the session: what is done with it is the same code for all.
    pub keys: &'a (dyn SessionKeys + Sync),
    pub peer: Option<SocketAddr>,
}

impl Attestation<'_> {
    /// The answer to a request with this body.
    pub(super) async fn answer(&self, asked: EvidenceRequest, body: &[u8]) -> JsonResponse {
        if asked != EvidenceRequest::OfClient {
            self.server.counts.quotes.fetch_add(1, Ordering::Relaxed);
        }
        match asked {
            EvidenceRequest::AtlasV1 => self.answer_atlas_v1(body).await,
            EvidenceRequest::ExporterV1 => self.answer_exporter_v1(body).await,
            EvidenceRequest::OfClient => self.check_client_evidence(body).await,
        }
    }

    /// Whether the client has failed to attest so often that its connection ends.
    pub(super) fn gives_up(&self) -> bool {
        lock(&self.session.proof).refusals >= TRIES
    }

    async fn answer_atlas_v1(&self, body: &[u8]) -> JsonResponse {
        let Some(nonce) = nonce(body) else {
            let detail = "nonce_hex must be 64 hexadecimal digits";
            return (422, json!({"detail": [{"loc": ["body", "nonce_hex"], "msg": detail}]}).to_string());
        };
        let made = match self.keys.export(EXPORTER_LABEL, None) {
            Ok(exporter) => in_time(self.evidence(Tee::Tdx, (&report_data(&nonce, &exporter), false))).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(quote) => {
                let now = clock::now().map_or_else(|_| String::new(), |now| now.to_string());
                let answer = json!({
                    "success": true, "quote": quote, "tcb_info": null, "timestamp": now, "quote_type": Tee::Tdx.name(), "error": null,
                });
                (200, answer.to_string())
            }
            Err(error) => {
                let detail = json!({"success": false, "error": "no quote", "quote_type": Tee::Tdx.name()});
                (no_quote(&error), json!({"detail": detail}).to_string())
            }
        }
    }

    async fn answer_exporter_v1(&self, body: &[u8]) -> JsonResponse {
        let challenge = match Challenge::parse(body, ProvingSide::Server) {
            Ok(challenge) => challenge,
            Err(why) => return (422, json!({"error": why}).to_string()),
        };
        // A server without evidence names one of the kinds nevertheless.
        let attester = self.server.attester.as_ref();
        let made = attester.map_or_else(Tee::alone, |attester| attester.kinds());
        let tee = match challenge.choose(&made) {
            Ok(tee) => tee,
            Err(why) => return (400, json!({"error": why}).to_string()),
        };
        if let Some(name) = self.foreign_name() {
            return (421, json!({"error": format!("this is not {name:?}")}).to_string());
        }
        match in_time(self.challenge_response(&challenge, tee)).await {
            Ok(answer) => (200, answer),
            Err(error) => (no_quote(&error), json!({"error": "no quote"}).to_string()),
        }
    }

    /// The name that the session was opened for, if it is not one of this server's.
    fn foreign_name(&self) -> Option<&str> {
        let names = &self.server.settings.names;
        let asked = self.session.server_name.as_deref();
        let is_asked = |name: &String| asked.is_some_and(|asked| name.eq_ignore_ascii_case(asked));
        let known = names.is_empty() || names.iter().any(is_asked);
        (!known).then_some(asked.unwrap_or("a server without a name"))
    }

    /// `tee`: the kind of evidence to answer with, if there is any.
    async fn challenge_response(&self, challenge: &Challenge, tee: Tee) -> Result<String> {
        let (evidence, attached) = match self.server.attester {
            Some(_) => {
                let broken = |why| Error::new(Status::EvidenceInvalid, why).phase(Phase::Evidence);
                let binder = self.binding(challenge)?.report_data(tee).map_err(broken)?;
                let evidence = self.evidence(tee, (&binder, challenge.fresh)).await?;
                (Some(evidence), self.server.settings.devices.attached(&binder, &challenge.wishes()).await?)
            }
            None => (None, Vec::new()),
        };
        let next = match &self.server.settings.client_policy {
            Some(ClientPolicy { policy, .. }) => {
                Some(Challenge::new(ProvingSide::Client, random()?, &policy.asks_for(), policy.wants_fresh()))
            }
            None => None,
        };
        let text = answer_json(ProvingSide::Server, Shown { tee, evidence, attached }, next.as_ref());
        lock(&self.session.proof).challenge = next;
        Ok(text)
    }

    /// The client is told only the name of the check that failed. The host gets everything: what its policy requires is nobody else's business.
    async fn check_client_evidence(&self, body: &[u8]) -> JsonResponse {
        lock(&self.session.proof).tried();
        match self.judge_client(body).await {
            Ok(trust) => {
                lock(&self.session.proof).accepted(trust);
                (200, json!({"accepted": true}).to_string())
            }
            Err(ClientRefusal { status, check, error }) => {
                lock(&self.session.proof).refused(status);
                log::emit(log::WARNING, || {
                    format!("evidence: {}: client refused: {}", self.place(), log::reason(&error))
                });
                self.server.report_refusal(&error.http_status(status).peer(self.peer)).await;
                (status, json!({"error": check}).to_string())
            }
        }
    }

    async fn judge_client(&self, body: &[u8]) -> std::result::Result<Standing, ClientRefusal> {
        let broken = |check: &str, why: String| ClientRefusal {
            status: 403,
            check: check.into(),
            error: Error::new(Status::EvidenceInvalid, why).phase(Phase::Evidence),
        };
        // Taken out: only one answer to a challenge is judged.
        let challenge = lock(&self.session.proof).challenge.take();
        let challenge = challenge.ok_or_else(|| broken("challenge", "no challenge is open in this session".into()))?;
        let answer = Answer { protocol: Protocol::ExporterV1, side: ProvingSide::Client, text: body };
        let (evidence, _) = answer.read(&challenge.kinds).map_err(|why| broken("answer", why))?;
        let evidence = evidence.ok_or_else(|| broken("evidence", "there is no evidence".into()))?;
        let binding = Binding::Exporter(self.binding(&challenge)?);
        let Some(ClientPolicy { policy, verifier }) = &self.server.settings.client_policy else {
            return Err(Error::new(Status::Internal, "no policy to judge by").into());
        };
        match verifier.judge(&evidence, policy, &binding, &Dial::default()).await {
            Ok((verdict, basis)) => match verdict.error() {
                Some(refusal) => Err(refusal.into()),
                None => {
                    let accepted = Accepted { answer, binding: &binding, verdict, basis };
                    let way = Arc::new(Dial::default());
                    Ok(Standing::new((verifier.clone(), policy.clone()), way, self.place(), accepted))
                }
            },
            // Not the client's fault, and nothing was judged: it may send the same evidence again.
            Err(error) if error.phase == Phase::Collateral => {
                lock(&self.session.proof).challenge = Some(challenge);
                Err(ClientRefusal { status: 503, ..error.into() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What an answer to `challenge` must be bound to, as this side of the session knows it.
    fn binding(&self, challenge: &Challenge) -> Result<Exporter> {
        let exporter = self.keys.export(EXPORTER_V1_LABEL, Some(&challenge.context()))?;
        let session = self.session;
        let leaves = (session.leaf.clone(), session.client_leaf.as_deref().map(<[u8]>::to_vec));
        // Without SNI the binder has the empty name.
        let name = session.server_name.clone().unwrap_or_default();
        Ok(Exporter::new(challenge.role, (challenge.nonce, exporter), leaves, name))
    }

    async fn evidence(&self, tee: Tee, (binder, fresh): (&[u8; 64], bool)) -> Result<Value> {
        let attester = self.server.attester.as_ref();
        let attester = attester.ok_or_else(|| Error::new(Status::Internal, "no source of evidence"))?;
        let session = self.session;
        // The event log names the current certificate; a connection that still has an older one must not put that back.
        let name = session.server_name.as_deref();
        let is_current = self.server.tls().is_some_and(|shown| shown.leaf(name) == Some(&session.leaf[..]));
        let input = EvidenceInput { binder, leaf: Some(&session.leaf), leaf_is_current: is_current, fresh };
        attester.evidence(tee, input).await
    }

    /// Who is at the other end, for the log.
    fn place(&self) -> String {
        self.peer.map_or_else(|| "a local client".into(), |peer| peer.to_string())
    }
}

/// Why a client is refused: the status, the name of the check that failed, and the error for the host.
struct ClientRefusal {
    status: u16,
    check: String,
    error: Error,
}

impl From<Error> for ClientRefusal {
    fn from(error: Error) -> ClientRefusal {
        let failed = error.verdict.as_ref().and_then(|verdict| verdict.first_failure());
        let check = failed.map_or_else(
            || error.phase.name().into(),
            |check| check.rule().split(':').next().unwrap_or_default().to_owned(),
        );
        ClientRefusal { status: 403, check, error }
    }
}

/// Path and query of a target. A target in absolute form names the same resource (RFC 9112 section 3.2.2).
fn resource(target: &[u8]) -> &[u8] {
    let after = |scheme: &[u8]| match target.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme) => Some(rest),
        _ => None,
    };
    let Some(rest) = after(b"https://").or_else(|| after(b"http://")) else { return target };
    let path = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    path.map_or(b"/", |at| &rest[at..])
}

/// What a request in TLS asks for, on a server that proves itself (`attests`, by evidence of these kinds) or wants its clients to (`judges`); nothing if it is
/// the host's to answer.
fn evidence_route(method: &[u8], target: &[u8], attests: Option<&[Tee]>, judges: bool) -> Option<EvidenceRequest> {
    if method != b"POST" {
        return None;
    }
    match resource(target).split(|byte| *byte == b'?').next()? {
        b"/tdx_quote" if attests.is_some_and(|kinds| kinds.contains(&Tee::Tdx)) => Some(EvidenceRequest::AtlasV1),
        path if (attests.is_some() || judges) && path == CHALLENGE_PATH.as_bytes() => Some(EvidenceRequest::ExporterV1),
        path if judges && path == CLIENT_PATH.as_bytes() => Some(EvidenceRequest::OfClient),
        _ => None,
    }
}

/// The status of an answer without a quote. The reason goes to the log only: it may name paths of the server.
fn no_quote(error: &Error) -> u16 {
    log::emit(log::WARNING, || format!("evidence: this server: no quote: {}", log::reason(error)));
    if error.status == Status::Busy { 503 } else { 500 }
}

fn nonce(body: &[u8]) -> Option<[u8; 32]> {
    let document: Value = serde_json::from_slice(body).ok()?;
    unhex_array(document.get("nonce_hex")?.as_str()?)
}

#[cfg(test)]
mod tests;
