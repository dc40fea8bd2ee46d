//! The appraisal itself: every rule, in order, as one line of the verdict each.

mod platform;
mod workload;

use super::binding::{Binding, Protocol};
use super::collateral::Collateral;
use super::dstack::event_log::EventLog;
use super::evidence::Evidence;
use super::hash::hex;
use super::policy::{DstackTdx, Policy};
use super::tdx;
use super::tdx::{Claims, Unverified};
use super::{Fault, Result};
use crate::status::Status;
use crate::verdict::{Check, CheckId, Outcome, Verdict};

/// Roots that quotes may end in. The production root is built in; a simulated one replaces it and needs the policy's consent too.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    /// DER certificate of a simulator's root.
    pub simulated: Option<Vec<u8>>,
}

/// Everything that an appraisal depends on.
pub struct Request<'a> {
    pub evidence: &'a Evidence,
    pub collateral: &'a Collateral,
    pub policy: &'a Policy,
    pub anchors: &'a TrustAnchors,
    pub binding: &'a Binding,
    /// Unix seconds.
    pub now: u64,
}

impl TrustAnchors {
    /// The root (DER) that quotes must lead to under `policy`, and what verdicts call it. Errors: TrustAnchor.
    pub fn root(&self, policy: &Policy) -> Result<(&[u8], &'static str)> {
        match &self.simulated {
            None => Ok((tdx::INTEL_ROOT_DER, "intel")),
            Some(root) if policy.allow_simulated => Ok((root, "simulated")),
            Some(_) => {
                let message = "a simulated root was given, but the policy does not say \"allow_simulated\": true";
                Err(Fault::of_question(Status::TrustAnchor, message))
            }
        }
    }
}

/// Judges evidence. An error means that the question itself was wrong; a refusal is a verdict with `trusted == false`.
pub fn appraise(request: &Request<'_>) -> Result<Verdict> {
    judge(request, Known::default())
}

/// The verdict on evidence whose quote no platform has signed (`tdx::genuine` said why): `request.collateral` is ignored.
pub fn refuse(request: &Request<'_>, unverified: &Unverified) -> Result<Verdict> {
    judge(request, Known { not_genuine: Some(unverified), is_unbound: false })
}

/// The verdict on evidence whose quote is genuine but belongs to something else: `request.collateral` is ignored.
pub fn refuse_unbound(request: &Request<'_>) -> Result<Verdict> {
    judge(request, Known { not_genuine: None, is_unbound: true })
}

/// What is known before there is any collateral.
#[derive(Clone, Copy, Default)]
struct Known<'a> {
    /// Why no platform has signed the quote.
    not_genuine: Option<&'a Unverified>,
    /// The report data are others than the binding's.
    is_unbound: bool,
}

fn judge(request: &Request<'_>, known: Known<'_>) -> Result<Verdict> {
    if let Some(other) = tdx::other_kind(&request.evidence.quote) {
        return Err(Fault::of_question(Status::Unsupported, format!("quote: {other}")));
    }
    let (root, trust_anchor) = request.anchors.root(request.policy)?;
    let several = request.policy.any_of.len() > 1;
    let mut checks = Vec::new();
    let mut only_certificate_differs = false;
    let mut last = None;
    for (index, member) in request.policy.any_of.iter().enumerate() {
        let mut appraisal = Appraisal { known, ..Appraisal::new(request, member, root) };
        appraisal.run();
        let trusted = appraisal.trusted();
        let mut verdict = appraisal.into_verdict(request, trust_anchor, trusted.then_some(index));
        if trusted {
            return Ok(verdict);
        }
        let lines = std::mem::take(&mut verdict.checks).into_iter();
        checks.extend(lines.map(|check| Check { member: several.then_some(index), ..check }));
        only_certificate_differs |= verdict.only_certificate_differs;
        last = Some(verdict);
    }
    let verdict = last.ok_or_else(|| Fault::of_policy(Status::PolicyInvalid, "policy.any_of: has no member"))?;
    Ok(Verdict { checks, only_certificate_differs, ..verdict })
}

/// The appraisal under one member of the policy.
struct Appraisal<'a> {
    request: &'a Request<'a>,
    member: &'a DstackTdx,
    root: &'a [u8],
    known: Known<'a>,
    checks: Vec<Check>,
    claims: Option<Claims>,
    log: Option<EventLog>,
    /// The log names a certificate, and it is another than the one shown.
    other_certificate: bool,
}

/// Checks without which nothing may be trusted, whatever else passed.
const MANDATORY: [CheckId; 4] = [CheckId::Quote, CheckId::Debug, CheckId::ServiceTd, CheckId::TcbStatus];
/// The same, for all but a quote that is judged on its own.
const MANDATORY_LOG: [CheckId; 3] = [CheckId::EventLog, CheckId::Rtmr(3), CheckId::EventOrder];

impl<'a> Appraisal<'a> {
    fn new(request: &'a Request<'a>, member: &'a DstackTdx, root: &'a [u8]) -> Self {
        Appraisal {
            request,
            member,
            root,
            known: Known::default(),
            checks: Vec::new(),
            claims: None,
            log: None,
            other_certificate: false,
        }
    }

    fn run(&mut self) {
        if self.known.is_unbound {
            self.skip(CheckId::Quote, "no collateral is fetched for evidence of another session");
            return self.judge_report_data(tdx::report_data(&self.request.evidence.quote));
        }
        self.quote();
        let Some(claims) = self.claims.clone() else {
            self.skip(CheckId::EventLog, "the quote does not hold");
            return;
        };
        self.isolation(&claims);
        self.tcb(&claims);
        self.platform(&claims);
        self.td(&claims);
        self.report_data(&claims);
        if self.quote_alone() {
            self.skip(CheckId::EventLog, "a quote on its own, without its log");
            self.spki();
            return self.bootchain(&claims);
        }
        self.event_log();
        let Some(log) = self.log.clone() else { return };
        self.registers(&claims, &log);
        self.event_order(&log);
        self.certificate(&log);
        self.spki();
        self.bootchain(&claims);
        self.application(&claims, &log);
        self.event_rules(&log);
    }

    fn trusted(&self) -> bool {
        let bound = match self.request.binding {
            Binding::Skip => true,
            _ => {
                self.passed(&CheckId::ReportData)
                    && (self.passed(&CheckId::CertificateEvent) || !self.needs_key_event())
            }
        };
        let logged = self.quote_alone() || MANDATORY_LOG.iter().all(|id| self.passed(id));
        bound
            && logged
            && MANDATORY.iter().all(|id| self.passed(id))
            && self.checks.iter().all(|check| check.outcome != Outcome::Fail)
    }

    fn passed(&self, id: &CheckId) -> bool {
        self.checks.iter().any(|check| check.id == *id && check.outcome == Outcome::Pass)
    }

    fn only_certificate_differs(&self) -> bool {
        let mut failures = self.checks.iter().filter(|check| check.outcome == Outcome::Fail);
        self.other_certificate
            && failures.next().is_some_and(|check| check.id == CheckId::CertificateEvent)
            && failures.next().is_none()
    }

    /// Whether the log must name the certificate of the side that proves itself. atlas-v1 binds evidence to a key in no other way.
    fn needs_key_event(&self) -> bool {
        match self.request.binding {
            Binding::Skip => false,
            Binding::Session { .. } => true,
            Binding::Exporter(_) => self.request.policy.require_key_event,
        }
    }

    /// Whether there is a quote and no log, and nothing that was asked for depends on one.
    fn quote_alone(&self) -> bool {
        let member = self.member;
        self.request.evidence.event_log.is_none()
            && !self.needs_key_event()
            && member.applications.is_empty()
            && member.os_image_hash.is_none()
            && member.app_id.is_none()
            && member.key_provider.is_none()
            && member.events.is_empty()
            && !member.require_mr_config_id
    }

    fn into_verdict(self, request: &Request<'_>, trust_anchor: &'static str, accepted: Option<usize>) -> Verdict {
        let application = match &self.log {
            Some(log) if self.passed(&CheckId::EventOrder) => identity(log),
            _ => Vec::new(),
        };
        Verdict {
            trusted: accepted.is_some(),
            only_certificate_differs: accepted.is_none() && self.only_certificate_differs(),
            checks: self.checks,
            tee: "tdx",
            claims: self.claims.map(|claims| claims.report()),
            trust_anchor,
            accepted_member: accepted,
            protocol: request.binding.protocol().map(Protocol::name),
            application,
            time: request.now,
        }
    }

    // Lines of the verdict.

    fn judge(&mut self, id: CheckId, ok: bool, status: Status, expected: impl Into<String>, actual: impl Into<String>) {
        self.checks.push(Check {
            id,
            member: None,
            outcome: if ok { Outcome::Pass } else { Outcome::Fail },
            expected: expected.into(),
            actual: actual.into(),
            status,
        });
    }

    fn skip(&mut self, id: CheckId, why: &str) {
        self.checks.push(Check {
            id,
            member: None,
            outcome: Outcome::Skipped,
            expected: String::new(),
            actual: why.into(),
            status: Status::Ok,
        });
    }
}

/// Identity for the verdict's reader, not used in any judgement.
fn identity(log: &EventLog) -> Vec<(String, String)> {
    super::dstack::event_log::SYSTEM_EVENTS
        .iter()
        .filter_map(|name| {
            let payload = log.system_event(name)?;
            let text = match *name {
                "key-provider" => String::from_utf8_lossy(payload).into_owned(),
                _ => hex(payload),
            };
            Some((name.to_string(), text))
        })
        .collect()
}

fn one_of<const N: usize>(values: &[[u8; N]]) -> String {
    values.iter().map(|value| hex(value)).collect::<Vec<_>>().join(" or ")
}
